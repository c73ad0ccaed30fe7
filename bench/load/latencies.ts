/**
 * Latencies in microseconds, kept as they come up to a bound; beyond it every second one is forgotten, again and again.
 */
import type { Percentiles } from "./messages.ts"

const capacity = 1 << 20

export class Latencies {
  readonly #values = new Float64Array(capacity)
  #length = 0
  #stride = 1
  #seen = 0

  add(value: number): void {
    if (this.#seen++ % this.#stride !== 0) return
    if (this.#length === capacity) {
      for (let i = 0; i < capacity / 2; i++) this.#values[i] = this.#values[2 * i]!
      this.#length = capacity / 2
      this.#stride *= 2
    }
    this.#values[this.#length++] = value
  }

  clear(): void {
    this.#length = 0
    this.#stride = 1
    this.#seen = 0
  }

  percentiles(): Percentiles {
    const sorted = this.#values.slice(0, this.#length).toSorted()
    const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
    return { samples: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99) }
  }
}
