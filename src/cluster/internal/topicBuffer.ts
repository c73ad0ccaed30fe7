/**
 * What has arrived on a topic and was not read yet: bounded by dropping the oldest, with a `Gap` where that happened.
 */
import type * as Exit from "effect/Exit"
import type { Source } from "../../internal/cursor.ts"
import type { BusGap } from "../EventBusService.ts"

/** What a reader of a topic can be handed: a message, or a `Gap` where messages may be missing. */
export type TopicEvent<A> = { readonly _tag: "Message"; readonly payload: A } | BusGap

const overflow: BusGap = { _tag: "Gap", reason: "overflow" }

/** Keeps what arrived on a topic until it is read, up to a bound. */
export class TopicBuffer<A> implements Source<TopicEvent<A>, never> {
  readonly #capacity: number
  readonly #onDropped: () => void
  /** Never two gaps side by side, so that it is bounded, too. */
  #items: Array<TopicEvent<A>> = []
  #messages = 0
  waiter: (() => void) | undefined
  exit: Exit.Exit<void> | undefined
  /** Messages lost so far because reading was too slow. */
  dropped = 0

  constructor(capacity: number, onDropped: () => void) {
    this.#capacity = capacity
    this.#onDropped = onDropped
  }

  message(payload: A): void {
    if (this.exit !== undefined) return
    if (this.#messages === this.#capacity) this.#dropOldest()
    this.#items.push({ _tag: "Message", payload })
    this.#messages++
    this.#wake()
  }

  /** Of gaps with nothing between them the last one counts: it says how things stand. */
  gap(gap: BusGap): void {
    if (this.exit !== undefined) return
    if (this.#items.at(-1)?._tag === "Gap") this.#items.pop()
    this.#items.push(gap)
    this.#wake()
  }

  poll(): ReadonlyArray<TopicEvent<A>> {
    const items = this.#items
    this.#items = []
    this.#messages = 0
    return items
  }

  /** Forgets what was not read. */
  end(exit: Exit.Exit<void>): void {
    if (this.exit !== undefined) return
    this.poll()
    this.exit = exit
    this.#wake()
  }

  #dropOldest(): void {
    const oldest = this.#items[0]!._tag === "Gap" ? 1 : 0
    const next = this.#items[oldest + 1]?._tag === "Gap" ? oldest + 2 : oldest + 1
    this.#items.splice(0, next, overflow)
    this.#messages--
    this.dropped++
    this.#onDropped()
  }

  #wake(): void {
    const { waiter } = this
    this.waiter = undefined
    waiter?.()
  }
}
