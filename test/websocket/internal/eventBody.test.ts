import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Cursor } from "../../../src/internal/cursor.ts"
import { Budget } from "../../../src/websocket/internal/budget.ts"
import { EventBody } from "../../../src/websocket/internal/eventBody.ts"
import { Flusher } from "../../../src/websocket/internal/flusher.ts"
import { Frames } from "../../../src/websocket/internal/frames.ts"
import { Outbox } from "../../../src/websocket/Outbox.ts"
import { HandTurn } from "../../support/outbound.ts"

/** A body, and how frames are written to it as one run. */
const make = () => {
  const body = new EventBody()
  const write = (...texts: ReadonlyArray<string>) => {
    const frames = new Frames()
    for (const [place, text] of texts.entries()) frames.push(Buffer.from(text), place)
    body.write([{ frames, from: 0, to: texts.length }], frames.bytes)
  }
  const polled = () => body.poll().map((chunk) => Buffer.from(chunk).toString())
  return { body, write, polled, reader: new Cursor(body).view((chunk) => Buffer.from(chunk).toString()) }
}

describe("EventBody", () => {
  it("hands out what was written, a run at a time and in order", () => {
    const { polled, write } = make()
    write("a", "b")
    write("c")
    assert.deepStrictEqual([polled(), polled(), polled()], [["ab"], ["c"], []])
  })

  it("counts what was written and not handed out", () => {
    const { body, polled, write } = make()
    write("four")
    write("€")
    assert.strictEqual(body.unsentBytes(), 7)
    polled()
    assert.strictEqual(body.unsentBytes(), 3)
    polled()
    polled()
    assert.strictEqual(body.unsentBytes(), 0)
  })

  it("writes each run of several", () => {
    const { body, polled } = make()
    const frames = new Frames()
    for (const [place, text] of ["a", "b", "c", "d"].entries()) frames.push(Buffer.from(text), place)
    body.write(
      [
        { frames, from: 0, to: 1 },
        { frames, from: 2, to: 4 }
      ],
      3
    )
    assert.deepStrictEqual([...polled(), ...polled()], ["a", "cd"])
    assert.strictEqual(body.unsentBytes(), 0)
  })

  it("keeps what was written although the frames are used again", () => {
    const { body, polled } = make()
    const frames = new Frames()
    frames.push(Buffer.from("a"), 1)
    frames.push(Buffer.from("b"), 2)
    body.write([{ frames, from: 0, to: 2 }], 2)
    frames.clear()
    frames.push(Buffer.from("c"), 3)
    assert.deepStrictEqual(polled(), ["ab"])
  })

  it.effect("wakes a reader that waits, once", () =>
    Effect.gen(function* () {
      const { body, reader, write } = make()
      const fiber = yield* Effect.forkChild(reader.take, { startImmediately: true })
      assert.isDefined(body.waiter)
      write("news")
      assert.isUndefined(body.waiter)
      assert.strictEqual(yield* Fiber.join(fiber), "news")
      write("more")
      assert.strictEqual(yield* reader.take, "more")
    })
  )

  it.effect("ends behind what waits", () =>
    Effect.gen(function* () {
      const { body, reader, write } = make()
      write("one")
      write("two")
      body.end()
      body.end()
      assert.isFalse(body.open)
      assert.deepStrictEqual(yield* Stream.runCollect(reader.stream), ["one", "two"])
    })
  )

  it.effect("wakes a reader at its end", () =>
    Effect.gen(function* () {
      const { body, reader } = make()
      const fiber = yield* Effect.forkChild(Effect.flip(reader.take), { startImmediately: true })
      assert.isTrue(body.open)
      body.end()
      assert.isTrue(Cause.isDone(yield* Fiber.join(fiber)))
    })
  )

  it("behind an outbox takes up to the bounds, and nothing after its end", () => {
    const turn = new HandTurn()
    const { body, polled } = make()
    let overflows = 0
    const outbox = new Outbox({
      writer: body,
      limits: { outboxBytes: 10, outboxMessages: 3 },
      flusher: new Flusher(turn),
      budget: new Budget(1e9),
      onOverflow: () => {
        overflows++
        body.end()
      }
    })
    const offer = (text: string) => {
      outbox.offer(Buffer.from(text))
      turn.end()
    }
    for (const text of ["1", "2", "3"]) offer(text)
    assert.strictEqual(outbox.unsentMessages, 3)
    assert.deepStrictEqual(polled(), ["1"])
    assert.strictEqual(outbox.unsentMessages, 2)
    offer("4")
    assert.strictEqual(overflows, 0)
    offer("5")
    offer("6")
    assert.strictEqual(overflows, 1)
    assert.deepStrictEqual([...polled(), ...polled(), ...polled(), ...polled()], ["2", "3", "4"])
  })
})
