/**
 * Counters of the library, by their names outside.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/** The sum of a counter over all series with these attributes. */
export const counter = (id: string, attributes: Readonly<Record<string, string>> = {}): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (all) => {
    let sum = 0
    for (const metric of all) {
      const fits = Object.entries(attributes).every(([key, value]) => metric.attributes?.[key] === value)
      if (metric.id === id && metric.type === "Counter" && fits) sum += Number(metric.state.count)
    }
    return sum
  })
