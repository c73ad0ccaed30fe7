/**
 * The rate of messages, in numbers and in bytes: of one connection, or of all connections of one user together.
 */
import type { Limits } from "../Limits.ts"
import { Bucket } from "./bucket.ts"

export class Rates {
  readonly #messages: Bucket
  readonly #bytes: Bucket

  /** `factor` is how many times the rate of one connection that is. */
  constructor({ bytesPerSecond, messageBurst, messagesPerSecond }: Limits, factor: number, now: number) {
    this.#messages = Bucket.of(messagesPerSecond * factor, messageBurst * factor, now)
    this.#bytes = Bucket.of(bytesPerSecond * factor, bytesPerSecond * factor, now)
  }

  /** Takes one message; what it is over, if it is over anything. */
  take(bytes: number, now: number): "messages" | "bytes" | undefined {
    if (!this.#messages.take(1, now)) return "messages"
    return this.#bytes.take(bytes, now) ? undefined : "bytes"
  }

  /** Whether it is as if nothing had ever been taken. */
  rested(now: number): boolean {
    return this.#messages.isFull(now) && this.#bytes.isFull(now)
  }
}
