/**
 * The health of one bus, and who wants to know when it turns.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { BusHealth } from "../../EventBusService.ts"

/** What the bus is known to be; nothing is known before it was tried. */
type State = { readonly _tag: "Unknown" | "Degraded"; readonly why: string } | { readonly _tag: "Up" }

const up: BusHealth = { _tag: "Up" }

/** Turns a reader may be behind; more replace the oldest, since only the last one counts. */
const readerCapacity = 8

export class Health {
  readonly #now: () => number
  readonly #readers = new Set<Queue.Queue<BusHealth, Cause.Done>>()
  #state: State = { _tag: "Unknown", why: "not connected yet" }
  #answeredAt: number
  #closed = false

  /** `now` is in monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now
    this.#answeredAt = now()
  }

  get current(): BusHealth {
    if (this.#state._tag === "Up") return up
    return { _tag: "Degraded", forMillis: Math.round(this.#now() - this.#answeredAt), why: this.#state.why }
  }

  /** Why the bus does not work. */
  get why(): string {
    return this.#state._tag === "Up" ? "the connection was lost" : this.#state.why
  }

  /** Why the bus could not be tried yet; false when it has been. */
  note(why: string): boolean {
    if (this.#state._tag !== "Unknown") return false
    this.#state = { _tag: "Unknown", why }
    return true
  }

  /** The bus has answered; true when nobody knew. */
  answered(): boolean {
    this.#answeredAt = this.#now()
    return this.#state._tag !== "Up" && this.#turn({ _tag: "Up" })
  }

  /** The bus does not work; true when it did, or when nobody knew. */
  degrade(why: string): boolean {
    if (this.#state._tag !== "Degraded") return this.#turn({ _tag: "Degraded", why })
    this.#state = { _tag: "Degraded", why }
    return false
  }

  /** Emits what is and what it turns to, until the bus is closed. */
  get changes(): Stream.Stream<BusHealth> {
    const read = (queue: Queue.Queue<BusHealth, Cause.Done>) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          Queue.offerUnsafe(queue, this.current)
          if (this.#closed) Queue.endUnsafe(queue)
          else this.#readers.add(queue)
        }),
        () => Effect.sync(() => this.#readers.delete(queue))
      )
    const emitted = Stream.callback(read, { bufferSize: readerCapacity, strategy: "sliding" })
    return Stream.changesWith(emitted, (a, b) => a._tag === b._tag)
  }

  /** Nothing changes any more. */
  close(why: string): void {
    this.degrade(why)
    this.#closed = true
    for (const queue of this.#readers) Queue.endUnsafe(queue)
    this.#readers.clear()
  }

  #turn(state: State): true {
    const turns = this.#state._tag !== "Unknown" || state._tag === "Up"
    this.#state = state
    const { current } = this
    if (turns) for (const queue of this.#readers) Queue.offerUnsafe(queue, current)
    return true
  }
}
