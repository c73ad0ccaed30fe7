/**
 * What all connections of a server together may leave untaken: over it, those with the most go first.
 */

/** A connection with bytes its peer has not taken. */
export interface Debtor {
  readonly unsentBytes: number
  /** Whether it takes nothing more, and is only waited for to take what it was sent. */
  readonly ended: boolean
  /** Ends it; the second time it lets go of its bytes at once. */
  readonly cut: () => void
}

/** Who has ended goes before who has not, and then who owes more. */
const byUrgency = (a: Debtor, b: Debtor): number =>
  a.ended === b.ended ? b.unsentBytes - a.unsentBytes : a.ended ? -1 : 1

export class Budget {
  readonly #bytes: number
  readonly #debtors = new Set<Debtor>()
  #grown = 0

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** How many connections are known to owe something. */
  get size(): number {
    return this.#debtors.size
  }

  /** A connection was written bytes that wait. Adding up is left for when enough have come to matter. */
  wait(debtor: Debtor, bytes: number): void {
    this.#debtors.add(debtor)
    this.#grown += bytes
    if (this.#grown >= this.#bytes / 16) this.check()
  }

  /** A connection is gone. */
  forget(debtor: Debtor): void {
    this.#debtors.delete(debtor)
  }

  /**
   * Forgets those who owe nothing any more, and cuts while it is too much. Who was cut still has its bytes, and goes
   * first the next time.
   */
  check(): void {
    this.#grown = 0
    let total = 0
    for (const debtor of this.#debtors) {
      const { unsentBytes } = debtor
      if (unsentBytes === 0) this.#debtors.delete(debtor)
      total += unsentBytes
    }
    if (total <= this.#bytes) return
    for (const debtor of Array.from(this.#debtors).toSorted(byUrgency)) {
      if (total <= this.#bytes) return
      total -= debtor.unsentBytes
      debtor.cut()
    }
  }
}
