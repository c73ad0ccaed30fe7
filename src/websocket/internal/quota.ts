/**
 * What one connection may make the server do, besides sending messages: join rooms, and have much sent to many.
 */
import type { Quota as QuotaInterface } from "../../channels/Subscription.ts"
import type { Limits } from "../Limits.ts"
import { Bucket } from "./bucket.ts"

export class Quota implements QuotaInterface {
  readonly #limits: Limits
  readonly #now: () => number
  /** Made by the first that is asked for: most connections join one room and publish nothing at all. */
  #joins: Bucket | undefined
  #fanOut: Bucket | undefined
  #rooms = 0

  constructor(limits: Limits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  join(): "granted" | "tooOften" | "tooMany" {
    const { joinBurst, joinsPerSecond, roomsPerConnection } = this.#limits
    const now = this.#now()
    this.#joins ??= Bucket.of(joinsPerSecond, joinBurst, now)
    if (!this.#joins.take(1, now)) return "tooOften"
    if (this.#rooms >= roomsPerConnection) return "tooMany"
    this.#rooms++
    return "granted"
  }

  /** Given away as a function. */
  readonly leave = (): void => void this.#rooms--

  charge(bytes: number): void {
    const { fanOutBytesPerSecond } = this.#limits
    if (fanOutBytesPerSecond === Number.POSITIVE_INFINITY) return
    const now = this.#now()
    this.#fanOut ??= Bucket.of(fanOutBytesPerSecond, fanOutBytesPerSecond, now)
    this.#fanOut.charge(bytes, now)
  }

  /** Whether it has made the server send more than it may; until that is made up for, its messages are refused. */
  get exhausted(): boolean {
    return this.#fanOut !== undefined && !this.#fanOut.take(0, this.#now())
  }
}
