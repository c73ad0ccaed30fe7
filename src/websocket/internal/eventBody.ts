/**
 * The body of an event stream: bytes that wait for the response to take them, written to like a socket.
 */
import * as Exit from "effect/Exit"
import type { Source } from "../../internal/cursor.ts"
import type { Writer } from "../Outbox.ts"
import type { Run } from "./frames.ts"

export class EventBody implements Source<Uint8Array, never>, Writer {
  readonly #chunks: Array<Uint8Array> = []
  #bytes = 0
  waiter: (() => void) | undefined
  exit: Exit.Exit<void> | undefined

  get open(): boolean {
    return this.exit === undefined
  }

  readonly congested = false

  unsentBytes = (): number => this.#bytes

  write = (runs: ReadonlyArray<Run>, bytes: number): void => {
    for (const { frames, from, to } of runs) this.#chunks.push(frames.slice(from, to))
    this.#bytes += bytes
    this.#wake()
  }

  /** One at a time: what is handed out is no longer counted. */
  poll(): ReadonlyArray<Uint8Array> {
    const chunk = this.#chunks.shift()
    if (chunk === undefined) return []
    this.#bytes -= chunk.length
    return [chunk]
  }

  /** What waits is still taken. */
  end(): void {
    this.exit ??= Exit.void
    this.#wake()
  }

  #wake(): void {
    const { waiter } = this
    this.waiter = undefined
    waiter?.()
  }
}
