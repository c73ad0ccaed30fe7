/**
 * Incoming messages on their way to the handler: bounded by not reading the socket, so that nothing is lost.
 */
import type * as Exit from "effect/Exit"
import type { Source } from "../../internal/cursor.ts"

export interface InboxOptions {
  readonly maxMessages: number
  readonly maxBytes: number
  /** Stops reading the socket. What it has read already may still arrive. */
  readonly pause: () => void
  readonly resume: () => void
  /** A reader has come to the end. */
  readonly onEndSeen: () => void
}

export class Inbox<A> implements Source<A, never> {
  readonly #options: InboxOptions
  #messages: Array<A> = []
  #bytes = 0
  waiter: (() => void) | undefined
  exit: Exit.Exit<void> | undefined
  paused = false
  /** Whether a reader has come to the end. */
  endSeen = false
  /** Whether anybody ever asked for a message. */
  touched = false

  constructor(options: InboxOptions) {
    this.#options = options
  }

  push(message: A, bytes: number): void {
    if (this.exit !== undefined) return
    this.#messages.push(message)
    this.#bytes += bytes
    if (this.#messages.length >= this.#options.maxMessages || this.#bytes >= this.#options.maxBytes) this.#pause()
    this.#wake()
  }

  poll(): ReadonlyArray<A> {
    this.touched = true
    if (this.#messages.length === 0) {
      if (this.exit !== undefined) {
        this.endSeen = true
        this.#options.onEndSeen()
      }
      return []
    }
    const messages = this.#messages
    this.#messages = []
    this.#bytes = 0
    if (this.paused) {
      this.paused = false
      this.#options.resume()
    }
    return messages
  }

  end(exit: Exit.Exit<void>): void {
    if (this.exit !== undefined) return
    this.exit = exit
    this.#wake()
  }

  #pause(): void {
    if (this.paused) return
    this.paused = true
    this.#options.pause()
  }

  #wake(): void {
    const { waiter } = this
    this.waiter = undefined
    waiter?.()
  }
}
