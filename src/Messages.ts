/**
 * One way to read what arrives: with `for await`, with `runForEach`, as a `Stream`, or one at a time.
 *
 * Subscriptions and the incoming frames of a WebSocket are read through the same interface. All ways of reading one
 * source share one position, so a message is seen once, whichever way is used.
 */
import type * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/**
 * Reads values in arrival order, by one consumer at a time.
 *
 * Leaving a `for await` loop or ending the stream early stops reading and nothing else: a later loop goes on where this
 * one stopped, and the source lives until its scope closes. When the source ends, loops and streams end.
 * Waiting on one source from two places at once is a mistake and dies with a sentence that says so.
 */
export interface Messages<out A, out E = never> extends AsyncIterable<A, undefined, undefined> {
  /** Emits what arrives; fails with `E`, ends with the source. */
  readonly stream: Stream.Stream<A, E>
  /** Runs an effect for each value, one after the other, until the source ends. Fails with the first failure of either. */
  readonly runForEach: <E2, R>(f: (value: A) => Effect.Effect<unknown, E2, R>) => Effect.Effect<void, E | E2, R>
  /** Waits for one value. Fails with `Cause.Done` when the source has ended. */
  readonly take: Effect.Effect<A, E | Cause.Done>
}
