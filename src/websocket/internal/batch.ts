/**
 * What one key has published in a turn, in one wire encoding: encoded once, written to every member at the end of the
 * turn.
 */
import type { Envelope } from "../../channels/Envelope.ts"
import type { Sink } from "../../channels/Sink.ts"
import type { Outbox } from "../Outbox.ts"
import type { Flusher } from "./flusher.ts"
import { textFrame } from "./frame.ts"
import { Frames, fullAt, lengthOf, type Mark, sizeOf, without } from "./frames.ts"

export interface BatchOptions<A> {
  readonly flusher: Flusher
  /** The text of a message; undefined when it could not be encoded, which whoever made the batch has reported. */
  readonly encode: (message: A) => string | undefined
  /** Makes bytes of a text: by default a WebSocket frame. */
  readonly frame?: ((text: string) => Buffer) | undefined
  /** What is to be known of a message that may be lost; nothing where none may. */
  readonly markOf?: ((message: A, seq: number) => Mark) | undefined
  /** Counts messages handed to connections. */
  readonly onDelivered: (messages: number) => void
}

/** The place of a connection in a batch. */
export class Seat {
  readonly outbox: Outbox
  /** The connection's, by which a publish leaves it out. */
  readonly id: string
  /** A turn, and the first frame of that turn this seat has still to be given. */
  since: number
  from: number
  readonly batch: Batch<never>

  constructor(batch: Batch<never>, outbox: Outbox, id: string, since: number, from: number) {
    this.batch = batch
    this.outbox = outbox
    this.id = id
    this.since = since
    this.from = from
  }

  /** Puts what the connection has to get of this turn among its own runs. */
  handOver(): void {
    this.batch.handOver(this)
  }
}

export class Batch<in A> implements Sink<A> {
  readonly #options: BatchOptions<A>
  readonly #seats = new Set<Seat>()
  /** Seats of connections that had one here already. */
  #doubled = 0
  #frames: Frames | undefined
  /** By connection, the frames of this turn it is left out of. */
  #left: Map<string, Array<number>> | undefined

  constructor(options: BatchOptions<A>) {
    this.#options = options
  }

  get size(): number {
    return this.#seats.size
  }

  get seats(): ReadonlySet<Seat> {
    return this.#seats
  }

  /** Gives a connection what is delivered from now on; what is returned takes it out. */
  join(outbox: Outbox, id: string): () => void {
    const seat = new Seat(this, outbox, id, this.#options.flusher.turn, this.#frames?.length ?? 0)
    if (this.#serves(outbox)) this.#doubled++
    this.#seats.add(seat)
    outbox.seats.push(seat)
    return () => this.#leave(seat)
  }

  /** What it has not been given yet of this turn is still its own. */
  #leave(seat: Seat): void {
    if (!this.#seats.delete(seat)) return
    const { seats } = seat.outbox
    seats.splice(seats.indexOf(seat), 1)
    if (this.#serves(seat.outbox)) this.#doubled--
    seat.handOver()
  }

  #serves(outbox: Outbox): boolean {
    return outbox.seats.some(({ batch }) => batch === this)
  }

  /** To be called by the seat alone. */
  handOver(seat: Seat): void {
    const frames = this.#frames
    if (frames === undefined) return
    const { turn } = this.#options.flusher
    const held = this.#hold(frames, seat, turn, this.#left)
    if (held > 0) this.#options.onDelivered(held)
    seat.since = turn
    seat.from = frames.length
  }

  /** Answers how many frames that were. */
  #hold(
    frames: Frames,
    seat: Seat,
    turn: number,
    left: ReadonlyMap<string, ReadonlyArray<number>> | undefined
  ): number {
    const from = seat.since === turn ? seat.from : 0
    let held = 0
    for (const run of without(frames, from, frames.length, left?.get(seat.id) ?? [])) {
      seat.outbox.hold(run)
      held += run.to - run.from
    }
    return held
  }

  deliver({ except, message, roomSeq }: Envelope<A>): number {
    return this.send(message, except, roomSeq)
  }

  /** Sends a message to all but some; answers the bytes that makes. */
  send(message: A, except: ReadonlyArray<string>, seq = 0): number {
    if (this.#seats.size === 0) return 0
    const text = this.#options.encode(message)
    if (text === undefined) return 0
    const { flusher } = this.#options
    if (this.#frames === undefined) {
      this.#frames = new Frames()
      flusher.addBatch(this)
    }
    const frames = this.#frames
    for (const id of except) this.#leaveOut(id, frames.length)
    const frame = (this.#options.frame ?? textFrame)(text)
    frames.push(frame, flusher.nextPlace(), this.#options.markOf?.(message, seq))
    const bytes = frame.length * this.#seats.size
    if (frames.bytes >= fullAt) flusher.flush()
    return bytes
  }

  #leaveOut(id: string, index: number): void {
    const left = (this.#left ??= new Map<string, Array<number>>())
    const indexes = left.get(id)
    if (indexes === undefined) left.set(id, [index])
    else indexes.push(index)
  }

  /** To be called by the flusher alone, at the end of the given turn. */
  flush(turn: number): void {
    const frames = this.#frames
    const left = this.#left
    this.#frames = undefined
    this.#left = undefined
    if (frames === undefined) return
    const { bytes, length } = frames
    const whole = [{ frames, from: 0, to: length }]
    let delivered = 0
    for (const seat of this.#seats) {
      const { outbox } = seat
      const doubled = this.#doubled > 0 && outbox.seats.length > 1
      if (doubled || outbox.mixedIn === turn || outbox.holds) {
        delivered += this.#hold(frames, seat, turn, left)
        continue
      }
      const from = seat.since === turn ? seat.from : 0
      const leftOut = left?.get(seat.id)
      if (from === 0 && leftOut === undefined) {
        outbox.write(whole, bytes, length)
        delivered += length
      } else {
        const runs = without(frames, from, length, leftOut ?? [])
        const messages = lengthOf(runs)
        if (messages > 0) outbox.write(runs, sizeOf(runs), messages)
        delivered += messages
      }
    }
    this.#options.onDelivered(delivered)
  }

  close(): void {}
}
