/**
 * The outbox of a connection: the end of the turn, what batches give it, and its own end.
 */
import { assert, describe, it } from "@effect/vitest"
import { fullAt } from "../../src/websocket/internal/frames.ts"
import { makeOutbox, numbered } from "../support/outboxes.ts"

describe("Outbox: the end of the turn", () => {
  it("what is offered is written then, in order and with one write, and not before", () => {
    const { offer, outbox, turn, writer } = makeOutbox()
    assert.isTrue(offer("a"))
    assert.isTrue(offer("b"))
    assert.isTrue(outbox.isMixed)
    assert.deepStrictEqual(writer.writes, [])
    turn.end()
    assert.isFalse(outbox.isMixed)
    assert.deepStrictEqual(writer.writes, [["a", "b"]])
    offer("c")
    turn.end()
    turn.end()
    assert.deepStrictEqual(writer.writes, [["a", "b"], ["c"]])
  })

  it("is asked for once, however much is offered, and not at all where nothing is", () => {
    const { offer, turn } = makeOutbox()
    assert.strictEqual(turn.waiting, 0)
    for (const text of numbered(5)) offer(text)
    assert.strictEqual(turn.waiting, 1)
  })

  it("is not waited for by a connection that has as much as a batch may hold", () => {
    const { offer, turn, writer } = makeOutbox({ outboxBytes: 1e9, outboxMessages: 1e9 })
    const large = "x".repeat(fullAt / 2)
    offer(large)
    assert.deepStrictEqual(writer.writes, [])
    offer(large)
    assert.deepStrictEqual(writer.writes, [[large, large]])
    turn.end()
    assert.strictEqual(writer.writes.length, 1)
  })
})

describe("Outbox: what batches give it", () => {
  it("over a bound of messages goes out as far as the bound, although nothing waited", () => {
    const { batch, outbox, seen, turn, writer } = makeOutbox()
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
    const { batch, outbox, seen, turn, writer } = makeOutbox({ outboxMessages: 1000 })
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
    const { batch, outbox, seen, turn, writer } = makeOutbox()
    const rooms = [batch(), batch()] as const
    for (const room of rooms) room.join(outbox, "a")
    for (const [n, text] of numbered(50).entries()) rooms[n % 2]!.send(text, [])
    turn.end()
    assert.deepStrictEqual(writer.texts, numbered(50))
    assert.strictEqual(seen.overflows, 0)
  })

  it("goes out before a message that is refused", () => {
    const { batch, offer, outbox, turn, writer } = makeOutbox()
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
    const { batch, offer, outbox, seen, turn, writer } = makeOutbox()
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
    const { batch, outbox, seen, writer } = makeOutbox()
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
    const { offer, outbox, turn, writer } = makeOutbox()
    offer("held")
    writer.open = false
    turn.end()
    outbox.end()
    assert.deepStrictEqual(writer.texts, [])
  })
})
