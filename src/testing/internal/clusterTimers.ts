/**
 * Who sleeps until when: a binary heap, the next at the top, those of one time in the order in which they came.
 */

export interface Timer<Owner> {
  at: number
  /** Whose it is. */
  readonly owner: Owner
  readonly wake: () => void
  /** Nobody waits for it any more. */
  isOver: boolean
}

interface Entry<Owner> {
  readonly timer: Timer<Owner>
  readonly number: number
}

const isBefore = (a: Entry<unknown>, b: Entry<unknown>): boolean =>
  a.timer.at < b.timer.at || (a.timer.at === b.timer.at && a.number < b.number)

export class Timers<Owner> {
  readonly #heap: Array<Entry<Owner>> = []
  #number = 0

  get next(): Timer<Owner> | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.timer.isOver) this.#pop()
    return this.#heap[0]?.timer
  }

  /** Timers of an owner that somebody waits for. */
  count(owner: Owner): number {
    return this.#heap.reduce((sum, { timer }) => (timer.owner === owner && !timer.isOver ? sum + 1 : sum), 0)
  }

  push(timer: Timer<Owner>): void {
    const heap = this.#heap
    const entry = { timer, number: ++this.#number }
    let index = heap.push(entry) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(entry, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = entry
  }

  /** Takes the next one out. */
  pop(): Timer<Owner> | undefined {
    const timer = this.next
    if (timer !== undefined) this.#pop()
    return timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
  }
}
