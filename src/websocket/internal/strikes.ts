/**
 * Counts offences within a sliding window. Times are monotonic milliseconds.
 */
export class Strikes {
  readonly #most: number
  readonly #window: number
  #times: ReadonlyArray<number> = []

  /** `most` offences within `window` milliseconds are too many. */
  constructor(most: number, window: number) {
    this.#most = most
    this.#window = window
  }

  /** Counts one; true when there are too many. */
  strike(now: number): boolean {
    this.#times = [...this.#times.filter((time) => now - time < this.#window), now]
    return this.#times.length >= this.#most
  }
}
