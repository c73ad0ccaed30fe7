/**
 * What is under way on a simulated network: each delivery happens at its time, those of one time in the order in which
 * they were sent. One fiber sleeps for all of them; what takes no time happens at the end of the turn.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Turn } from "../../../internal/turn.ts"

interface Delivery {
  readonly at: number
  /** Order of sending. */
  readonly number: number
  readonly run: () => void
}

const isBefore = (a: Delivery, b: Delivery): boolean => a.at < b.at || (a.at === b.at && a.number < b.number)

export interface DeliveriesOptions {
  readonly clock: Clock.Clock
  readonly turn: Turn
  readonly fork: (effect: Effect.Effect<void>) => void
}

export class Deliveries {
  readonly #options: DeliveriesOptions
  /** A binary heap, the next at the top. */
  readonly #heap: Array<Delivery> = []
  #soon: Array<() => void> = []
  #sent = 0
  /** When the sleeping fiber wakes; one that sleeps longer finds nothing to do when it wakes. */
  #wakesAt = Number.POSITIVE_INFINITY

  constructor(options: DeliveriesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#heap.length + this.#soon.length
  }

  /** Monotonic milliseconds. */
  now(): number {
    return Number(this.#options.clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  /** Runs at that time, in monotonic milliseconds; at the end of the turn when that time has come. */
  at(time: number, run: () => void): void {
    if (time <= this.now()) return this.soon(run)
    this.#push({ at: time, number: ++this.#sent, run })
    this.#sleep()
  }

  /** Runs at the end of the turn. */
  soon(run: () => void): void {
    if (this.#soon.push(run) === 1) this.#options.turn.atEnd(() => this.#runSoon())
  }

  /** What was sent for this time is older than what takes no time, even if its fiber has not woken yet. */
  #runSoon(): void {
    const soon = this.#soon
    this.#soon = []
    if (this.#heap.length > 0) this.#runDue()
    for (const run of soon) run()
  }

  #sleep(): void {
    const next = this.#heap[0]
    if (next === undefined || next.at >= this.#wakesAt) return
    const wakesAt = next.at
    this.#wakesAt = wakesAt
    const millis = Math.ceil(wakesAt - this.now())
    this.#options.fork(
      Effect.map(this.#options.clock.sleep(Duration.millis(millis)), () => {
        if (this.#wakesAt !== wakesAt) return
        this.#wakesAt = Number.POSITIVE_INFINITY
        this.#runDue()
      })
    )
  }

  #runDue(): void {
    const now = this.now()
    while (this.#heap.length > 0 && this.#heap[0]!.at <= now) this.#pop().run()
    this.#sleep()
  }

  #push(delivery: Delivery): void {
    const heap = this.#heap
    let index = heap.push(delivery) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(delivery, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = delivery
  }

  #pop(): Delivery {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return top
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return top
  }
}
