/**
 * BUG25: what channels take for granted about Effect's PubSub, checked so that a change of the platform is noticed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import { runSeeds } from "../support/SeededScheduler.ts"
import { survivors } from "../support/memory.ts"

const publishLarge = (pubsub: PubSub.PubSub<object>, count: number): ReadonlyArray<WeakRef<object>> =>
  Array.from({ length: count }, () => {
    const message = { bytes: new Uint8Array(65_536) }
    Effect.runSync(PubSub.publish(pubsub, message))
    return new WeakRef(message)
  })

describe("BUG25 canaries on Effect", () => {
  for (const [name, make] of [
    ["unbounded", PubSub.unbounded<object>({ replay: 2 })],
    ["sliding", PubSub.sliding<object>({ capacity: 4, replay: 2 })],
    ["bounded", PubSub.bounded<object>({ capacity: 64, replay: 2 })]
  ] as const) {
    it.effect(`BUG25: a replay PubSub (${name}) does not hold each value it was given (Effect#6804)`, () =>
      Effect.gen(function* () {
        const pubsub = yield* make
        const unheard = publishLarge(pubsub, 20)
        assert.deepStrictEqual(yield* Effect.promise(() => survivors(unheard)), [18, 19])

        const subscription = yield* PubSub.subscribe(pubsub)
        const heard = publishLarge(pubsub, 40)
        yield* Effect.forEach([1, 2, 3, 4, 5], () => PubSub.takeUpTo(subscription, 10))
        // The window of the PubSub, and one of the same size for the subscription.
        assert.isAtMost((yield* Effect.promise(() => survivors(heard))).length, 4)
        assert.deepStrictEqual(yield* Effect.promise(() => survivors(unheard)), [])
        assert.strictEqual(yield* PubSub.size(pubsub), 0)
      })
    )
  }

  it("BUG25: sliding(1) with a reader neither duplicates nor starves (Effect#7603)", () =>
    runSeeds(
      1_000,
      Effect.fnUntraced(function* () {
        const pubsub = yield* PubSub.sliding<number>(1)
        const subscription = yield* PubSub.subscribe(pubsub)
        const seen: Array<number> = []
        const reader = yield* Effect.forkChild(
          Effect.gen(function* () {
            while (seen.at(-1) !== 5) seen.push(yield* PubSub.take(subscription))
          })
        )
        yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4, 5], (n) => PubSub.publish(pubsub, n)))
        yield* Fiber.join(reader)
        assert.deepStrictEqual(
          seen,
          [...new Set(seen)].toSorted((a, b) => a - b)
        )
      }, Effect.scoped)
    ))

  it.effect("BUG25: a slow and a quick reader of sliding(1) each see the newest", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub.sliding<number>(1)
      const quick = yield* PubSub.subscribe(pubsub)
      const slow = yield* PubSub.subscribe(pubsub)
      for (let n = 1; n <= 5; n++) {
        assert.isTrue(yield* PubSub.publish(pubsub, n))
        assert.strictEqual(yield* PubSub.take(quick), n)
      }
      assert.deepStrictEqual(yield* PubSub.takeUpTo(slow, 9), [5])
      assert.deepStrictEqual(yield* PubSub.takeUpTo(quick, 9), [])
    })
  )

  it.effect("publishUnsafe on a full sliding PubSub refuses the newest; publish slides", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub.sliding<number>(4)
      const subscription = yield* PubSub.subscribe(pubsub)
      const accepted = [1, 2, 3, 4, 5].map((n) => PubSub.publishUnsafe(pubsub, n))
      assert.deepStrictEqual(accepted, [true, true, true, true, false])
      assert.isTrue(yield* PubSub.publish(pubsub, 6))
      assert.deepStrictEqual(yield* PubSub.takeUpTo(subscription, 9), [2, 3, 4, 6])
    })
  )

  for (const capacity of [1, 2, 3, 4, 7, 8]) {
    it(`the bare ring of ${capacity} refuses when full, slides when told, and counts per reader`, () => {
      const ring = PubSub.makeAtomicBounded<number>(capacity)
      const stalled = ring.subscribe()
      const leaving = ring.subscribe()
      for (let n = 1; n <= capacity; n++) assert.isTrue(ring.publish(n))
      assert.isFalse(ring.publish(capacity + 1))
      ring.slide()
      assert.isTrue(ring.publish(capacity + 1))
      const late = ring.subscribe()
      assert.deepStrictEqual([stalled.size(), leaving.size(), late.size()], [capacity, capacity, 0])
      assert.deepStrictEqual(leaving.pollUpTo(1), [2])
      leaving.unsubscribe()
      assert.deepStrictEqual(
        stalled.pollUpTo(99),
        Array.from({ length: capacity }, (_, n) => n + 2)
      )
      assert.isTrue(ring.isEmpty())
      assert.isTrue(ring.publish(99))
      assert.deepStrictEqual([stalled.pollUpTo(9), late.pollUpTo(9), leaving.pollUpTo(9)], [[99], [99], []])
    })
  }
})
