import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Batch } from "../../src/websocket/internal/batch.ts"
import { fullAt } from "../../src/websocket/internal/frames.ts"
import { Budget } from "../../src/websocket/internal/budget.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Outbox, type OutboxLimits } from "../../src/websocket/Outbox.ts"
import { usedHeap } from "../support/memory.ts"
import { FakeWriter, HandTurn, wsFrame } from "../support/outbound.ts"

const make = (limits: Partial<OutboxLimits> = {}) => {
  const writer = new FakeWriter()
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const seen = { overflows: 0 }
  const outbox = new Outbox({
    budget: new Budget(Number.POSITIVE_INFINITY),
    writer,
    flusher,
    limits: { outboxBytes: 100, outboxMessages: 5, ...limits },
    onOverflow: () => void seen.overflows++
  })
  const batch = () => new Batch<string>({ flusher, encode: (text) => text, onDelivered: () => {} })
  return { writer, turn, outbox, seen, batch, offer: (text: string) => outbox.offer(wsFrame(text)) }
}

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `m${n}`)

describe("Outbox: the end of the turn", () => {
  it("what is offered is written then, in order and with one write, and not before", () => {
    const { offer, outbox, turn, writer } = make()
    assert.isTrue(offer("a"))
    assert.isTrue(offer("b"))
    assert.isTrue(outbox.holds)
    assert.deepStrictEqual(writer.writes, [])
    turn.end()
    assert.isFalse(outbox.holds)
    assert.deepStrictEqual(writer.writes, [["a", "b"]])
    offer("c")
    turn.end()
    turn.end()
    assert.deepStrictEqual(writer.writes, [["a", "b"], ["c"]])
  })

  it("is asked for once, however much is offered, and not at all where nothing is", () => {
    const { offer, turn } = make()
    assert.strictEqual(turn.waiting, 0)
    for (const text of numbered(5)) offer(text)
    assert.strictEqual(turn.waiting, 1)
  })

  it("is not waited for by a connection that has as much as a batch may hold", () => {
    const { offer, turn, writer } = make({ outboxBytes: 1e9, outboxMessages: 1e9 })
    const large = "x".repeat(fullAt / 2)
    offer(large)
    assert.deepStrictEqual(writer.writes, [])
    offer(large)
    assert.deepStrictEqual(writer.writes, [[large, large]])
    turn.end()
    assert.strictEqual(writer.writes.length, 1)
  })
})

describe("Outbox: its bounds", () => {
  it("what the peer takes at once is never counted", () => {
    const { offer, outbox, turn, writer } = make({ outboxMessages: 1, outboxBytes: 1 })
    for (let i = 0; i < 5000; i++) {
      assert.isTrue(offer("message"))
      if (i % 7 === 0) turn.end()
    }
    turn.end()
    assert.strictEqual(outbox.unsentMessages, 0)
    assert.strictEqual(outbox.takenBytes, 5000 * 9)
    assert.strictEqual(writer.texts.length, 5000)
  })

  it("what is over a bound in one turn is not refused for a peer that takes everything", () => {
    const { offer, turn, writer } = make({ outboxMessages: 3, outboxBytes: 30 })
    for (const text of numbered(100)) assert.isTrue(offer(text))
    turn.end()
    assert.deepStrictEqual(writer.texts, numbered(100))
  })

  it("refuses the message that would be over the bound of messages, and writes nothing of it", () => {
    const { offer, seen, turn, writer } = make()
    writer.room = 0
    const answers = numbered(7).map(offer)
    assert.deepStrictEqual(answers, [true, true, true, true, true, false, false])
    turn.end()
    assert.deepStrictEqual(writer.texts, ["m0", "m1", "m2", "m3", "m4"])
    assert.strictEqual(seen.overflows, 1)
  })

  it("refuses the message that would be over the bound of bytes", () => {
    const { offer, seen, turn, writer } = make()
    writer.room = 0
    assert.isTrue(offer("x".repeat(48)))
    turn.end()
    assert.isTrue(offer("y".repeat(48)))
    assert.strictEqual(seen.overflows, 0)
    assert.isFalse(offer("z"))
    assert.strictEqual(seen.overflows, 1)
    assert.deepStrictEqual(writer.texts, ["x".repeat(48), "y".repeat(48)])
  })

  it("a message larger than the bound goes out when nothing waits, and nothing behind it", () => {
    const { offer, outbox, seen, turn, writer } = make()
    writer.room = 0
    assert.isTrue(offer("x".repeat(500)))
    turn.end()
    assert.strictEqual(writer.unsent, 504)
    writer.take(504)
    assert.isTrue(offer("y".repeat(500)))
    assert.isFalse(offer("z"))
    assert.strictEqual(seen.overflows, 1)
    assert.strictEqual(outbox.unsentMessages, 1)
    assert.deepStrictEqual(
      writer.texts.map((text) => text[0]),
      ["x", "y"]
    )
  })

  it("takes messages again once the peer has taken some", () => {
    const { offer, outbox, turn, writer } = make()
    writer.room = 0
    for (let i = 0; i < 5; i++) offer("four")
    turn.end()
    writer.take(5)
    assert.strictEqual(outbox.unsentMessages, 5, "a message taken in part is still unsent")
    writer.take(1)
    assert.strictEqual(outbox.unsentMessages, 4)
    assert.isTrue(offer("four"))
    assert.isFalse(offer("four"))
  })

  it("takes nothing any more once it has refused a message, whatever the peer takes then", () => {
    const { offer, outbox, seen, turn, writer } = make()
    writer.room = 0
    for (let i = 0; i < 6; i++) offer("four")
    writer.take(1000)
    assert.isFalse(offer("four"))
    outbox.end()
    turn.end()
    assert.strictEqual(writer.texts.length, 5)
    assert.strictEqual(seen.overflows, 1)
  })

  it("counts bytes of multi-byte text, not characters", () => {
    const { offer, writer } = make()
    writer.room = 0
    assert.isTrue(offer("a"))
    assert.isTrue(offer("€".repeat(31)))
    assert.isTrue(offer(""))
    assert.isFalse(offer("a"))
    const other = make()
    other.writer.room = 0
    assert.isTrue(other.offer("a"))
    assert.isFalse(other.offer("€".repeat(33)))
  })

  it("remembers no more than what is unsent, however long it runs", () => {
    const { offer, outbox, turn, writer } = make({ outboxMessages: 3000, outboxBytes: 1_000_000 })
    writer.room = 0
    for (let i = 0; i < 20_000; i++) {
      assert.isTrue(offer("again"))
      turn.end()
      if (outbox.unsentMessages > 1500) writer.take(7)
    }
    assert.isAtMost(outbox.unsentMessages, 1501)
    writer.take(Number.MAX_SAFE_INTEGER)
    assert.strictEqual(outbox.unsentMessages, 0)
  })

  it("remembers nothing of what was taken between two turns, although nobody asks how much is unsent", async () => {
    const turn = new HandTurn()
    const flusher = new Flusher(turn)
    let unsent = 0
    const outbox = new Outbox({
      budget: new Budget(Number.POSITIVE_INFINITY),
      writer: {
        open: true,
        congested: false,
        write: (_runs, bytes) => void (unsent = bytes),
        unsentBytes: () => unsent
      },
      limits: { outboxBytes: 1e9, outboxMessages: 1e9 },
      flusher,
      onOverflow: () => {}
    })
    const room = new Batch<string>({ flusher, encode: (text) => text, onDelivered: () => {} })
    room.join(outbox, "a")
    const before = await usedHeap()
    for (let n = 0; n < 1000; n++) {
      for (let message = 0; message < 1000; message++) room.send("again", [])
      turn.end()
      unsent = 0
    }
    assert.isBelow((await usedHeap()) - before, 4_000_000)
    assert.strictEqual(outbox.takenBytes, 1000 * 1000 * 7)
  })
})

describe("Outbox: what batches give it", () => {
  it("over a bound of messages goes out as far as the bound, although nothing waited", () => {
    const { batch, outbox, seen, turn, writer } = make()
    writer.room = 0
    const room = batch()
    room.join(outbox, "a")
    for (const text of numbered(20)) room.send(text, [])
    turn.end()
    assert.deepStrictEqual(writer.texts, numbered(5))
    assert.strictEqual(outbox.unsentMessages, 5)
    assert.strictEqual(seen.overflows, 1)
  })

  it("over a bound of bytes goes out as far as the bound, although nothing waited", () => {
    const { batch, outbox, seen, turn, writer } = make({ outboxMessages: 1000 })
    writer.room = 0
    const room = batch()
    room.join(outbox, "a")
    for (const text of numbered(50)) room.send(text, [])
    turn.end()
    assert.isAtMost(writer.unsent, 100)
    assert.isAbove(writer.unsent, 100 - 5)
    assert.deepStrictEqual(writer.texts, numbered(50).slice(0, writer.texts.length))
    assert.strictEqual(seen.overflows, 1)
  })

  it("over a bound is not refused for a peer that takes everything", () => {
    const { batch, outbox, seen, turn, writer } = make()
    const rooms = [batch(), batch()] as const
    for (const room of rooms) room.join(outbox, "a")
    for (const [n, text] of numbered(50).entries()) rooms[n % 2]!.send(text, [])
    turn.end()
    assert.deepStrictEqual(writer.texts, numbered(50))
    assert.strictEqual(seen.overflows, 0)
  })

  it("goes out before a message that is refused", () => {
    const { batch, offer, outbox, turn, writer } = make()
    writer.room = 0
    const room = batch()
    room.join(outbox, "a")
    for (const text of numbered(4)) room.send(text, [])
    assert.isFalse(offer("x".repeat(200)) && offer("y"), "one of them is over the bound")
    turn.end()
    assert.deepStrictEqual(writer.texts.slice(0, 4), numbered(4))
    assert.notInclude(writer.texts, "y")
  })
})

describe("Outbox: its end", () => {
  it("writes what there is of the turn, batches included, and takes nothing more", () => {
    const { batch, offer, outbox, seen, turn, writer } = make()
    const room = batch()
    room.join(outbox, "a")
    offer("own")
    room.send("of a room", [])
    outbox.end()
    assert.deepStrictEqual(writer.writes, [["own", "of a room"]])
    assert.isFalse(offer("late"))
    room.send("late of a room", [])
    outbox.end()
    turn.end()
    assert.deepStrictEqual(writer.texts, ["own", "of a room"])
    assert.strictEqual(seen.overflows, 0)
  })

  it("writes as much as fits, and says once that there was more", () => {
    const { batch, outbox, seen, writer } = make()
    writer.room = 0
    const room = batch()
    room.join(outbox, "a")
    for (const text of numbered(8)) room.send(text, [])
    outbox.end()
    outbox.end()
    assert.deepStrictEqual(writer.texts, numbered(5))
    assert.strictEqual(seen.overflows, 1)
  })

  it("writes nothing where somebody else has begun to close", () => {
    const { offer, outbox, turn, writer } = make()
    offer("held")
    writer.open = false
    turn.end()
    outbox.end()
    assert.deepStrictEqual(writer.texts, [])
  })
})

const Step = Schema.TaggedUnion({
  Offer: { bytes: Schema.Literals([0, 1, 10, 50, 120]) },
  Take: { bytes: Schema.Literals([1, 3, 12, 60, 1000]) },
  Room: { bytes: Schema.Literals([0, 5, 100]) },
  EndTurn: {}
})
const sum = (sizes: ReadonlyArray<number>) => sizes.reduce((total, size) => total + size, 0)
const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 60 })

it.prop("unsent messages are exactly those the peer has not taken wholly, and the bounds hold", [steps], ([list]) => {
  const { offer, outbox, seen, turn, writer } = make()
  writer.room = 0
  /** Bytes of each message that was written and that the peer has not taken, and sizes of those that are held. */
  let waiting: Array<number> = []
  let held: Array<number> = []
  let room = 0
  const take = (bytes: number) => {
    let left = bytes
    waiting = waiting.flatMap((rest) => {
      const gone = Math.min(left, rest)
      left -= gone
      return rest === gone ? [] : [rest - gone]
    })
  }
  const write = () => {
    const atOnce = sum(waiting) === 0 ? Math.min(room, sum(held)) : 0
    waiting.push(...held)
    held = []
    room -= atOnce
    take(atOnce)
  }
  const fits = (bytes: number) => {
    const all = [...waiting, ...held]
    return all.length === 0 || (sum(all) + bytes <= 100 && all.length < 5)
  }
  let refused = false
  for (const step of list) {
    if (step._tag === "Room") writer.room = room = step.bytes
    if (step._tag === "EndTurn") {
      turn.end()
      write()
    }
    if (step._tag === "Take") {
      writer.take(step.bytes)
      take(step.bytes)
    }
    if (step._tag === "Offer") {
      const bytes = step.bytes + 2
      if (!refused && !fits(bytes)) write()
      refused ||= !fits(bytes)
      assert.strictEqual(offer("x".repeat(step.bytes)), !refused)
      if (!refused) held.push(bytes)
    }
    assert.strictEqual(seen.overflows, refused ? 1 : 0)
    assert.strictEqual(outbox.unsentMessages, waiting.length)
    assert.strictEqual(writer.unsent, sum(waiting))
    assert.isTrue(waiting.length <= 5 && (writer.unsent <= 100 || waiting.length === 1))
  }
})
