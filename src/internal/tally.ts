/**
 * Metrics of what happens many times in a turn, brought up to date once per turn.
 */
import type * as Context from "effect/Context"
import type * as Metric from "effect/Metric"
import type { Turn } from "./turn.ts"

abstract class PerTurn {
  readonly #turn: Turn
  #scheduled = false

  constructor(turn: Turn) {
    this.#turn = turn
  }

  protected abstract update(): void

  protected schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turn.atEnd(() => {
      this.#scheduled = false
      this.update()
    })
  }
}

/** Adds to a counter. */
export class Tally extends PerTurn {
  readonly #counter: Metric.Counter<number>
  readonly #context: Context.Context<never>
  #pending = 0

  constructor(counter: Metric.Counter<number>, context: Context.Context<never>, turn: Turn) {
    super(turn)
    this.#counter = counter
    this.#context = context
  }

  add(count: number): void {
    this.#pending += count
    this.schedule()
  }

  protected update(): void {
    this.#counter.updateUnsafe(this.#pending, this.#context)
    this.#pending = 0
  }
}

/** Moves a gauge up and down. */
export class Level extends PerTurn {
  readonly #gauge: Metric.Gauge<number>
  readonly #context: Context.Context<never>
  #value = 0

  constructor(gauge: Metric.Gauge<number>, context: Context.Context<never>, turn: Turn) {
    super(turn)
    this.#gauge = gauge
    this.#context = context
  }

  add(change: number): void {
    this.#value += change
    this.schedule()
  }

  protected update(): void {
    this.#gauge.updateUnsafe(this.#value, this.#context)
  }
}
