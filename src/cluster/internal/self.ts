/**
 * This node: its name, and which start of it this is.
 */
import type * as Clock from "effect/Clock"

export class Self {
  /** For people; two nodes with one name are told apart by their epochs. */
  readonly name: string
  readonly #clock: Clock.Clock
  readonly #newEpoch: () => string
  #epoch: string
  /** Monotonic milliseconds. */
  #startedAt: number

  constructor(name: string, clock: Clock.Clock, newEpoch: () => string) {
    this.name = name
    this.#clock = clock
    this.#newEpoch = newEpoch
    this.#epoch = newEpoch()
    this.#startedAt = this.now()
  }

  /** Names this incarnation; nothing else ever has the same. */
  get epoch(): string {
    return this.#epoch
  }

  get uptime(): number {
    return this.now() - this.#startedAt
  }

  /** Monotonic milliseconds. */
  now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  /** The others think this node is gone: it begins anew. */
  reborn(): void {
    this.#epoch = this.#newEpoch()
    this.#startedAt = this.now()
  }
}
