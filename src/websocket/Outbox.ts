/**
 * The bounded way out of a connection.
 *
 * Neither Effect's socket nor `ws` pushes back when a peer stops reading: what is sent piles up in the process. The
 * outbox counts what the peer has not taken, by bytes and by messages, and refuses what is over the bound. During a turn
 * it holds what is the connection's own; slices of rooms' batches join them at the end of the turn (`internal/batch.ts`).
 */
import type { Limits } from "./Limits.ts"
import type { Backlog } from "./internal/backlog.ts"
import type { Budget, Debtor } from "./internal/budget.ts"
import type { Flusher } from "./internal/flusher.ts"
import { Frames, fullAt, lengthOf, merge, type Run, sizeOf } from "./internal/frames.ts"

/** Where frames go. */
export interface Writer {
  /** Whether frames may be written: nobody has begun to close. */
  readonly open: boolean
  /**
   * Queues whole frames for the peer. Where there is a backlog, `Outbox.writeTaken` has to be called when the system has
   * taken what was written, once for each write.
   */
  readonly write: (runs: ReadonlyArray<Run>, bytes: number) => void
  /** Whether so much waits that more should not be handed over. */
  readonly congested: boolean
  /** Bytes that were written and not taken by the peer. */
  readonly unsentBytes: () => number
}

/** The bounds of an outbox. */
export type OutboxLimits = Pick<Limits, "outboxBytes" | "outboxMessages">

/** The place of a connection in a batch; `handOver` has it hold what it is to be given of this turn. */
export interface Seat {
  readonly handOver: () => void
}

export interface OutboxOptions {
  readonly writer: Writer
  readonly limits: OutboxLimits
  readonly flusher: Flusher
  /** What all connections together may leave untaken. */
  readonly budget: Budget
  /** Where messages wait, and which of them go, on routes whose slow connections lose messages. */
  readonly backlog?: Backlog | undefined
  /** A message was refused; called once. */
  readonly onOverflow: () => void
  /** Lets go of what is still untaken at once: it was cut, and the server needs the room. */
  readonly destroy?: (() => void) | undefined
}

/**
 * Counts what is written against its bounds.
 *
 * How many messages are unsent is found without a callback per message: each message is remembered by where it ends in
 * the stream of bytes, and is sent once the peer has taken the stream up to there.
 */
export class Outbox implements Debtor {
  readonly #options: OutboxOptions
  /** What is handed to the socket cannot be taken back, so with a backlog that is half of what may wait at most. */
  readonly #half: OutboxLimits
  /** Where the unsent messages end, counted from the first byte written; the oldest at `#head`. */
  #ends: Array<number> = []
  #head = 0
  #written = 0
  /** What it was given of batches in this turn, to be put into one order with others; nothing most of the time. */
  #runs: Array<Run> = []
  /** What it has been sent in this turn besides. Lent by the flusher, since it is needed for a turn only. */
  #own: Frames | undefined
  #ended = false
  /** Writes the system has not taken; counted where there is a backlog. */
  #inFlight = 0
  /** Where it sits in batches of rooms and keys: in one, most of the time. */
  #seats: Array<Seat> = []
  /** Where it sits in the batch of all connections of its route. */
  #home: Seat | undefined

  constructor(options: OutboxOptions) {
    this.#options = options
    const { backlog, limits } = options
    this.#half =
      backlog === undefined
        ? limits
        : { outboxBytes: limits.outboxBytes / 2, outboxMessages: limits.outboxMessages / 2 }
  }

  /** Bytes the peer has taken so far. */
  get takenBytes(): number {
    return this.#written - this.#options.writer.unsentBytes()
  }

  get unsentBytes(): number {
    return this.#options.writer.unsentBytes() + (this.#options.backlog?.bytes ?? 0)
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Takes nothing more, and forgets what was not written: the server needs the room. The second time it is destroyed. */
  cut(): void {
    if (this.#ended) return this.#options.destroy?.()
    this.#options.backlog?.clear()
    this.#overflow()
  }

  /** Messages the peer has not taken wholly. */
  get unsentMessages(): number {
    const taken = this.takenBytes
    while (this.#head < this.#ends.length && this.#ends[this.#head]! <= taken) this.#head++
    if (this.#head > 0 && (this.#head === this.#ends.length || this.#head > 1024)) {
      this.#ends = this.#ends.slice(this.#head)
      this.#head = 0
    }
    return this.#ends.length - this.#head
  }

  /** Whether what it gets in a turn may come from several sides, and has to be put into one order before it is written. */
  get isMixed(): boolean {
    return this.#own !== undefined || this.#runs.length > 0 || this.#seats.length > 1
  }

  /** How many seats it has. */
  get seatCount(): number {
    return this.#seats.length + (this.#home === undefined ? 0 : 1)
  }

  /** Takes a seat in a batch. */
  sit(seat: Seat, everybody: boolean): void {
    if (everybody) this.#home = seat
    // Arrays that grow make room for many.
    else if (this.#seats.length === 0) this.#seats = [seat]
    else this.#seats.push(seat)
  }

  /** Leaves a seat. */
  rise(seat: Seat): void {
    const index = this.#seats.indexOf(seat)
    if (index >= 0) this.#seats.splice(index, 1)
    else if (this.#home === seat) this.#home = undefined
  }

  /** Takes a frame of the connection's own. False when it would be over a bound: then nothing is taken any more. */
  offer(frame: Buffer): boolean {
    if (this.#ended) return false
    // What is held counts only if the peer does not take it.
    if (!this.#takes(frame.length)) this.#flushAll()
    if (this.#ended) return false
    if (!this.#takes(frame.length)) {
      this.#overflow()
      return false
    }
    const { flusher } = this.#options
    if (this.#own === undefined) {
      if (this.#runs.length === 0) flusher.addOutbox(this)
      this.#own = flusher.lend()
    }
    this.#own.push(frame, flusher.nextPlace())
    if (this.#own.bytes >= fullAt) this.#flushAll()
    return true
  }

  #takes(bytes: number): boolean {
    const { backlog, writer } = this.#options
    const waiting = writer.unsentBytes() + (this.#own?.bytes ?? 0) + (backlog?.ownBytes ?? 0)
    const messages = (this.#own?.length ?? 0) + (backlog?.ownMessages ?? 0)
    return waiting === 0 || this.#fits(waiting + bytes, messages + 1)
  }

  #fits(bytes: number, messages: number): boolean {
    const { outboxBytes, outboxMessages } = this.#options.limits
    return bytes <= outboxBytes && this.unsentMessages + messages <= outboxMessages
  }

  /** Keeps a run for the end of the turn. */
  hold(run: Run): void {
    if (this.#ended) return
    if (this.#runs.length === 0 && this.#own === undefined) this.#options.flusher.addOutbox(this)
    this.#runs.push(run)
  }

  /** Writes what it holds. */
  flush(): void {
    const own = this.#own
    const held = this.#runs
    if (own === undefined && held.length === 0) return
    this.#own = undefined
    if (held.length > 0) this.#runs = []
    const run = own && { frames: own, from: 0, to: own.length }
    const merged = merge(run === undefined ? held : held.length === 0 ? [run] : [...held, run])
    this.write(merged, sizeOf(merged), lengthOf(merged))
    // Nobody looks at frames once they are written: what waits longer is the bytes of each.
    if (own !== undefined) this.#options.flusher.takeBack(own)
  }

  /** Writes runs, for a connection that holds nothing: what a broadcast does for most members. */
  write(runs: ReadonlyArray<Run>, bytes: number, messages: number): void {
    const { backlog, writer } = this.#options
    if (this.#ended || !writer.open) return
    const { outboxBytes, outboxMessages } = this.#half
    const unsent = writer.unsentBytes()
    if (unsent === 0 && bytes <= outboxBytes && messages <= outboxMessages && backlog?.waits !== true) {
      if (this.#ends.length > 0) this.#forget()
      return this.#commit(runs, bytes, 0)
    }
    if (backlog !== undefined) return this.#writeOrKeep(backlog, runs)
    if (this.#fits(unsent + bytes, messages)) return this.#commit(runs, bytes, unsent)
    this.#writeInParts(runs)
  }

  /** Writes what there is of this turn for the connection, that of its batches included. */
  #flushAll(): void {
    this.#home?.handOver()
    for (const seat of this.#seats) seat.handOver()
    this.flush()
  }

  /** Writes what there is of this turn for the connection, and takes nothing more. */
  end(): void {
    if (this.#ended) return
    this.#flushAll()
    if (this.#ended) return
    this.#release(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
    this.#ended = true
  }

  /** Writes as much as is within the bounds, and the rest if the peer took that. */
  #writeInParts(runs: ReadonlyArray<Run>): void {
    let rest = runs
    // Writing may find that the server needs the room, and cut this very connection.
    while (rest.length > 0 && !this.#ended) {
      const unsent = this.#options.writer.unsentBytes()
      const [fitting, others] = this.#split(rest, unsent, this.#options.limits)
      if (fitting.length === 0) return this.#overflow()
      this.#commit(fitting, sizeOf(fitting), unsent)
      rest = others
    }
  }

  /** As many frames from the beginning as are within the bounds, one in any case when nothing waits; and the others. */
  #split(
    runs: ReadonlyArray<Run>,
    unsent: number,
    { outboxBytes, outboxMessages }: OutboxLimits
  ): readonly [ReadonlyArray<Run>, ReadonlyArray<Run>] {
    let bytes = unsent
    let messages = this.unsentMessages
    const fitting: Array<Run> = []
    for (const [index, { frames, from, to }] of runs.entries()) {
      let end = from
      while (end < to) {
        const next = bytes + frames.frame(end).length
        if (bytes > 0 && (next > outboxBytes || messages >= outboxMessages)) break
        bytes = next
        messages++
        end++
      }
      if (end > from) fitting.push({ frames, from, to: end })
      if (end < to) return [fitting, [{ frames, from: end, to }, ...runs.slice(index + 1)]]
    }
    return [fitting, []]
  }

  #commit(runs: ReadonlyArray<Run>, bytes: number, unsent: number): void {
    const { writer } = this.#options
    this.#inFlight++
    writer.write(runs, bytes)
    const before = this.#written
    this.#written += bytes
    if (unsent === 0 && writer.unsentBytes() === 0) return
    this.#options.budget.wait(this, bytes)
    let end = before
    for (const { frames, from, to } of runs) {
      for (let index = from; index < to; index++) this.#ends.push((end += frames.frame(index).length))
    }
  }

  /** Writes what the socket should have, and keeps the rest until the peer has taken that. */
  #writeOrKeep(backlog: Backlog, runs: ReadonlyArray<Run>): void {
    const { writer } = this.#options
    let rest = runs
    while (rest.length > 0 && !this.#ended && !backlog.waits) {
      // With no write to wait for, a backlog would wait for ever: what is unsent then are pings and the like.
      const unsent = this.#inFlight === 0 ? 0 : writer.unsentBytes()
      if (unsent > 0 && writer.congested) break
      const [fitting, others] = this.#split(rest, unsent, this.#half)
      if (fitting.length === 0) break
      this.#commit(fitting, sizeOf(fitting), unsent)
      rest = others
    }
    if (rest.length > 0 && !this.#ended) this.#keep(backlog, rest)
  }

  #keep(backlog: Backlog, runs: ReadonlyArray<Run>): void {
    const unsent = this.#options.writer.unsentBytes()
    const messages = this.unsentMessages
    const before = backlog.bytes
    for (const { frames, from, to } of runs) {
      for (let index = from; index < to; index++) {
        if (!backlog.add(frames, index, unsent, messages)) return this.#overflow()
      }
    }
    if (backlog.bytes > before) this.#options.budget.wait(this, backlog.bytes - before)
  }

  /** The system has taken a write. Once it has all of them, more of what waits goes out. */
  writeTaken(): void {
    this.#inFlight--
    if (this.#inFlight > 0 || this.#ended || !this.#options.writer.open) return
    const { outboxBytes, outboxMessages } = this.#half
    this.#release(Math.min(fullAt, outboxBytes), outboxMessages)
  }

  /** Writes what waits, up to so many bytes and messages. */
  #release(bytes: number, messages: number): void {
    const { backlog, flusher, writer } = this.#options
    if (backlog === undefined || !backlog.waits || !writer.open) return
    const frames = new Frames()
    const runs: Array<Run> = []
    for (const frame of backlog.take(bytes, messages)) {
      // A run of its own, so that what others wait for as well is not copied for each.
      runs.push({ frames, from: frames.length, to: frames.length + 1 })
      frames.push(frame, flusher.nextPlace())
    }
    if (runs.length > 0) this.#commit(runs, frames.bytes, writer.unsentBytes())
  }

  #forget(): void {
    this.#ends = []
    this.#head = 0
  }

  /** What was taken before goes out all the same. */
  #overflow(): void {
    this.#release(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
    if (this.#ended) return
    this.#ended = true
    this.#runs = []
    this.#own = undefined
    this.#options.onOverflow()
  }
}
