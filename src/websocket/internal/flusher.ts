/**
 * The end of the turn on the way out: what was published and sent during a turn is written then, once per connection.
 *
 * One system call per member and message is what a broadcast costs most. Here a room's frames are collected during the
 * turn and every member gets its slice of them with one write. A connection that has other frames in the turn, replies or
 * those of another room, gets all of them in the order in which they were sent.
 */
import type { Turn } from "../../internal/turn.ts"
import { Frames } from "./frames.ts"

/** A connection that holds something for the end of the turn. */
export interface Flushable {
  readonly flush: () => void
}

/** A batch with frames of this turn. */
export interface FlushableBatch {
  /** Writes them, or has those hold them who have other frames besides; collects failures. */
  readonly flush: (turn: number, failures: Array<unknown>) => void
  /** Nobody holds its frames any more. */
  readonly recycle: () => void
}

/** Frames that are kept to be lent again. */
const mostSpare = 1024

export class Flusher {
  readonly #turn: Turn
  #batches: Array<FlushableBatch> = []
  /** Batches of connections that are in others as well: first, so that what they hold is known when it is the others' turn. */
  #wide: Array<FlushableBatch> = []
  #outboxes: Array<Flushable> = []
  #afterwards: Array<() => void> = []
  readonly #spare: Array<Frames> = []
  #scheduled = false
  #place = 0
  /** Rises with every flush. */
  turn = 1

  constructor(turn: Turn) {
    this.#turn = turn
  }

  /** The next place in the order of all frames. */
  nextPlace(): number {
    return ++this.#place
  }

  /** A batch has its first frame of this turn. */
  addBatch(batch: FlushableBatch, wide: boolean): void {
    if (wide) this.#wide.push(batch)
    else this.#batches.push(batch)
    this.#schedule()
  }

  /** A connection has runs of its own in this turn. */
  addOutbox(outbox: Flushable): void {
    this.#outboxes.push(outbox)
    this.#schedule()
  }

  /** Does something when all that is held has been written. It must not throw. */
  afterwards(task: () => void): void {
    this.#afterwards.push(task)
    this.#schedule()
  }

  /** Frames for one turn of a room or of a connection. */
  lend(): Frames {
    return this.#spare.pop() ?? new Frames()
  }

  /** Takes back what was lent, when nobody holds it any more. */
  takeBack(frames: Frames): void {
    frames.clear()
    if (this.#spare.length < mostSpare) this.#spare.push(frames)
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turn.atEnd(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  /** Writes everything. Runs no code of the application. Throws the first failure when all others were served. */
  flush(): void {
    // What is held back meanwhile is written before this ends.
    const scheduled = this.#scheduled
    this.#scheduled = true
    const batches = this.#wide.length === 0 ? this.#batches : [...this.#wide, ...this.#batches]
    this.#batches = []
    this.#wide = []
    const turn = this.turn++
    // One that throws must not keep the others from being served: they would never be looked at again.
    const failures: Array<unknown> = []
    for (const batch of batches) batch.flush(turn, failures)
    const outboxes = this.#outboxes
    this.#outboxes = []
    for (const outbox of outboxes) {
      try {
        outbox.flush()
      } catch (failure) {
        failures.push(failure)
      }
    }
    for (const batch of batches) batch.recycle()
    const tasks = this.#afterwards
    if (tasks.length > 0) this.#afterwards = []
    for (const task of tasks) task()
    this.#scheduled = scheduled
    if (failures.length > 0) throw failures[0]
  }
}
