/**
 * The bounds of an outbox: what is counted, what is refused, what is remembered.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Batch } from "../../src/websocket/internal/batch.ts"
import { Budget } from "../../src/websocket/internal/budget.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Outbox } from "../../src/websocket/Outbox.ts"
import { usedHeap } from "../support/memory.ts"
import { HandTurn } from "../support/outbound.ts"
import { makeOutbox, numbered } from "../support/outboxes.ts"

describe("Outbox: its bounds", () => {
  it("what the peer takes at once is never counted", () => {
    const { offer, outbox, turn, writer } = makeOutbox({ outboxMessages: 1, outboxBytes: 1 })
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
    const { offer, turn, writer } = makeOutbox({ outboxMessages: 3, outboxBytes: 30 })
    for (const text of numbered(100)) assert.isTrue(offer(text))
    turn.end()
    assert.deepStrictEqual(writer.texts, numbered(100))
  })

  it("refuses the message that would be over the bound of messages, and writes nothing of it", () => {
    const { offer, seen, turn, writer } = makeOutbox()
    writer.room = 0
    const answers = numbered(7).map(offer)
    assert.deepStrictEqual(answers, [true, true, true, true, true, false, false])
    turn.end()
    assert.deepStrictEqual(writer.texts, ["m0", "m1", "m2", "m3", "m4"])
    assert.strictEqual(seen.overflows, 1)
  })

  it("refuses the message that would be over the bound of bytes", () => {
    const { offer, seen, turn, writer } = makeOutbox()
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
    const { offer, outbox, seen, turn, writer } = makeOutbox()
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
    const { offer, outbox, turn, writer } = makeOutbox()
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
    const { offer, outbox, seen, turn, writer } = makeOutbox()
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
    const { offer, writer } = makeOutbox()
    writer.room = 0
    assert.isTrue(offer("a"))
    assert.isTrue(offer("€".repeat(31)))
    assert.isTrue(offer(""))
    assert.isFalse(offer("a"))
    const other = makeOutbox()
    other.writer.room = 0
    assert.isTrue(other.offer("a"))
    assert.isFalse(other.offer("€".repeat(33)))
  })

  it("remembers no more than what is unsent, however long it runs", () => {
    const { offer, outbox, turn, writer } = makeOutbox({ outboxMessages: 3000, outboxBytes: 1_000_000 })
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

const Step = Schema.TaggedUnion({
  Offer: { bytes: Schema.Literals([0, 1, 10, 50, 120]) },
  Take: { bytes: Schema.Literals([1, 3, 12, 60, 1000]) },
  Room: { bytes: Schema.Literals([0, 5, 100]) },
  EndTurn: {}
})
const sum = (sizes: ReadonlyArray<number>) => sizes.reduce((total, size) => total + size, 0)
const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 60 })

it.prop("unsent messages are exactly those the peer has not taken wholly, and the bounds hold", [steps], ([list]) => {
  const { offer, outbox, seen, turn, writer } = makeOutbox()
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
