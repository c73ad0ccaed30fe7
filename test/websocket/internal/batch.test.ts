import { assert, describe, it } from "@effect/vitest"
import { Envelope } from "../../../src/channels/Envelope.ts"
import { Batch } from "../../../src/websocket/internal/batch.ts"
import { fullAt } from "../../../src/websocket/internal/frames.ts"
import { Budget } from "../../../src/websocket/internal/budget.ts"
import { Flusher } from "../../../src/websocket/internal/flusher.ts"
import { Outbox } from "../../../src/websocket/Outbox.ts"
import { FakeWriter, HandTurn, wsFrame } from "../../support/outbound.ts"

const make = () => {
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const seen = { encoded: 0, delivered: 0 }
  const batch = new Batch<string>({
    flusher,
    encode: (text) => {
      seen.encoded++
      return text === "unspeakable" ? undefined : text
    },
    onDelivered: (messages) => void (seen.delivered += messages)
  })
  const member = (id: string) => {
    const writer = new FakeWriter()
    const limits = { outboxBytes: 1e9, outboxMessages: 1e9 }
    const outbox = new Outbox({
      budget: new Budget(Number.POSITIVE_INFINITY),
      writer,
      flusher,
      limits,
      onOverflow: () => assert.fail("nobody is slow here")
    })
    return { id, writer, outbox, join: () => batch.join(outbox, id) }
  }
  const joined = (id: string) => {
    const one = member(id)
    return { ...one, leave: one.join() }
  }
  return {
    turn,
    flusher,
    batch,
    seen,
    member,
    joined,
    send: (text: string, ...except: string[]) => batch.send(text, except)
  }
}

describe("Batch: encoding", () => {
  it("TRAP13: a message is encoded once for all members, who share its bytes", () => {
    const { joined, seen, send, turn } = make()
    const members = Array.from({ length: 50 }, (_, n) => joined(`c${n}`))
    send("a")
    send("b")
    turn.end()
    assert.strictEqual(seen.encoded, 2)
    for (const { writer } of members) {
      assert.deepStrictEqual(writer.writes, [["a", "b"]])
      assert.strictEqual(writer.slices[0]!.buffer, members[0]!.writer.slices[0]!.buffer)
    }
  })

  it("nothing is encoded for nobody, and nothing is written at the end of the turn", () => {
    const { joined, seen, send, turn } = make()
    joined("a").leave()
    assert.strictEqual(send("unheard"), 0)
    assert.strictEqual(seen.encoded, 0)
    assert.strictEqual(turn.waiting, 0)
  })

  it("answers the bytes that a message makes, all members together", () => {
    const { batch, joined, send } = make()
    joined("a")
    joined("b")
    assert.strictEqual(send("text"), 2 * wsFrame("text").length)
    assert.strictEqual(batch.deliver(new Envelope("e", 1, 1, "€", [])), 2 * wsFrame("€").length)
  })

  it("a message that cannot be encoded reaches nobody, costs nothing, and leaves the others as they are", () => {
    const { joined, send, turn } = make()
    const a = joined("a")
    const b = joined("b")
    send("one")
    assert.strictEqual(send("unspeakable", "b"), 0)
    send("two")
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["one", "two"]])
    assert.deepStrictEqual(b.writer.writes, [["one", "two"]])
  })
})

describe("Batch: who is sent what", () => {
  it("whom a publish excepts is left out of it and of nothing else, in one write", () => {
    const { batch, joined, turn } = make()
    const a = joined("a")
    const b = joined("b")
    const publish = (text: string, except: ReadonlyArray<string>) =>
      batch.deliver(new Envelope("e", 1, 1, text, except))
    publish("all", [])
    publish("not a", ["a"])
    publish("not b", ["b"])
    publish("nobody", ["a", "b", "a", "stranger"])
    publish("all again", ["stranger"])
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["all", "not b", "all again"]])
    assert.deepStrictEqual(b.writer.writes, [["all", "not a", "all again"]])
  })

  it("exceptions of one turn are forgotten in the next", () => {
    const { joined, send, turn } = make()
    const a = joined("a")
    send("one", "a")
    turn.end()
    send("two")
    send("three")
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["two", "three"]])
  })

  it("who joins in the middle of a turn is sent what comes after", () => {
    const { joined, member, send, turn } = make()
    joined("a")
    const late = member("late")
    send("before")
    late.join()
    send("after")
    turn.end()
    send("next turn")
    turn.end()
    assert.deepStrictEqual(late.writer.writes, [["after"], ["next turn"]])
  })

  it("who joined in the middle of a turn is left out of nothing else in the next", () => {
    const { joined, member, send, turn } = make()
    joined("a")
    const late = member("late")
    send("before")
    late.join()
    turn.end()
    send("one")
    send("not late", "late")
    send("two")
    turn.end()
    assert.deepStrictEqual(late.writer.writes, [["one", "two"]])
  })

  it("who joins in the middle of a turn in which nothing more comes is written nothing", () => {
    const { joined, member, send, turn } = make()
    joined("a")
    const late = member("late")
    send("before")
    late.join()
    turn.end()
    assert.deepStrictEqual(late.writer.writes, [])
  })

  it("who leaves in the middle of a turn is sent what came before, at its end", () => {
    const { joined, send, turn } = make()
    joined("a")
    const b = joined("b")
    send("before")
    send("not b", "b")
    b.leave()
    send("after")
    assert.deepStrictEqual(b.writer.writes, [])
    turn.end()
    send("next turn")
    turn.end()
    assert.deepStrictEqual(b.writer.writes, [["before"]])
  })

  it("the last who leaves in the middle of a turn is sent what came before as well", () => {
    const { batch, joined, send, turn } = make()
    const a = joined("a")
    send("before")
    a.leave()
    assert.strictEqual(batch.size, 0)
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["before"]])
  })

  it("who leaves and joins again in one turn misses what came between, and is written once", () => {
    const { joined, send, turn } = make()
    const a = joined("a")
    send("one")
    a.leave()
    send("unheard")
    const leave = a.join()
    send("two")
    leave()
    a.join()
    send("three")
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["one", "two", "three"]])
  })

  it("leaving again does nothing, also to a later seat", () => {
    const { batch, joined, send, turn } = make()
    const a = joined("a")
    a.leave()
    a.join()
    a.leave()
    assert.strictEqual(batch.size, 1)
    send("heard")
    turn.end()
    assert.deepStrictEqual(a.writer.texts, ["heard"])
  })

  it("a connection that joins twice is sent everything once, until it has left twice", () => {
    const { batch, joined, send, turn } = make()
    const a = joined("a")
    send("one")
    const leave = a.join()
    assert.strictEqual(batch.size, 1)
    send("two")
    turn.end()
    a.leave()
    a.leave()
    assert.strictEqual(batch.size, 1, "the same way out, taken again, is no second one")
    send("three")
    turn.end()
    send("four")
    leave()
    assert.strictEqual(batch.size, 0)
    send("five")
    turn.end()
    assert.deepStrictEqual(a.writer.texts, ["one", "two", "three", "four"])
  })

  it("a connection that has joined twice is left out of what it is to be left out of", () => {
    const { joined, send, turn } = make()
    const [a, other] = [joined("a"), joined("b")]
    a.join()
    send("not theirs", "a")
    send("theirs")
    turn.end()
    assert.deepStrictEqual(a.writer.texts, ["theirs"])
    assert.deepStrictEqual(other.writer.texts, ["not theirs", "theirs"])
  })
})

describe("Batch: much in one turn", () => {
  const large = "x".repeat(fullAt / 2)

  it("what is full does not wait for the end of the turn, and what comes after does", () => {
    const { joined, send, turn } = make()
    const a = joined("a")
    send("first")
    send(large)
    assert.deepStrictEqual(a.writer.writes, [])
    send(large)
    assert.deepStrictEqual(a.writer.writes, [["first", large, large]])
    send("last")
    turn.end()
    assert.deepStrictEqual(a.writer.writes.slice(1), [["last"]])
  })

  it("who joins behind it, and whom it excepted, are sent what comes after", () => {
    const { joined, member, send, turn } = make()
    const a = joined("a")
    const late = member("late")
    send(large, "a")
    late.join()
    send(large, "a", "late")
    send("last")
    turn.end()
    assert.deepStrictEqual(a.writer.texts, ["last"])
    assert.deepStrictEqual(late.writer.texts, ["last"])
  })
})

describe("Batch: what it counts", () => {
  it("are its seats", () => {
    const { batch, joined, member } = make()
    const a = joined("a")
    member("b").join()
    assert.strictEqual(batch.size, 2)
    a.leave()
    assert.strictEqual(batch.size, 1)
  })

  it("are the messages handed to connections, without those they were left out of or came too late for", () => {
    const { joined, member, seen, send, turn } = make()
    joined("a")
    const b = joined("b")
    const late = member("late")
    send("to a", "b")
    send("to both")
    assert.strictEqual(seen.delivered, 0)
    late.join()
    b.leave()
    send("to a and late")
    turn.end()
    assert.strictEqual(seen.delivered, 1 + 2 + 2)
  })
})
