/**
 * Runs a program in virtual time: whenever nothing is left to do, the clock goes on.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"

/** Runs an effect to its end, `step` milliseconds at a time. */
export const inVirtualTime = <A, E, R>(effect: Effect.Effect<A, E, R>, step = 5): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(step)
    return yield* Fiber.join(fiber)
  })
