/**
 * A clock turned by hand whose process can be held up: time passes then, and nobody wakes before it goes on.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Sleep {
  readonly at: number
  readonly resume: () => void
}

export class StallClock implements Clock.Clock {
  readonly #sleeps = new Set<Sleep>()
  #at = 0

  currentTimeMillisUnsafe = () => this.#at
  currentTimeNanosUnsafe = () => BigInt(this.#at) * 1_000_000n
  monotonicTimeNanosUnsafe = () => BigInt(this.#at) * 1_000_000n
  currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  monotonicTimeNanos = Effect.sync(this.monotonicTimeNanosUnsafe)

  sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const sleep = { at: this.#at + Math.ceil(Duration.toMillis(duration)), resume: () => resume(Effect.void) }
      this.#sleeps.add(sleep)
      return Effect.sync(() => this.#sleeps.delete(sleep))
    })

  /** Time passes and nobody wakes. */
  stall(millis: number): void {
    this.#at += millis
  }

  /** Jumps to when somebody is to wake, and wakes them; false when nobody sleeps. */
  jump(until = Number.POSITIVE_INFINITY): boolean {
    let next = until
    for (const { at } of this.#sleeps) next = Math.min(next, at)
    if (next === Number.POSITIVE_INFINITY) return false
    this.#at = Math.max(this.#at, next)
    for (const sleep of Array.from(this.#sleeps)) {
      if (sleep.at > this.#at) continue
      this.#sleeps.delete(sleep)
      sleep.resume()
    }
    return true
  }

  /** Time passes, and whoever wakes on the way does what is to be done. */
  pass(millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const until = this.#at + millis
      const step = Effect.suspend(() => {
        this.jump(until)
        return Effect.yieldNow
      })
      return Effect.andThen(
        Effect.whileLoop({ while: () => this.#at < until, body: () => step, step: () => {} }),
        Effect.yieldNow
      )
    })
  }
}
