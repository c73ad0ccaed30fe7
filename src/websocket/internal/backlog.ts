/**
 * What a slow connection is still to be sent, on routes where it loses messages instead of being closed.
 *
 * Bytes that were handed to the socket cannot be taken back, so while the socket has enough, frames wait here, within
 * the bounds of the outbox, and the policy says which of them go. What went is told in one notice per feed, at the place
 * where it is missing: in front of what is kept, or behind it where the newest go.
 */
import type { Limits } from "../Limits.ts"
import type { Feed, Frames, Mark } from "./frames.ts"

/** Which messages a slow connection loses. */
export type Policy = "dropOldest" | "dropNewest" | "latest"

/**
 * What was lost of one room or key: so many messages with positions from one up to another, both included. Where messages
 * of another node did not get to this one, that position stands for all of them, and 0 for nobody knows how many.
 */
export interface Loss {
  /** The name of the room's kind, or of the channel. */
  readonly kind: string
  readonly room: string
  readonly from: number
  readonly to: number
  readonly missed: number
  /** The connection is slow, or messages of another node did not get here. */
  readonly reason: "slow" | "network"
}

export interface BacklogOptions {
  readonly policy: Policy
  readonly limits: Pick<Limits, "outboxBytes" | "outboxMessages">
  /** The frame that tells of a loss; undefined when it could not be made, which whoever made it has reported. */
  readonly notice: (loss: Loss) => Buffer | undefined
  readonly onDropped: (kind: string, messages: number) => void
}

/** A frame that waits; without a mark it is the connection's own and must not be lost. */
interface Entry {
  readonly frame: Buffer
  readonly mark: Mark | undefined
}

/** Positions that were lost since the last notice. */
interface Hole {
  from: number
  to: number
  missed: number
}

export class Backlog {
  readonly #options: BacklogOptions
  /** In order; taking one out of the midst is one step. */
  readonly #entries = new Set<Entry>()
  /** By feed and key, what waits; kept where a newer message replaces an older one. */
  readonly #latest = new Map<Feed, Map<unknown, Entry>>()
  readonly #holes = new Map<Feed, Hole>()
  bytes = 0
  /** Of that, what must not be lost. */
  ownBytes = 0
  ownMessages = 0

  constructor(options: BacklogOptions) {
    this.#options = options
  }

  /** Frames that wait. */
  get length(): number {
    return this.#entries.size
  }

  /** Whether there is anything to say: frames, or losses. */
  get waits(): boolean {
    return this.#entries.size > 0 || this.#holes.size > 0
  }

  /**
   * Keeps a frame behind so many bytes and messages that were written and not taken, or loses this or others by the
   * policy. False when there is no room for what must not be lost.
   */
  add(frames: Frames, index: number, unsentBytes: number, unsentMessages: number): boolean {
    const entry = { frame: frames.frame(index), mark: frames.mark(index) }
    const { mark } = entry
    const { outboxBytes, outboxMessages } = this.#options.limits
    const bytes = outboxBytes - unsentBytes - entry.frame.length
    const messages = outboxMessages - unsentMessages - 1
    if (mark === undefined) {
      if (this.ownBytes > bytes || this.ownMessages > messages) return false
      this.#loseDownTo(bytes, messages)
      this.#keep(entry)
      return true
    }
    if (this.#options.policy === "latest") this.#loseOlder(mark)
    // What is behind a hole at the end would be read before the notice of it.
    const last = this.#options.policy === "dropNewest"
    if (!last) this.#loseDownTo(bytes, messages)
    if (this.bytes > bytes || this.#entries.size > messages || (last && this.#holes.has(mark.feed))) this.#lose(mark)
    else this.#keep(entry)
    return true
  }

  #keep(entry: Entry): void {
    const { frame, mark } = entry
    this.#entries.add(entry)
    this.bytes += frame.length
    if (mark === undefined) {
      this.ownBytes += frame.length
      this.ownMessages++
    } else if (this.#options.policy === "latest") {
      const keys = this.#latest.get(mark.feed)
      if (keys === undefined) this.#latest.set(mark.feed, new Map([[mark.key, entry]]))
      else keys.set(mark.key, entry)
    }
  }

  #remove(entry: Entry): void {
    const { frame, mark } = entry
    this.#entries.delete(entry)
    this.bytes -= frame.length
    if (mark === undefined) {
      this.ownBytes -= frame.length
      this.ownMessages--
    } else {
      const keys = this.#latest.get(mark.feed)
      keys?.delete(mark.key)
      if (keys?.size === 0) this.#latest.delete(mark.feed)
    }
  }

  #loseOlder({ feed, key }: Mark): void {
    const older = this.#latest.get(feed)?.get(key)
    if (older?.mark === undefined) return
    this.#remove(older)
    this.#lose(older.mark)
  }

  /** Loses by the policy what may be lost, until no more waits than so many bytes and messages. */
  #loseDownTo(bytes: number, messages: number): void {
    if (this.bytes <= bytes && this.#entries.size <= messages) return
    const entries = this.#options.policy === "dropNewest" ? Array.from(this.#entries).toReversed() : this.#entries
    for (const entry of entries) {
      if (this.bytes <= bytes && this.#entries.size <= messages) return
      if (entry.mark === undefined) continue
      this.#remove(entry)
      this.#lose(entry.mark)
    }
  }

  #lose({ feed, seq }: Mark): void {
    this.#options.onDropped(feed.kind, 1)
    const hole = this.#holes.get(feed)
    if (hole === undefined) {
      this.#holes.set(feed, { from: seq, to: seq, missed: 1 })
    } else {
      hole.from = Math.min(hole.from, seq)
      hole.to = Math.max(hole.to, seq)
      hole.missed++
    }
  }

  /**
   * Takes out what waits the longest, in order, up to so many bytes and messages, but one in any case; with the notices
   * of what was lost where they have come to be told.
   */
  take(bytes: number, messages: number): ReadonlyArray<Buffer> {
    const taken: Array<Buffer> = this.#options.policy === "dropNewest" ? [] : this.#notices()
    let left = bytes
    let some = 0
    for (const entry of this.#entries) {
      if (some > 0 && (entry.frame.length > left || some >= messages)) return taken
      taken.push(entry.frame)
      left -= entry.frame.length
      some++
      this.#remove(entry)
    }
    return [...taken, ...this.#notices()]
  }

  #notices(): Array<Buffer> {
    const notices: Array<Buffer> = []
    for (const [{ kind, room }, hole] of this.#holes) {
      const notice = this.#options.notice({ kind, room, ...hole, reason: "slow" })
      if (notice !== undefined) notices.push(notice)
    }
    this.#holes.clear()
    return notices
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear()
    this.#latest.clear()
    this.#holes.clear()
    this.bytes = 0
    this.ownBytes = 0
    this.ownMessages = 0
  }
}
