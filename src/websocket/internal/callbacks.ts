/**
 * Functions that are called once, in the order in which they came, unless they are called off before.
 *
 * A list, since there is one for each connection: a set makes its table anew with every few that come and go, and the
 * old one keeps what it held until the whole heap is collected.
 */

interface Link<A> {
  readonly callback: (value: A) => void
  previous: Link<A> | undefined
  next: Link<A> | undefined
  waits: boolean
}

export class Callbacks<A> {
  #first: Link<A> | undefined
  #last: Link<A> | undefined

  /** Adds a function; what is returned calls it off. */
  add(callback: (value: A) => void): () => void {
    const link: Link<A> = { callback, previous: this.#last, next: undefined, waits: true }
    if (this.#last === undefined) this.#first = link
    else this.#last.next = link
    this.#last = link
    return () => this.#remove(link)
  }

  /** Calls those that wait, and forgets them. */
  call(value: A): void {
    for (let link = this.#first; link !== undefined; link = this.#first) {
      this.#remove(link)
      link.callback(value)
    }
  }

  #remove(link: Link<A>): void {
    if (!link.waits) return
    link.waits = false
    if (link.previous === undefined) this.#first = link.next
    else link.previous.next = link.next
    if (link.next === undefined) this.#last = link.previous
    else link.next.previous = link.previous
  }
}
