/**
 * The end of the turn on the way out: what was published and sent during a turn is written then, once per connection.
 *
 * One system call per member and message is what a broadcast costs most. Here a room's frames are collected during the
 * turn and every member gets its slice of them with one write. A connection that has other frames in the turn, replies or
 * those of another room, gets all of them in the order in which they were sent.
 */
import type { Turn } from "../../internal/turn.ts"

/** A connection, as the end of the turn sees it. */
export interface Flushable {
  readonly flush: () => void
  /** The batches it is a member of. */
  readonly seats: { readonly length: number }
  /** Turns in which it was found in one batch, and in another. */
  markedIn: number
  mixedIn: number
}

/** A batch, as the end of the turn sees it. */
export interface FlushableBatch {
  readonly seats: Iterable<{ readonly outbox: Flushable }>
  readonly flush: (turn: number) => void
}

export class Flusher {
  readonly #turn: Turn
  #batches: Array<FlushableBatch> = []
  #outboxes: Array<Flushable> = []
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
  addBatch(batch: FlushableBatch): void {
    this.#batches.push(batch)
    this.#schedule()
  }

  /** A connection has runs of its own in this turn. */
  addOutbox(outbox: Flushable): void {
    this.#outboxes.push(outbox)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turn.atEnd(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  /** Writes everything. Runs no code of the application. */
  flush(): void {
    // What is held back meanwhile is written before this ends.
    const scheduled = this.#scheduled
    this.#scheduled = true
    const batches = this.#batches
    this.#batches = []
    const turn = this.turn++
    if (batches.length > 1) for (const batch of batches) for (const seat of batch.seats) mark(seat.outbox, turn)
    for (const batch of batches) batch.flush(turn)
    const outboxes = this.#outboxes
    this.#outboxes = []
    for (const outbox of outboxes) outbox.flush()
    this.#scheduled = scheduled
  }
}

/** Finds the connections that have frames in more than one batch. */
const mark = (outbox: Flushable, turn: number): void => {
  if (outbox.seats.length < 2) return
  if (outbox.markedIn === turn) outbox.mixedIn = turn
  else outbox.markedIn = turn
}
