/**
 * Requests to other nodes: each is waited for at most two seconds, and nothing of it stays behind.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { NotAllowed, RoomError } from "../../src/rooms/RoomError.ts"
import { RemoteAsks } from "../../src/websocket/internal/remoteAsks.ts"
import { begin, outcome } from "../support/rooms.ts"

const make = () => {
  const counts = { silences: 0 }
  const asks = new RemoteAsks(() => void counts.silences++)
  const sent: Array<number> = []
  const ask = asks.ask("b", (number) => void sent.push(number))
  return { asks, ask, counts, sent }
}

describe("a request to another node", () => {
  it.effect("ends with the answer of that node, whatever it is", () =>
    Effect.gen(function* () {
      const { ask, asks, sent } = make()
      const fibers = [yield* begin(ask), yield* begin(ask), yield* begin(outcome(ask))] as const
      assert.deepStrictEqual(sent, [1, 2, 3])
      asks.answer("c", 1, "done")
      asks.answer("b", 4, "done")
      assert.isUndefined(fibers[0].pollUnsafe())
      asks.answer("b", 2, "absent")
      asks.answer("b", 1, "done")
      asks.answer("b", 1, "absent")
      asks.answer("b", 3, new RoomError({ reason: new NotAllowed({ action: "join" }) }))
      assert.deepStrictEqual(
        [yield* Fiber.join(fibers[0]), yield* Fiber.join(fibers[1]), yield* Fiber.join(fibers[2])],
        [true, false, "NotAllowed"]
      )
      assert.strictEqual(asks.size, 0)
    })
  )

  it.effect("leaves nothing behind when it is not answered, or nobody waits any more", () =>
    Effect.gen(function* () {
      const { ask, asks, counts } = make()
      const [first, second] = [yield* begin(ask), yield* begin(outcome(ask))]
      assert.strictEqual(asks.size, 2)
      yield* Fiber.interrupt(first)
      assert.strictEqual(asks.size, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(second), "NoAnswer")
      assert.deepStrictEqual([asks.size, counts.silences], [0, 1])
      asks.answer("b", 2, "done")
    })
  )

  it.effect("is refused at once where 10,000 wait", () =>
    Effect.gen(function* () {
      const { ask, asks } = make()
      yield* begin(
        Effect.all(
          Array.from({ length: 10_000 }, () => Effect.ignore(ask)),
          { concurrency: "unbounded" }
        )
      )
      assert.strictEqual(asks.size, 10_000)
      assert.strictEqual(yield* outcome(ask), "ClusterRefused")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(asks.size, 0)
    })
  )
})
