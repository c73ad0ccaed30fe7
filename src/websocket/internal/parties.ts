/**
 * What is known of those who connect, by name: as long as they are connected, and then until there is nothing to
 * remember. Whoever comes under ever new names makes it forget the oldest of those who are not connected.
 */

/** One address, or one user. */
export interface Party {
  /** Whether forgetting it changes nothing, once it has no connections. */
  readonly rested: (now: number) => boolean
}

interface Entry<P> {
  readonly party: P
  connections: number
}

/** Names without connections that are remembered. */
const mostResting = 10_000

export class Parties<P extends Party> {
  readonly #make: (now: number) => P
  readonly #connected = new Map<string, Entry<P>>()
  /** Those without connections, the longest without use first. */
  readonly #resting = new Map<string, P>()

  constructor(make: (now: number) => P) {
    this.#make = make
  }

  /** How many are remembered. */
  get size(): number {
    return this.#connected.size + this.#resting.size
  }

  connections(name: string): number {
    return this.#connected.get(name)?.connections ?? 0
  }

  /** Answers what is known of a name, to use it now. */
  of(name: string, now: number): P {
    const connected = this.#connected.get(name)
    if (connected !== undefined) return connected.party
    const party = this.#resting.get(name) ?? this.#make(now)
    this.#rest(name, party)
    return party
  }

  /** Counts one connection more. */
  enter(name: string, now: number): void {
    const party = this.of(name, now)
    this.#resting.delete(name)
    const entry = this.#connected.get(name)
    if (entry === undefined) this.#connected.set(name, { party, connections: 1 })
    else entry.connections++
  }

  /** Counts one connection less. */
  leave(name: string): void {
    const entry = this.#connected.get(name)
    if (entry === undefined || --entry.connections > 0) return
    this.#connected.delete(name)
    this.#rest(name, entry.party)
  }

  #rest(name: string, party: P): void {
    this.#resting.delete(name)
    this.#resting.set(name, party)
    if (this.#resting.size <= mostResting) return
    for (const oldest of this.#resting.keys()) return void this.#resting.delete(oldest)
  }

  /** Drops those that have rested; to be called now and then. */
  forget(now: number): void {
    for (const [name, party] of this.#resting) {
      if (!party.rested(now)) return
      this.#resting.delete(name)
    }
  }
}
