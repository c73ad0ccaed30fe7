import { assert, describe, it } from "@effect/vitest"
import { Batch } from "../../../src/websocket/internal/batch.ts"
import { fullAt } from "../../../src/websocket/internal/frames.ts"
import { Budget } from "../../../src/websocket/internal/budget.ts"
import { Flusher } from "../../../src/websocket/internal/flusher.ts"
import { Outbox } from "../../../src/websocket/Outbox.ts"
import { survivors } from "../../support/memory.ts"
import { FakeWriter, HandTurn, wsFrame } from "../../support/outbound.ts"

const make = (limits = { outboxBytes: 1e9, outboxMessages: 1e9 }) => {
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const room = (everybody = false) =>
    new Batch<string>({ flusher, encode: (text) => text, everybody, onDelivered: () => {} })
  const member = (id: string, onOverflow = () => {}) => {
    const writer = new FakeWriter()
    const outbox = new Outbox({
      budget: new Budget(Number.POSITIVE_INFINITY),
      writer,
      flusher,
      limits,
      onOverflow
    })
    return {
      writer,
      reply: (text: string) => outbox.offer(wsFrame(text)),
      join: (batch: Batch<string>) => batch.join(outbox, id)
    }
  }
  return { turn, flusher, room, member }
}

describe("Flusher: one order and one write", () => {
  it("a connection gets the frames of several rooms and its own in the order in which they were sent", () => {
    const { member, room, turn } = make()
    const [one, two, three] = [room(), room(), room()]
    const a = member("a")
    for (const batch of [one, two, three]) a.join(batch)
    two.send("1", [])
    a.reply("2")
    one.send("3", [])
    two.send("4", [])
    two.send("not for a", ["a"])
    two.send("5", [])
    three.send("not for a", ["a"])
    a.reply("6")
    a.reply("7")
    one.send("8", [])
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["1", "2", "3", "4", "5", "6", "7", "8"]])
  })

  it("what goes to everybody stands where it was sent, and comes to those who are in no room as well", () => {
    const { member, room, turn } = make()
    const [one, all] = [room(), room(true)]
    const [inside, outside] = [member("inside"), member("outside")]
    for (const { join } of [inside, outside]) join(all)
    inside.join(one)
    one.send("1", [])
    all.send("2", [])
    inside.reply("3")
    all.send("not for inside", ["inside"])
    one.send("4", [])
    turn.end()
    all.send("5", [])
    turn.end()
    assert.deepStrictEqual(inside.writer.writes, [["1", "2", "3", "4"], ["5"]])
    assert.deepStrictEqual(outside.writer.writes, [["2", "not for inside"], ["5"]])
  })

  it("those who are in one of the rooms get that room's, and what they have of their own", () => {
    const { member, room, turn } = make()
    const [one, two] = [room(), room()]
    const [both, first, second] = [member("both"), member("first"), member("second")]
    for (const batch of [one, two]) both.join(batch)
    first.join(one)
    second.join(two)
    one.send("1", [])
    two.send("2", [])
    second.reply("3")
    one.send("4", [])
    two.send("5", [])
    turn.end()
    assert.deepStrictEqual(both.writer.writes, [["1", "2", "4", "5"]])
    assert.deepStrictEqual(first.writer.writes, [["1", "4"]])
    assert.deepStrictEqual(second.writer.writes, [["2", "3", "5"]])
  })

  it("a connection in two rooms of which one is silent gets the other's at the end of each turn", () => {
    const { member, room, turn } = make()
    const [one, two] = [room(), room()]
    const a = member("a")
    for (const batch of [one, two]) a.join(batch)
    one.send("1", [])
    one.send("2", [])
    turn.end()
    two.send("3", [])
    turn.end()
    one.send("4", [])
    two.send("5", [])
    turn.end()
    two.send("6", [])
    two.send("7", [])
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["1", "2"], ["3"], ["4", "5"], ["6", "7"]])
  })

  it("what was held for a room that was left stands where it was sent", () => {
    const { member, room, turn } = make()
    const [one, two] = [room(), room()]
    const a = member("a")
    const leave = a.join(one)
    a.join(two)
    one.send("1", [])
    two.send("2", [])
    one.send("3", [])
    leave()
    two.send("4", [])
    one.send("unheard", [])
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["1", "2", "3", "4"]])
  })

  it("a room that is full takes with it what all connections have been sent before", () => {
    const { member, room, turn } = make()
    const [one, two] = [room(), room()]
    const [a, b] = [member("a"), member("b")]
    for (const batch of [one, two]) a.join(batch)
    b.join(two)
    const large = "x".repeat(fullAt)
    a.reply("1")
    two.send("2", [])
    b.reply("3")
    one.send(large, [])
    assert.deepStrictEqual(a.writer.writes, [["1", "2", large]])
    assert.deepStrictEqual(b.writer.writes, [["2", "3"]])
    two.send("4", [])
    a.reply("5")
    turn.end()
    assert.deepStrictEqual(a.writer.writes.slice(1), [["4", "5"]])
    assert.deepStrictEqual(b.writer.writes.slice(1), [["4"]])
  })
})

describe("Flusher: the end of the turn", () => {
  it("is asked for once per turn, whoever has something, and again in the next", () => {
    const { member, room, turn } = make()
    const [one, two] = [room(), room()]
    const [a, b] = [member("a"), member("b")]
    a.join(one)
    b.join(two)
    for (const text of ["1", "2"]) {
      assert.strictEqual(turn.waiting, 0)
      one.send(text, [])
      two.send(text, [])
      a.reply(text)
      b.reply(text)
      assert.strictEqual(turn.waiting, 1)
      turn.end()
    }
    assert.strictEqual(a.writer.writes.length, 2)
  })

  it("brings what came after a flush in the same turn, and nothing twice", () => {
    const { flusher, member, room, turn } = make()
    const batch = room()
    const a = member("a")
    a.join(batch)
    batch.send("1", [])
    flusher.flush()
    flusher.flush()
    assert.deepStrictEqual(a.writer.writes, [["1"]])
    batch.send("2", [])
    a.reply("3")
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["1"], ["2", "3"]])
    turn.end()
    assert.strictEqual(a.writer.writes.length, 2)
  })

  it("a flush by hand leaves the next message to be written at the end of its turn", () => {
    const { flusher, member, turn } = make()
    const a = member("a")
    flusher.flush()
    a.reply("1")
    assert.strictEqual(turn.waiting, 1)
    turn.end()
    assert.deepStrictEqual(a.writer.writes, [["1"]])
  })

  it("keeps nothing of a turn that is over", async () => {
    const { member, room, turn } = make()
    const gone = [true, false].map((everybody) => {
      const batch = room(everybody)
      const a = member("a")
      const leave = a.join(batch)
      batch.send("1", [])
      a.reply("2")
      turn.end()
      leave()
      return [new WeakRef<object>(batch), new WeakRef<object>(a.writer)]
    })
    assert.deepStrictEqual(await survivors(gone.flat()), [])
  })

  it("G8: who is cut in it, and leaves its rooms in that very step, costs the others nothing", () => {
    const { member, room, turn } = make({ outboxBytes: 10, outboxMessages: 10 })
    const [one, two] = [room(), room()]
    const leaves: Array<() => void> = []
    const [first, last] = [member("first"), member("last")]
    const slow = member("slow", () => {
      for (const leave of leaves) leave()
    })
    slow.writer.room = 0
    for (const batch of [one, two]) {
      first.join(batch)
      leaves.push(slow.join(batch))
      last.join(batch)
    }
    const texts = ["1", "2", "3", "4", "5", "6"]
    for (const [n, text] of texts.entries()) [one, two][n % 2]!.send(text, [])
    turn.end()
    one.send("7", [])
    turn.end()
    assert.deepStrictEqual(first.writer.texts, [...texts, "7"])
    assert.deepStrictEqual(last.writer.texts, [...texts, "7"])
    assert.deepStrictEqual(slow.writer.texts, ["1", "2", "3"])
    assert.strictEqual(one.size + two.size, 4)
  })

  it("a writer that throws is reported, and the others are served, in that turn and the next", () => {
    const { flusher, member, room, turn } = make()
    const [one, two] = [room(), room()]
    const [first, bad, last] = [member("first"), member("bad"), member("last")]
    for (const each of [first, bad, last]) each.join(one)
    last.join(two)
    const boom = new Error("boom")
    Object.assign(bad.writer, {
      write: () => {
        throw boom
      }
    })
    one.send("1", ["last"])
    two.send("2", [])
    assert.throws(() => flusher.flush(), boom.message)
    assert.deepStrictEqual([first.writer.texts, last.writer.texts], [["1"], ["2"]])
    Object.assign(bad.writer, { write: () => undefined })
    one.send("3", [])
    turn.end()
    assert.deepStrictEqual(
      [first.writer.texts, last.writer.texts],
      [
        ["1", "3"],
        ["2", "3"]
      ]
    )
  })
})
