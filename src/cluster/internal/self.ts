/**
 * This node: its name, and which start of it this is.
 */
import type * as Clock from "effect/Clock"

/** Incarnations a node remembers to have been; what comes of earlier ones would be minutes late. */
const maxFormer = 8

export class Self {
  /** For people; two nodes with one name are told apart by their epochs. */
  readonly name: string
  readonly #clock: Clock.Clock
  readonly #newEpoch: () => string
  #epoch: string
  /** What it was before, the last of it. */
  #former: ReadonlyArray<string> = []
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

  /** Whether this node is, or was, this incarnation: its own words may come late. */
  is(epoch: string): boolean {
    return epoch === this.#epoch || this.#former.includes(epoch)
  }

  /** What it was before it began anew. */
  get former(): string | undefined {
    return this.#former[0]
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
    this.#former = [this.#epoch, ...this.#former].slice(0, maxFormer)
    this.#epoch = this.#newEpoch()
    this.#startedAt = this.now()
  }
}
