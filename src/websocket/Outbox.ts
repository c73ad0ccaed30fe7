/**
 * The bounded way out of a connection.
 *
 * Neither Effect's socket nor `ws` pushes back when a peer stops reading: what is sent piles up in the process. The
 * outbox counts what the peer has not taken, by bytes and by messages, and refuses what is over the bound. It writes
 * whole frames to the raw socket; where compression was negotiated or there is no raw socket, it goes through `ws`.
 */

/** Where frames go. */
export interface Writer {
  /** Queues one text message for the peer; returns the bytes that takes on the wire. */
  readonly write: (text: string) => number
  /** Bytes that were written and not taken by the peer. */
  readonly unsentBytes: () => number
}

/** The bounds of an outbox. */
export interface OutboxLimits {
  readonly outboxBytes: number
  readonly outboxMessages: number
}

/**
 * Counts what is written against its bounds.
 *
 * How many messages are unsent is found without a callback per message: each message is remembered by where it ends in
 * the stream of bytes, and is sent once the peer has taken the stream up to there.
 */
export class Outbox {
  readonly #writer: Writer
  readonly #limits: OutboxLimits
  /** Where the unsent messages end, counted from the first byte written; the oldest at `#head`. */
  #ends: Array<number> = []
  #head = 0
  #written = 0

  constructor(writer: Writer, limits: OutboxLimits) {
    this.#writer = writer
    this.#limits = limits
  }

  /** Bytes the peer has taken so far. */
  get takenBytes(): number {
    return this.#written - this.#writer.unsentBytes()
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

  /** Writes a message unless that would be over a bound; false when it would. */
  offer(text: string): boolean {
    const unsent = this.#writer.unsentBytes()
    if (unsent > 0) {
      if (unsent + Buffer.byteLength(text) > this.#limits.outboxBytes) return false
      if (this.unsentMessages >= this.#limits.outboxMessages) return false
    }
    this.#written += this.#writer.write(text)
    if (unsent > 0 || this.#writer.unsentBytes() > 0) this.#ends.push(this.#written)
    return true
  }
}
