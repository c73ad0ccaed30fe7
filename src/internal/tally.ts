/**
 * Metrics of what happens many times in a turn, brought up to date once per turn.
 */
import type * as Context from "effect/Context"
import type * as Metric from "effect/Metric"
import type { Turn } from "./turn.ts"

/** Moves a gauge up and down. */
export class Level {
  readonly #metric: Metric.Metric<number, unknown>
  readonly #context: Context.Context<never>
  readonly #turn: Turn
  #scheduled = false
  protected value = 0

  constructor(metric: Metric.Metric<number, unknown>, context: Context.Context<never>, turn: Turn) {
    this.#metric = metric
    this.#context = context
    this.#turn = turn
  }

  add(change: number): void {
    this.value += change
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turn.atEnd(() => {
      this.#scheduled = false
      this.#metric.updateUnsafe(this.value, this.#context)
      this.settle()
    })
  }

  /** The metric has the value. */
  protected settle(): void {}
}

/** Adds to a counter. */
export class Tally extends Level {
  protected override settle(): void {
    this.value = 0
  }
}
