/**
 * The members on other nodes, by the node that has them and by room: two indexes that change in the same call.
 */

/** A member on another node. */
export interface Elsewhere {
  /** The incarnation of the node. */
  readonly node: string
  readonly room: string
  readonly id: string
  /** Wall time of that node in milliseconds, for display. */
  readonly joinedAt: number
  /** The member's data as it came; undefined where it did not come with the rest. */
  readonly data: unknown
}

const nobody: ReadonlySet<Elsewhere> = new Set()

export class RosterIndex {
  readonly #byNode = new Map<string, Map<string, Elsewhere>>()
  readonly #byRoom = new Map<string, Set<Elsewhere>>()
  #size = 0

  /** How many there are. */
  get size(): number {
    return this.#size
  }

  /** Those of a room. */
  of(room: string): ReadonlySet<Elsewhere> {
    return this.#byRoom.get(room) ?? nobody
  }

  /** The rooms that have any. */
  get rooms(): Iterable<string> {
    return this.#byRoom.keys()
  }

  /** The nodes that say something under a key. */
  nodesOf(key: string): ReadonlyArray<string> {
    return Array.from(this.#byNode).flatMap(([node, entries]) => (entries.has(key) ? [node] : []))
  }

  /** Sets what a node says under a key of its own. */
  set(key: string, member: Elsewhere): void {
    this.delete(member.node, key)
    const entries = this.#byNode.get(member.node) ?? new Map<string, Elsewhere>()
    this.#byNode.set(member.node, entries.set(key, member))
    const room = this.#byRoom.get(member.room) ?? new Set<Elsewhere>()
    this.#byRoom.set(member.room, room.add(member))
    this.#size++
  }

  /** Answers the room it was in, if there was such an entry. */
  delete(node: string, key: string): string | undefined {
    const entries = this.#byNode.get(node)
    const member = entries?.get(key)
    if (entries === undefined || member === undefined) return undefined
    entries.delete(key)
    if (entries.size === 0) this.#byNode.delete(node)
    const room = this.#byRoom.get(member.room)!
    room.delete(member)
    if (room.size === 0) this.#byRoom.delete(member.room)
    this.#size--
    return member.room
  }
}
