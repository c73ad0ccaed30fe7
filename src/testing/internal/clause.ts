/**
 * A sentence about event buses, and how to see whether it holds.
 */
import type * as Effect from "effect/Effect"
import type { Bench, BenchFaults } from "./bench.ts"
import type { Difference } from "./difference.ts"

export interface ClauseSpec {
  readonly name: string
  /** The bugs of other systems it would have caught, by number. */
  readonly bugs?: ReadonlyArray<string>
  readonly needs?: ReadonlyArray<keyof BenchFaults>
  readonly check: (bench: Bench) => Effect.Effect<void, Difference>
}

/** Numbered payloads. */
export const numbered = (name: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${name} ${index}`)
