/**
 * One room: its state, and what of it its subscribers have been told.
 *
 * A change is one synchronous step. Subscribers are told at a flush, which compares the state with the one at the flush
 * before: the states are persistent, so both are at hand. While nobody subscribes nothing is collected.
 */
import type { Turn } from "../../internal/turn.ts"
import { between, type Change, type Touched } from "../PresenceChange.ts"
import type { LeaveReason } from "../PresenceEntry.ts"
import { type Changed, isEmpty, type PresenceState } from "../PresenceState.ts"

/** One reader of one room, as the room sees it. */
export interface Reader {
  /** Flushes this reader has seen. */
  readonly version: number
  readonly hasNews: boolean
  waiter: (() => void) | undefined
  end(): void
}

/** What was told at once: the same for all who knew the state before. */
export interface Flush<U, M> {
  readonly change: Change<U, M> | undefined
  readonly touched: Touched
  readonly after: PresenceState<U, M>
}

export class Room<U, M> {
  readonly identifier: string
  readonly #maxBehind: number
  readonly #turn: Turn
  readonly #readers = new Set<Reader>()
  #state: PresenceState<U, M>
  #announced: PresenceState<U, M>
  #touched = new Map<string, LeaveReason>()
  /** The newest flushes, the last of them number `version`. */
  #flushes: Array<Flush<U, M>> = []
  version = 0

  constructor(identifier: string, state: PresenceState<U, M>, maxBehind: number, turn: Turn) {
    this.identifier = identifier
    this.#state = state
    this.#announced = state
    this.#maxBehind = maxBehind
    this.#turn = turn
  }

  get state(): PresenceState<U, M> {
    return this.#state
  }

  get isRead(): boolean {
    return this.#readers.size > 0
  }

  get isEmpty(): boolean {
    return !this.isRead && isEmpty(this.#state)
  }

  /** How many users have something to be told about. */
  get dirt(): number {
    return this.#touched.size
  }

  /** Takes over a change; what can be seen of it waits for the next flush. */
  commit([state, events]: Changed<U, M>): void {
    this.#state = state
    if (this.#readers.size === 0) {
      this.#announced = state
      return
    }
    for (const event of events) {
      const { identifier } = event._tag === "Leave" ? event.user : event.entry.user
      const reason = event._tag === "Leave" ? event.reason : this.#touched.get(identifier)
      this.#touched.set(identifier, reason ?? "left")
    }
  }

  flush(): void {
    if (this.#touched.size === 0) return
    const [touched, after] = [this.#touched, this.#state]
    this.#flushes.push({ change: between(this.#announced, after, touched), touched, after })
    this.version++
    this.#announced = after
    this.#touched = new Map()
    const readers = Array.from(this.#readers)
    const unread = readers.reduce((most, reader) => Math.max(most, this.version - reader.version), 0)
    this.#flushes.splice(0, this.#flushes.length - Math.min(unread, this.#maxBehind))
    this.#turn.atEnd(() => {
      for (const reader of readers) {
        if (reader.hasNews) wake(reader)
      }
    })
  }

  /** The flushes after a version; `undefined` when some of them are gone. */
  since(version: number): ReadonlyArray<Flush<U, M>> | undefined {
    const unread = this.version - version
    if (unread > this.#flushes.length) return undefined
    return unread === 0 ? [] : this.#flushes.slice(-unread)
  }

  attach(reader: Reader): void {
    this.#readers.add(reader)
  }

  /** A reader that waits learns of its end at the end of the turn. */
  detach(reader: Reader): void {
    this.#readers.delete(reader)
    if (reader.waiter !== undefined) this.#turn.atEnd(() => wake(reader))
    if (this.#readers.size > 0) return
    this.#touched = new Map()
    this.#flushes = []
    this.#announced = this.#state
  }

  close(): void {
    for (const reader of Array.from(this.#readers)) reader.end()
  }
}

const wake = (reader: Reader): void => {
  const { waiter } = reader
  reader.waiter = undefined
  waiter?.()
}
