import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Arbitrary from "effect/Arbitrary"
import { Outbox, type OutboxLimits, type Writer } from "../../src/websocket/Outbox.ts"

/** A peer that takes what the test says, behind frames of two bytes of header. */
class FakeWriter implements Writer {
  readonly texts: Array<string> = []
  /** What the kernel takes at once. */
  room = 0
  unsent = 0

  write(text: string): number {
    const bytes = Buffer.byteLength(text) + 2
    this.texts.push(text)
    const atOnce = this.unsent === 0 ? Math.min(this.room, bytes) : 0
    this.room -= atOnce
    this.unsent += bytes - atOnce
    return bytes
  }

  take(bytes: number): void {
    this.unsent = Math.max(0, this.unsent - bytes)
  }

  unsentBytes(): number {
    return this.unsent
  }
}

const make = (limits: Partial<OutboxLimits> = {}) => {
  const writer = new FakeWriter()
  return { writer, outbox: new Outbox(writer, { outboxBytes: 100, outboxMessages: 5, ...limits }) }
}

describe("Outbox", () => {
  it("what the peer takes at once is never counted", () => {
    const { outbox, writer } = make({ outboxMessages: 1, outboxBytes: 1 })
    writer.room = 1_000_000
    for (let i = 0; i < 5000; i++) assert.isTrue(outbox.offer("message"))
    assert.strictEqual(outbox.unsentMessages, 0)
    assert.strictEqual(outbox.takenBytes, 5000 * 9)
  })

  it("refuses the message that would be over the bound of messages, and writes nothing of it", () => {
    const { outbox, writer } = make()
    const answers = Array.from({ length: 7 }, (_, i) => outbox.offer(`m${i}`))
    assert.deepStrictEqual(answers, [true, true, true, true, true, false, false])
    assert.deepStrictEqual(writer.texts, ["m0", "m1", "m2", "m3", "m4"])
  })

  it("refuses the message that would be over the bound of bytes", () => {
    const { outbox } = make()
    assert.isTrue(outbox.offer("x".repeat(48)))
    assert.isTrue(outbox.offer("y".repeat(48)))
    assert.isFalse(outbox.offer("z"))
  })

  it("a message larger than the bound goes out when nothing waits, and nothing behind it", () => {
    const { outbox, writer } = make()
    assert.isTrue(outbox.offer("x".repeat(500)))
    assert.isFalse(outbox.offer("y"))
    writer.take(502)
    assert.isTrue(outbox.offer("y"))
  })

  it("takes messages again once the peer has taken some", () => {
    const { outbox, writer } = make()
    for (let i = 0; i < 5; i++) outbox.offer("four")
    assert.isFalse(outbox.offer("four"))
    writer.take(5)
    assert.isFalse(outbox.offer("four"), "a message taken in part is still unsent")
    writer.take(1)
    assert.isTrue(outbox.offer("four"))
    assert.isFalse(outbox.offer("four"))
  })

  it("counts bytes of multi-byte text, not characters", () => {
    const { outbox } = make()
    assert.isTrue(outbox.offer("a"))
    assert.isFalse(outbox.offer("€".repeat(33)))
    assert.isTrue(outbox.offer("€".repeat(32)))
  })

  const Step = Schema.TaggedUnion({
    Offer: { bytes: Schema.Literals([0, 1, 10, 50]) },
    Take: { bytes: Schema.Literals([1, 3, 12, 60, 1000]) },
    Room: { bytes: Schema.Literals([5, 100]) }
  })
  const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 60 })

  it.prop("unsent messages are exactly those the peer has not taken wholly, and the bounds hold", [steps], ([list]) => {
    const { outbox, writer } = make()
    /** Bytes of each message that the peer has not taken. */
    let waiting: Array<number> = []
    const takeFrom = (bytes: number) => {
      let left = bytes
      waiting = waiting.flatMap((rest) => {
        const gone = Math.min(left, rest)
        left -= gone
        return rest === gone ? [] : [rest - gone]
      })
    }
    for (const step of list) {
      const unsent = waiting.reduce((sum, rest) => sum + rest, 0)
      if (step._tag === "Room") writer.room = step.bytes
      if (step._tag === "Take") {
        writer.take(step.bytes)
        takeFrom(step.bytes)
      }
      if (step._tag === "Offer") {
        const fits = unsent === 0 || (unsent + step.bytes <= 100 && waiting.length < 5)
        const room = writer.room
        assert.strictEqual(outbox.offer("x".repeat(step.bytes)), fits)
        if (fits) waiting.push(step.bytes + 2)
        if (fits && unsent === 0) takeFrom(room)
      }
      assert.strictEqual(outbox.unsentMessages, waiting.length)
      assert.strictEqual(
        writer.unsent,
        waiting.reduce((sum, rest) => sum + rest, 0)
      )
    }
  })

  it("remembers no more than what is unsent, however long it runs", () => {
    const { outbox, writer } = make({ outboxMessages: 3000, outboxBytes: 1_000_000 })
    outbox.offer("first")
    for (let i = 0; i < 20_000; i++) {
      outbox.offer("again")
      if (outbox.unsentMessages > 1500) writer.take(7)
    }
    assert.isAtMost(outbox.unsentMessages, 1501)
    writer.take(Number.MAX_SAFE_INTEGER)
    assert.strictEqual(outbox.unsentMessages, 0)
  })
})
