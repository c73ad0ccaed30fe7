/**
 * The outbox of a connection that loses messages: what goes to the socket, what waits behind it, and when that goes out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Batch } from "../../src/websocket/internal/batch.ts"
import { Backlog, type Policy } from "../../src/websocket/internal/backlog.ts"
import { Budget } from "../../src/websocket/internal/budget.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Outbox } from "../../src/websocket/Outbox.ts"
import { FakeWriter, HandTurn, wsFrame } from "../support/outbound.ts"

const make = (
  limits: { readonly outboxBytes?: number; readonly outboxMessages?: number } = {},
  { budget = new Budget(Number.POSITIVE_INFINITY), policy = "dropOldest" }: { budget?: Budget; policy?: Policy } = {}
) => {
  const bounds = { outboxBytes: 1e9, outboxMessages: 10, ...limits }
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const writer = new FakeWriter()
  writer.room = 0
  const seen = { overflows: 0 }
  const backlog = new Backlog({
    policy,
    limits: bounds,
    notice: ({ from, to }) => wsFrame(`gap ${from}..${to}`),
    onDropped: () => {}
  })
  const outbox = new Outbox({
    writer,
    limits: bounds,
    flusher,
    budget,
    backlog,
    onOverflow: () => void seen.overflows++
  })
  const feed = { kind: "k", room: "r" }
  const frames: Array<Buffer> = []
  const batch = new Batch<string>({
    flusher,
    encode: (text) => text,
    frame: (text) => {
      const frame = wsFrame(text)
      frames.push(frame)
      return frame
    },
    markOf: (_, seq) => ({ feed, seq, key: undefined }),
    onDelivered: () => {}
  })
  batch.join(outbox, "a")
  let seq = 0
  /** Publishes so many messages, each in a turn of its own. */
  const publish = (count: number, pad = 0) => {
    for (let n = 0; n < count; n++) {
      batch.send(`m${++seq}`.padEnd(pad, "."), [], seq)
      turn.end()
    }
  }
  const offer = (text: string) => {
    const taken = outbox.offer(wsFrame(text))
    turn.end()
    return taken
  }
  /** The peer takes all that was written, and the outbox is told of each write. */
  const takeAll = () => {
    const writes = writer.writes.length - told
    told += writes
    writer.take(Number.POSITIVE_INFINITY)
    for (let n = 0; n < writes; n++) outbox.writeTaken()
  }
  let told = 0
  return { backlog, batch, frames, offer, outbox, publish, seen, takeAll, turn, writer }
}

const texts = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => `m${from + n}`)

describe("Outbox with a backlog", () => {
  it("hands half of what may wait to the socket, and keeps the rest", () => {
    const { backlog, outbox, publish, writer } = make()
    publish(10)
    assert.deepStrictEqual(writer.texts, texts(1, 5))
    assert.strictEqual(backlog.length, 5)
    assert.strictEqual(outbox.unsentMessages, 5)
    assert.strictEqual(outbox.unsentBytes, writer.unsent + backlog.bytes)
  })

  it("hands over half of the bytes at most, and what comes in one turn in parts", () => {
    const { batch, publish, turn, writer } = make({ outboxBytes: 100, outboxMessages: 1000 })
    for (let n = 1; n <= 9; n++) batch.send(`m${n}`.padEnd(8, "."), [], n)
    turn.end()
    assert.strictEqual(writer.texts.length, 5)
    assert.strictEqual(writer.unsent, 50)
    publish(1)
    assert.strictEqual(writer.texts.length, 5)
  })

  it("writes everything at once to a peer that takes it, however much comes in one turn", () => {
    const { backlog, batch, seen, turn, writer } = make({ outboxBytes: 50 })
    writer.room = Number.POSITIVE_INFINITY
    for (let n = 1; n <= 40; n++) batch.send(`m${n}`, [], n)
    turn.end()
    assert.deepStrictEqual(writer.texts, texts(1, 40))
    assert.isFalse(backlog.waits)
    assert.strictEqual(seen.overflows, 0)
  })

  it("lets what waits go when all writes are taken, and not before", () => {
    const { outbox, publish, takeAll, writer } = make()
    publish(8)
    for (let n = 0; n < 4; n++) outbox.writeTaken()
    assert.deepStrictEqual(writer.texts, texts(1, 5))
    writer.take(Number.POSITIVE_INFINITY)
    outbox.writeTaken()
    assert.deepStrictEqual(writer.texts, texts(1, 8))
    const { length } = writer.writes
    takeAll()
    assert.strictEqual(writer.writes.length, length)
  })

  it("lets go what waits in parts, so that what is lost meanwhile is lost of the rest", () => {
    const { outbox, publish, writer } = make()
    publish(12)
    assert.deepStrictEqual(writer.texts, texts(1, 5))
    writer.take(Number.POSITIVE_INFINITY)
    for (let n = 0; n < 5; n++) outbox.writeTaken()
    assert.deepStrictEqual(writer.texts.slice(5), ["gap 6..7", ...texts(8, 12)])
    publish(20)
    writer.take(Number.POSITIVE_INFINITY)
    outbox.writeTaken()
    assert.deepStrictEqual(writer.texts.slice(11), ["gap 13..28", ...texts(29, 32)])
  })

  it("hands over no more than 64 KiB at once", () => {
    const { outbox, publish, writer } = make({ outboxMessages: 100 })
    writer.congested = true
    publish(20, 30_000)
    assert.strictEqual(writer.texts.length, 1)
    writer.take(Number.POSITIVE_INFINITY)
    outbox.writeTaken()
    assert.strictEqual(writer.texts.length, 3)
  })

  it("lets go what waits without copying it, since others wait for the same", () => {
    const { frames, outbox, publish, takeAll, writer } = make()
    publish(10)
    takeAll()
    assert.deepStrictEqual(writer.texts, texts(1, 10))
    assert.isTrue(writer.slices.every((slice, index) => slice === frames[index]))
    publish(5)
    outbox.end()
    assert.deepStrictEqual(writer.texts, texts(1, 15))
    assert.isTrue(writer.slices.every((slice, index) => slice === frames[index]))
  })

  it("what comes when the peer has taken all, and the outbox does not know yet, goes behind what waits", () => {
    const { offer, publish, takeAll, writer } = make()
    publish(7)
    writer.take(Number.POSITIVE_INFINITY)
    assert.isTrue(offer("own"))
    publish(1)
    takeAll()
    assert.deepStrictEqual(writer.texts, [...texts(1, 7), "own", "m8"])
  })

  it("does not wait behind what is not its own, such as a ping, since nobody would tell when that is taken", () => {
    const { backlog, publish, writer } = make({ outboxBytes: 100 })
    writer.unsent = 90
    publish(1, 60)
    assert.isFalse(backlog.waits)
    assert.strictEqual(writer.texts.length, 1)
  })

  it("refuses what is the connection's own when its own alone is too much, behind everything that it took", () => {
    const { offer, publish, seen, writer } = make()
    publish(30)
    const answers = Array.from({ length: 7 }, (_, n) => offer(`own${n}`))
    assert.deepStrictEqual(answers, [true, true, true, true, true, false, false])
    assert.strictEqual(seen.overflows, 1)
    assert.deepStrictEqual(writer.texts.slice(5), ["gap 6..30", "own0", "own1", "own2", "own3", "own4"])
  })

  it("refuses what is the connection's own by its bytes, too, that of the turn included", () => {
    const { outbox, publish, turn, writer } = make({ outboxBytes: 200, outboxMessages: 1000 })
    publish(50, 18)
    const own = (n: number) => outbox.offer(wsFrame(`own${n}`.padEnd(28, ".")))
    assert.deepStrictEqual([own(0), own(1)], [true, true])
    turn.end()
    assert.deepStrictEqual([own(2), own(3)], [true, false])
    turn.end()
    assert.deepStrictEqual(
      writer.texts.slice(5).map((text) => text.replace(/\.+$/, "")),
      ["gap 6..50", "own0", "own1", "own2"]
    )
  })

  it("at its end writes what waits, and nothing when somebody has begun to close", () => {
    const one = make()
    one.publish(12)
    one.outbox.end()
    assert.deepStrictEqual(one.writer.texts, [...texts(1, 5), "gap 6..7", ...texts(8, 12)])
    one.takeAll()
    one.publish(3)
    assert.strictEqual(one.writer.texts.length, 11)

    const other = make()
    other.publish(12)
    other.writer.open = false
    other.takeAll()
    other.outbox.end()
    assert.deepStrictEqual(other.writer.texts, texts(1, 5))
  })

  it("SEC29: counts what waits, and forgets it when the server needs the room", () => {
    const budget = new Budget(1000)
    const { backlog, outbox, publish, seen, writer } = make({ outboxMessages: 20 }, { budget })
    publish(10, 68)
    assert.strictEqual(budget.size, 1)
    assert.strictEqual(seen.overflows, 0)
    publish(5, 68)
    assert.strictEqual(seen.overflows, 1)
    assert.isFalse(backlog.waits)
    assert.strictEqual(outbox.unsentBytes, writer.unsent)
    assert.strictEqual(writer.texts.length, 10)
  })

  it("SEC29: keeps nothing when the server has needed the room in the midst of a turn", () => {
    const budget = new Budget(1000)
    const { backlog, batch, seen, turn, writer } = make({ outboxMessages: 40 }, { budget })
    for (let n = 1; n <= 30; n++) batch.send(`m${n}`.padEnd(68, "."), [], n)
    turn.end()
    assert.strictEqual(seen.overflows, 1)
    assert.isFalse(backlog.waits)
    assert.strictEqual(writer.texts.length, 20)
  })

  it("latest: the newest is there when the peer reads again, whatever the bounds are", () => {
    for (const outboxMessages of [2, 3, 4, 1000]) {
      const { publish, takeAll, writer } = make({ outboxMessages }, { policy: "latest" })
      publish(3000)
      while (writer.texts.at(-1) !== "m3000" && writer.unsent > 0) takeAll()
      assert.strictEqual(writer.texts.at(-1), "m3000", `with ${outboxMessages}`)
    }
  })
})
