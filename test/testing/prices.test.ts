/**
 * The example of a simulation passes, and finds what goes wrong where a node does not know that it missed something.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { all, Changed, Prices, PricesLive, Store } from "../../examples/testing/prices.ts"
// Brings its own test with it.
import { checkPrices } from "../../examples/testing/prices.test.ts"

/** Reads messages alone, without a look at what is missing. */
const careless = Layer.effect(
  Prices,
  Effect.gen(function* () {
    const store = yield* Store
    const changed = yield* Changed
    const known = new Map<string, number>()
    const changes = yield* changed.subscribe(all)
    const forget = changes.runForEach((product) => Effect.sync(() => known.delete(product)))
    yield* Effect.forkScoped(Effect.ignore(forget))
    return {
      of: Effect.fnUntraced(function* (product: string) {
        const price = known.get(product) ?? (yield* store.get(product))
        known.set(product, price)
        return price
      }),
      change: (product: string, price: number) =>
        Effect.andThen(store.set(product, price), changed.publish(all, product))
    }
  })
).pipe(Layer.provideMerge(Changed.layer))

describe("the example", () => {
  it.effect("holds in many schedules", () => checkPrices(PricesLive, { seed: 1, runs: 150 }), { timeout: 60_000 })

  it.effect(
    "finds a node that does not look at gaps, in a few acts",
    () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(checkPrices(careless, { seed: 1, runs: 50 }))
        assert.match(error.problem, /^at rest: (apples|pears) on node [a-d]: expected [+]?\d+ to equal [+]?\d+$/)
        assert.isAtMost(error.schedule.length, 6, error.message)
      }),
    { timeout: 60_000 }
  )
})
