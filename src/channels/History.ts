/**
 * The last messages of one key, for replay to new subscriptions.
 *
 * A bounded ring that overwrites its oldest entry. It owns no time: the channel decides when an idle history goes.
 */

/**
 * Keeps the last `capacity` values that were pushed.
 */
export class History<A> {
  readonly capacity: number
  readonly #values: Array<A> = []
  #next = 0

  /** `capacity` is a number of values, at least 1. */
  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** Adds a value, overwriting the oldest one when the history is full. */
  push(value: A): void {
    this.#values[this.#next] = value
    this.#next = (this.#next + 1) % this.capacity
  }

  /** Returns the newest `count` values, oldest first; fewer when there are fewer. */
  last(count: number): Array<A> {
    const size = this.#values.length
    const wanted = Math.min(Math.max(0, Math.floor(count)), size)
    const out: Array<A> = []
    for (let i = size - wanted; i < size; i++) {
      out.push(this.#values[size < this.capacity ? i : (this.#next + i) % size]!)
    }
    return out
  }
}
