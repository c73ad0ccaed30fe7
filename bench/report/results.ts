/**
 * The numbers of a run: one list per scenario, phase, row and metric, with a number for each round.
 */
import type { Metrics } from "../scenarios/scenario.ts"
import { type Summary, summarize } from "./stats.ts"

type Rounds = Record<string, Array<number>>

export class Results {
  /** By scenario, phase, row. */
  readonly numbers: Record<string, Record<string, Record<string, Rounds>>> = {}

  add(scenario: string, row: string, phases: Readonly<Record<string, Metrics>>): void {
    for (const [phase, metrics] of Object.entries(phases)) {
      const rounds = (((this.numbers[scenario] ??= {})[phase] ??= {})[row] ??= {})
      for (const [key, value] of Object.entries(metrics)) (rounds[key] ??= []).push(value)
    }
  }

  values(scenario: string, phase: string, row: string, key: string): ReadonlyArray<number> {
    return this.numbers[scenario]?.[phase]?.[row]?.[key] ?? []
  }

  /** Median, least and most over the rounds; undefined when it was not measured. */
  summary(scenario: string, phase: string, row: string, key: string): Summary | undefined {
    const values = this.values(scenario, phase, row, key)
    return values.length === 0 ? undefined : summarize(values)
  }

  /** The same of the ratios of two rows, round by round. */
  ratio(scenario: string, phase: string, row: string, to: string, key: string): Summary | undefined {
    const values = this.values(scenario, phase, row, key)
    const base = this.values(scenario, phase, to, key)
    const ratios = values.slice(0, base.length).map((value, round) => value / base[round]!)
    return ratios.length === 0 ? undefined : summarize(ratios)
  }
}
