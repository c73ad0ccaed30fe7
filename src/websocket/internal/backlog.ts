/**
 * What a slow connection is still to be sent, on routes where it loses messages instead of being closed.
 *
 * Bytes that were handed to the socket cannot be taken back, so while the socket is full frames wait here, within the
 * bounds of the outbox, and the policy says which of them go. What went is told in one notice per room.
 */
import type { Limits } from "../Limits.ts"
import type { Frames, Mark } from "./frames.ts"

/** Which messages a slow connection loses. */
export type Policy = "dropOldest" | "dropNewest" | "latest"

/** What was lost of one room: so many messages with positions from one up to another, both included. */
export interface Loss {
  readonly room: string
  readonly from: number
  readonly to: number
  readonly missed: number
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

export class Backlog {
  readonly #options: BacklogOptions
  /** In order; deleting the oldest and replacing by key are what a `Map` and a `Set` do in one step. */
  readonly #entries = new Set<Entry>()
  readonly #latest = new Map<string, Map<unknown, Entry>>()
  readonly #losses = new Map<string, Loss>()
  bytes = 0
  #unsentBytes = 0
  #unsentMessages = 0

  constructor(options: BacklogOptions) {
    this.#options = options
  }

  get length(): number {
    return this.#entries.size
  }

  /** Whether there is anything to say: frames, or losses. */
  get waits(): boolean {
    return this.#entries.size > 0 || this.#losses.size > 0
  }

  /**
   * Keeps a frame behind so many bytes and messages that were written and not taken, or loses this or others by the
   * policy. False when there is no room for what must not be lost.
   */
  add(frames: Frames, index: number, unsentBytes: number, unsentMessages: number): boolean {
    this.#unsentBytes = unsentBytes
    this.#unsentMessages = unsentMessages
    const frame = frames.frame(index)
    const mark = frames.mark(index)
    const { policy } = this.#options
    if (policy === "latest" && mark !== undefined) this.#replace(mark)
    if (!this.#fits(frame)) {
      if (policy === "dropNewest") {
        if (mark === undefined) return false
        this.#lose(mark)
        return true
      }
      this.#makeRoom(frame)
      if (!this.#fits(frame)) {
        if (mark === undefined) return false
        this.#lose(mark)
        return true
      }
    }
    this.#keep({ frame, mark })
    return true
  }

  #fits({ length }: Buffer): boolean {
    return (
      this.#unsentBytes + this.bytes + length <= this.#options.limits.outboxBytes &&
      this.#unsentMessages + this.#entries.size < this.#options.limits.outboxMessages
    )
  }

  #keep(entry: Entry): void {
    this.#entries.add(entry)
    this.bytes += entry.frame.length
    const { mark } = entry
    if (this.#options.policy !== "latest" || mark === undefined) return
    const keys = this.#latest.get(mark.room)
    if (keys === undefined) this.#latest.set(mark.room, new Map([[mark.key, entry]]))
    else keys.set(mark.key, entry)
  }

  #remove(entry: Entry & { readonly mark: Mark }): void {
    this.#entries.delete(entry)
    this.bytes -= entry.frame.length
    const keys = this.#latest.get(entry.mark.room)
    if (keys?.get(entry.mark.key) === entry) keys.delete(entry.mark.key)
    this.#lose(entry.mark)
  }

  #replace(mark: Mark): void {
    const before = this.#latest.get(mark.room)?.get(mark.key)
    if (before?.mark !== undefined) this.#remove({ ...before, mark: before.mark })
  }

  /** Loses the oldest that may be lost until there is room. */
  #makeRoom(frame: Buffer): void {
    for (const entry of this.#entries) {
      if (this.#fits(frame)) return
      if (entry.mark !== undefined) this.#remove(entry as Entry & { readonly mark: Mark })
    }
  }

  #lose({ kind, room, seq }: Mark): void {
    this.#options.onDropped(kind, 1)
    const known = this.#losses.get(room)
    this.#losses.set(room, {
      room,
      from: known === undefined ? seq : Math.min(known.from, seq),
      to: known === undefined ? seq : Math.max(known.to, seq),
      missed: (known?.missed ?? 0) + 1
    })
  }

  /** Everything that waits, in order, and what tells of losses where they are: at the end, or else in front. */
  takeAll(): Array<Buffer> {
    const frames = Array.from(this.#entries, ({ frame }) => frame)
    const notices = Array.from(this.#losses.values(), (loss) => this.#options.notice(loss)).filter(
      (notice) => notice !== undefined
    )
    this.#entries.clear()
    this.#latest.clear()
    this.#losses.clear()
    this.bytes = 0
    return this.#options.policy === "dropNewest" ? [...frames, ...notices] : [...notices, ...frames]
  }
}
