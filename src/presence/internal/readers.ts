/**
 * Where the subscribers of a room read from: a position among its flushes, no buffer of their own.
 */
import * as Exit from "effect/Exit"
import type { Source } from "../../internal/cursor.ts"
import { between, type Change, first, type Occupancy, occupancyOf } from "../PresenceChange.ts"
import type { PresenceState } from "../PresenceState.ts"
import type { Reader, Room } from "./room.ts"

/** The state when it attached, then what was flushed since; the state anew when it is too far behind. */
export class ChangesReader<U, M> implements Source<Change<U, M>, never>, Reader {
  readonly #room: Room<U, M>
  exit: Exit.Exit<void> | undefined
  waiter: (() => void) | undefined
  version: number
  #started = false
  /** What this reader was told last, where that was not at a flush: the flush that follows is put in its terms. */
  #base: PresenceState<U, M> | undefined

  constructor(room: Room<U, M>) {
    this.#room = room
    this.#base = room.state
    this.version = room.version
    room.attach(this)
  }

  get hasNews(): boolean {
    return !this.#started || this.version < this.#room.version
  }

  poll(): ReadonlyArray<Change<U, M>> {
    if (this.exit !== undefined) return []
    const room = this.#room
    const flushes = room.since(this.version)
    this.version = room.version
    if (flushes === undefined) return [this.#begin(room.state)]
    const changes: Array<Change<U, M>> = this.#started ? [] : [this.#begin(this.#base!)]
    for (const { after, change, touched } of flushes) {
      const seen = this.#base === undefined ? change : between(this.#base, after, touched)
      if (seen !== undefined) changes.push(seen)
      this.#base = undefined
    }
    return changes
  }

  #begin(state: PresenceState<U, M>): Change<U, M> {
    this.#started = true
    this.#base = state
    return first(state)
  }

  end(): void {
    this.exit ??= Exit.void
    this.#base = undefined
    this.#room.detach(this)
  }
}

/** The latest counts, when they differ from those read last. */
export class OccupancyReader<U, M> implements Source<Occupancy, never>, Reader {
  readonly #room: Room<U, M>
  exit: Exit.Exit<void> | undefined
  waiter: (() => void) | undefined
  #last: Occupancy | undefined

  constructor(room: Room<U, M>) {
    this.#room = room
    room.attach(this)
  }

  get version(): number {
    return this.#room.version
  }

  get hasNews(): boolean {
    const { devices, users } = occupancyOf(this.#room.state)
    return users !== this.#last?.users || devices !== this.#last.devices
  }

  poll(): ReadonlyArray<Occupancy> {
    if (this.exit !== undefined || !this.hasNews) return []
    this.#last = occupancyOf(this.#room.state)
    return [this.#last]
  }

  end(): void {
    this.exit ??= Exit.void
    this.#room.detach(this)
  }
}
