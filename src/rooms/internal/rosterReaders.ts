/**
 * Who follows how many members rooms have: told at most once per window, and only how it is then.
 */
import * as Exit from "effect/Exit"
import type { Source } from "../../internal/cursor.ts"
import type { Turn } from "../../internal/turn.ts"
import type { Count } from "../Room.ts"

/** One reader of one room: at once, then when a window has ended in which the number has changed. */
export class CountReader implements Source<Count, never> {
  readonly #count: () => Count
  readonly #turn: Turn
  exit: Exit.Exit<void> | undefined
  waiter: (() => void) | undefined
  #ready = true
  #last: number | undefined

  constructor(count: () => Count, turn: Turn) {
    this.#count = count
    this.#turn = turn
  }

  /** A window has ended. */
  tick(): void {
    if (this.#count().members === this.#last) return
    this.#ready = true
    this.#wake()
  }

  poll(): ReadonlyArray<Count> {
    if (!this.#ready || this.exit !== undefined) return []
    this.#ready = false
    const count = this.#count()
    // It may be again what it was when this reader was told last.
    if (count.members === this.#last) return []
    this.#last = count.members
    return [count]
  }

  end(): void {
    this.exit ??= Exit.void
    this.#wake()
  }

  #wake(): void {
    if (this.waiter === undefined) return
    this.#turn.atEnd(() => {
      const { waiter } = this
      this.waiter = undefined
      waiter?.()
    })
  }
}

export class RosterReaders {
  readonly #later: (task: () => void) => void
  readonly #readers = new Map<string, Set<CountReader>>()
  /** Rooms in which something has happened within the window. */
  #dirty: Set<string> | undefined
  #closed = false

  /** `later` runs something once the window is over. */
  constructor(later: (task: () => void) => void) {
    this.#later = later
  }

  /** How many rooms are read. */
  get size(): number {
    return this.#readers.size
  }

  attach(room: string, reader: CountReader): void {
    if (this.#closed) return reader.end()
    const readers = this.#readers.get(room)
    if (readers === undefined) this.#readers.set(room, new Set([reader]))
    else readers.add(reader)
  }

  detach(room: string, reader: CountReader): void {
    const readers = this.#readers.get(room)
    readers?.delete(reader)
    if (readers?.size === 0) this.#readers.delete(room)
    reader.end()
  }

  /** The number of members of a room may have changed. */
  changed(room: string): void {
    if (this.#readers.size === 0 || !this.#readers.has(room)) return
    if (this.#dirty !== undefined) return void this.#dirty.add(room)
    this.#dirty = new Set([room])
    this.#later(() => this.#flush())
  }

  #flush(): void {
    const dirty = this.#dirty ?? []
    this.#dirty = undefined
    for (const room of dirty) for (const reader of this.#readers.get(room) ?? []) reader.tick()
  }

  close(): void {
    this.#closed = true
    const all = Array.from(this.#readers.values(), (readers) => Array.from(readers)).flat()
    this.#readers.clear()
    for (const reader of all) reader.end()
  }
}
