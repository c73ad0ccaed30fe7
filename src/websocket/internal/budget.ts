/**
 * What all connections of a server together may leave untaken: over it, those with the most go first.
 */

/** A connection with bytes its peer has not taken. */
export interface Debtor {
  readonly unsentBytes: number
  /** Cuts it. */
  readonly cut: () => void
}

export class Budget {
  readonly #bytes: number
  readonly #debtors = new Set<Debtor>()
  #grown = 0

  constructor(bytes: number) {
    this.#bytes = bytes
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

  /** Bytes that wait now; forgets those who owe nothing any more, and cuts the largest while it is too much. */
  check(): number {
    this.#grown = 0
    let total = 0
    for (const debtor of this.#debtors) {
      const { unsentBytes } = debtor
      if (unsentBytes === 0) this.#debtors.delete(debtor)
      total += unsentBytes
    }
    if (total <= this.#bytes) return total
    for (const debtor of Array.from(this.#debtors).toSorted((a, b) => b.unsentBytes - a.unsentBytes)) {
      if (total <= this.#bytes) break
      total -= debtor.unsentBytes
      this.#debtors.delete(debtor)
      debtor.cut()
    }
    return total
  }
}
