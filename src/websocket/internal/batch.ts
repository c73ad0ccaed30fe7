/**
 * What one key has published in a turn, in one wire encoding: encoded once, written to every member at the end of the
 * turn.
 */
import type { Envelope } from "../../channels/Envelope.ts"
import type { Sink } from "../../channels/Sink.ts"
import type { Outbox } from "../Outbox.ts"
import type { Flusher } from "./flusher.ts"
import { textFrame } from "./frame.ts"
import { type Frames, fullAt, lengthOf, type Mark, sizeOf, without } from "./frames.ts"

export interface BatchOptions<A> {
  readonly flusher: Flusher
  /** The text of a message; undefined when it could not be encoded, which whoever made the batch has reported. */
  readonly encode: (message: A) => string | undefined
  /** Makes bytes of a text: by default a WebSocket frame. */
  readonly frame?: ((text: string) => Buffer) | undefined
  /** What is to be known of a message that may be lost; nothing where none may. */
  readonly markOf?: ((message: A, seq: number) => Mark) | undefined
  /** The text that tells that messages of another node are missing; nothing on routes that do not tell. */
  readonly noticeOf?: ((missed: number, seq: number) => string | undefined) | undefined
  /** Reaches all connections of a route, which are in rooms besides. */
  readonly everybody?: boolean | undefined
  /** Counts messages handed to connections. */
  readonly onDelivered: (messages: number) => void
}

/** The place of a connection in a batch. */
export class Seat {
  readonly batch: Batch<never>
  readonly outbox: Outbox
  /** The connection's, by which a publish leaves it out. */
  readonly id: string
  /** A turn, and the first frame of that turn this seat has still to be given. */
  since: number
  from: number
  /** Frames of this turn it is left out of, rising. */
  left: Array<number> | undefined
  /** How often the connection has joined and not left. */
  uses: number

  constructor(batch: Batch<never>, outbox: Outbox, id: string, since: number, from: number) {
    this.batch = batch
    this.outbox = outbox
    this.id = id
    this.since = since
    this.from = from
    this.left = undefined
    this.uses = 0
  }

  /** Puts what the connection has to get of this turn among its own runs. */
  handOver(): void {
    this.batch.handOver(this)
  }
}

const none: ReadonlyArray<number> = []

export class Batch<in A> implements Sink<A> {
  readonly #options: BatchOptions<A>
  /** By connection. */
  readonly #seats = new Map<string, Seat>()
  /** The frames of this turn, if there are any. */
  #frames: Frames | undefined
  /** Those of a turn that is over, until they are given back. */
  #written: Frames | undefined

  constructor(options: BatchOptions<A>) {
    this.#options = options
  }

  get size(): number {
    return this.#seats.size
  }

  /**
   * Gives a connection what is delivered from now on; what is returned takes it out. One that joins again is given
   * nothing twice, and is in until it has left as often.
   */
  join(outbox: Outbox, id: string): () => void {
    const seat = this.#seats.get(id) ?? this.#sit(outbox, id)
    seat.uses++
    let isIn = true
    return () => {
      if (!isIn) return
      isIn = false
      if (--seat.uses === 0) this.#leave(seat)
    }
  }

  #sit(outbox: Outbox, id: string): Seat {
    const seat = new Seat(this, outbox, id, this.#options.flusher.turn, this.#frames?.length ?? 0)
    this.#seats.set(id, seat)
    outbox.sit(seat, this.#options.everybody === true)
    return seat
  }

  /** What it has not been given yet of this turn is still its own. */
  #leave(seat: Seat): void {
    this.#seats.delete(seat.id)
    seat.outbox.rise(seat)
    seat.handOver()
  }

  /** To be called by the seat alone. */
  handOver(seat: Seat): void {
    const frames = this.#frames
    if (frames === undefined) return
    const { turn } = this.#options.flusher
    const held = hold(frames, seat, turn)
    if (held > 0) this.#options.onDelivered(held)
    seat.since = turn
    seat.from = frames.length
  }

  deliver({ except, message, roomSeq }: Envelope<A>): number {
    return this.send(message, except, roomSeq)
  }

  /** Tells everybody that messages of another node are missing; the notice itself may not be lost. */
  lose(missed: number, roomSeq: number): void {
    if (this.#seats.size === 0) return
    const text = this.#options.noticeOf?.(missed, roomSeq)
    if (text !== undefined) this.#append(text, undefined, [])
  }

  /** Sends a message to all but some, as the text it has been encoded to already, if it has; answers the bytes. */
  send(message: A, except: ReadonlyArray<string>, seq = 0, encoded?: string): number {
    if (this.#seats.size === 0) return 0
    const text = encoded ?? this.#options.encode(message)
    return text === undefined ? 0 : this.#append(text, this.#options.markOf?.(message, seq), except)
  }

  #append(text: string, mark: Mark | undefined, except: ReadonlyArray<string>): number {
    const { everybody, flusher, frame: toFrame } = this.#options
    if (this.#frames === undefined) {
      this.#frames = flusher.lend()
      flusher.addBatch(this, everybody === true)
    }
    const frames = this.#frames
    for (const id of except) this.#leaveOut(id, frames.length)
    const frame = toFrame === undefined ? textFrame(text) : toFrame(text)
    frames.push(frame, flusher.nextPlace(), mark)
    const bytes = frame.length * Math.max(0, this.#seats.size - except.length)
    if (frames.bytes >= fullAt) flusher.flush()
    return bytes
  }

  #leaveOut(id: string, index: number): void {
    const seat = this.#seats.get(id)
    if (seat === undefined) return
    if (seat.left === undefined) seat.left = [index]
    else seat.left.push(index)
  }

  /** To be called by the flusher alone, at the end of the given turn. */
  flush(turn: number, failures: Array<unknown>): void {
    const frames = this.#frames
    this.#frames = undefined
    if (frames === undefined) return
    const { bytes, length } = frames
    const everybody = this.#options.everybody === true
    const whole = [{ frames, from: 0, to: length }]
    let delivered = 0
    for (const seat of this.#seats.values()) {
      const { left, outbox } = seat
      try {
        if (everybody || outbox.isMixed) {
          delivered += hold(frames, seat, turn)
        } else if (left === undefined && seat.since !== turn) {
          outbox.write(whole, bytes, length)
          delivered += length
        } else {
          const runs = without(frames, seat.since === turn ? seat.from : 0, length, left ?? none)
          const messages = lengthOf(runs)
          if (messages > 0) outbox.write(runs, sizeOf(runs), messages)
          delivered += messages
        }
      } catch (failure) {
        failures.push(failure)
      }
      if (left !== undefined) seat.left = undefined
    }
    this.#written = frames
    this.#options.onDelivered(delivered)
  }

  /** To be called by the flusher alone, when nobody holds frames of the turn any more. */
  recycle(): void {
    if (this.#written !== undefined) this.#options.flusher.takeBack(this.#written)
    this.#written = undefined
  }

  close(): void {}
}

/** Has the connection hold what is a seat's; answers how many frames that is. */
const hold = (frames: Frames, seat: Seat, turn: number): number => {
  let held = 0
  for (const run of without(frames, seat.since === turn ? seat.from : 0, frames.length, seat.left ?? none)) {
    seat.outbox.hold(run)
    held += run.to - run.from
  }
  return held
}
