/**
 * Who was cut for being slow, how often lately: a client that comes back only to be cut again is told not to.
 */
import { Strikes } from "./strikes.ts"

/** Clients remembered at the same time; then the one cut longest ago is forgotten. */
const most = 10_000

export class Repeats {
  readonly #times: number
  readonly #window: number
  /** The one cut longest ago first. */
  readonly #clients = new Map<string, Strikes>()

  /** `times` cuts within `window` milliseconds are too many. */
  constructor(times: number, window: number) {
    this.#times = times
    this.#window = window
  }

  /** How many clients are remembered. */
  get size(): number {
    return this.#clients.size
  }

  /** Notes a cut; true when it was one too many. Times are monotonic milliseconds. */
  note(client: string, now: number): boolean {
    const strikes = this.#clients.get(client) ?? new Strikes(this.#times, this.#window)
    this.#clients.delete(client)
    this.#clients.set(client, strikes)
    if (this.#clients.size > most) this.#clients.delete(this.#clients.keys().next().value!)
    return strikes.strike(now)
  }
}
