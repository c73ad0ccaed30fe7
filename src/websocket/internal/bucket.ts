/**
 * A token bucket: `rate` tokens a second in the long run, `burst` at once after a rest. Times are monotonic milliseconds.
 */
export class Bucket {
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  constructor(rate: number, burst: number, now: number) {
    this.#rate = rate
    this.#burst = burst
    this.#tokens = burst
    this.#filledAt = now
  }

  /** A bucket for one connection; without bounds it is one for all of them. */
  static of(rate: number, burst: number, now: number): Bucket {
    return rate === Number.POSITIVE_INFINITY || burst === Number.POSITIVE_INFINITY
      ? unbounded
      : new Bucket(rate, burst, now)
  }

  /** Takes tokens if there are enough of them; false takes none. What costs more than a burst takes a full bucket. */
  take(cost: number, now: number): boolean {
    if (this.#unbounded) return true
    this.#fill(now)
    const price = Math.min(cost, this.#burst)
    if (price > this.#tokens) return false
    this.#tokens -= price
    return true
  }

  /** Takes tokens for what has been done already, whether or not there are enough; debts are made up for by the rate. */
  charge(cost: number, now: number): void {
    if (this.#unbounded) return
    this.#fill(now)
    this.#tokens -= cost
  }

  /** Whether all of the burst is there. */
  isFull(now: number): boolean {
    if (this.#unbounded) return true
    this.#fill(now)
    return this.#tokens >= this.#burst
  }

  get #unbounded(): boolean {
    return this.#burst === Number.POSITIVE_INFINITY || this.#rate === Number.POSITIVE_INFINITY
  }

  #fill(now: number): void {
    if (now <= this.#filledAt) return
    const gained = ((now - this.#filledAt) * this.#rate) / 1000
    this.#tokens = Math.min(this.#burst, this.#tokens + gained)
    this.#filledAt = now
  }
}

const unbounded = new Bucket(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0)
