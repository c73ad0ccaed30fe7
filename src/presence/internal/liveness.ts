/**
 * The time by which presence is judged: monotonic, and standing still while this process does.
 *
 * After a stall the sweep may run before the heartbeats that have arrived meanwhile were read. Time in which sweeps
 * were due and did not run counts for nobody, so that a process that was held up evicts none of those.
 */
import type * as Clock from "effect/Clock"
import type { Now } from "../PresenceState.ts"

export class Liveness {
  readonly #clock: Clock.Clock
  readonly #sweepInterval: number
  #sweptAt: number
  #stalled = 0

  constructor(clock: Clock.Clock, sweepInterval: number) {
    this.#clock = clock
    this.#sweepInterval = sweepInterval
    this.#sweptAt = this.#monotonic()
  }

  #monotonic(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  now(): Now {
    const monotonic = this.#monotonic()
    const late = monotonic - this.#sweptAt - 2 * this.#sweepInterval
    if (late > 0) {
      this.#stalled += late
      this.#sweptAt += late
    }
    return { at: monotonic - this.#stalled, wall: this.#clock.currentTimeMillisUnsafe() }
  }

  /** The time of a sweep that runs now. */
  sweep(): Now {
    const now = this.now()
    this.#sweptAt = now.at + this.#stalled
    return now
  }
}
