/**
 * Waiting with a deadline, and judging what came of it. Time is that of the `Clock`.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { EventBusError } from "../../cluster/EventBusError.ts"
import { type Difference, differs, equal, same } from "./difference.ts"

const pollEvery = Duration.millis(5)

/** Waits until the two are equal; fails with the last look when they never were. */
export const eventually = Effect.fnUntraced(function* (
  observable: string,
  expected: unknown,
  look: Effect.Effect<unknown>,
  within: Duration.Duration
): Effect.fn.Return<void, Difference> {
  const clock = yield* Clock.Clock
  const until = clock.monotonicTimeNanosUnsafe() + BigInt(Math.ceil(Duration.toMillis(within) * 1e6))
  while (true) {
    const late = clock.monotonicTimeNanosUnsafe() >= until
    const actual = yield* look
    if (equal(expected, actual)) return
    if (late) return yield* differs(`${observable}, within ${Duration.format(within)}`, expected, actual)
    yield* Effect.sleep(pollEvery)
  }
})

/**
 * Fails when there is no answer in time; what the answer is, the caller judges. A defect is never right. What does not
 * answer may not let itself be interrupted either, so nobody waits for that.
 */
export const answers = <A, E>(
  observable: string,
  effect: Effect.Effect<A, E>,
  within: Duration.Duration
): Effect.Effect<Exit.Exit<A, E>, Difference> =>
  Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), (fiber) =>
    Effect.timeoutOption(Fiber.await(fiber), within).pipe(
      Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe())),
      Effect.flatMap((answer) => {
        if (Option.isNone(answer))
          return differs(`${observable}, within ${Duration.format(within)}`, "done", "not done")
        const exit = answer.value
        const died = Exit.isFailure(exit) && Exit.hasDies(exit)
        return died ? differs(observable, "no defect", "a defect", exit.cause) : Effect.succeed(exit)
      })
    )
  )

/** Fails unless it succeeds in time. */
export const succeeds = <A, E>(
  observable: string,
  effect: Effect.Effect<A, E>,
  within: Duration.Duration
): Effect.Effect<A, Difference> =>
  Effect.flatMap(answers(observable, effect, within), (exit) =>
    Exit.isSuccess(exit) ? Effect.succeed(exit.value) : differs(observable, "success", "failure", exit.cause)
  )

/** Fails unless it fails in time with an `EventBusError` of this kind. */
export const fails = <A>(
  observable: string,
  effect: Effect.Effect<A, EventBusError>,
  reason: EventBusError["reason"]["_tag"],
  within: Duration.Duration
): Effect.Effect<EventBusError["reason"], Difference> =>
  Effect.flatMap(answers(observable, Effect.flip(effect), within), (exit) => {
    if (Exit.isFailure(exit)) return differs(observable, reason, "success")
    return Effect.as(same(observable, reason, exit.value.reason._tag), exit.value.reason)
  })

/** Says where two long lists part, not all that is in them. */
export const sameList = (
  observable: string,
  expected: ReadonlyArray<string>,
  actual: ReadonlyArray<string>
): Effect.Effect<void, Difference> => {
  if (expected.length <= 10 && actual.length <= 10) return same(observable, expected, actual)
  const length = Math.max(expected.length, actual.length)
  const at = Array.from({ length }, (_, index) => index).find((index) => expected[index] !== actual[index])
  if (at === undefined) return Effect.void
  const near = (list: ReadonlyArray<string>) => ({ length: list.length, [`from ${at}`]: list.slice(at, at + 5) })
  return differs(observable, near(expected), near(actual))
}
