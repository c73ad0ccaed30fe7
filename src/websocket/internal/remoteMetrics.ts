/**
 * Metrics of what crosses between servers; labelled by kind of letter or reason, never by node, room or user.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"

/** Connections on other nodes, as far as they are known here. */
export const connectionsElsewhere = Metric.gauge("effect_rooms_connections_elsewhere", {
  description: "WebSocket connections on other nodes"
})

/** Letters about connections sent to other nodes, by kind. */
export const letters = Metric.counter("effect_rooms_letters", {
  description: "letters about connections sent to other nodes",
  incremental: true
})

/**
 * Letters from other nodes that did nothing, by reason: `gone` (no such connection any more, or it takes nothing),
 * `route` (not served here), `invalid` (the message does not fit the route), `malformed`.
 */
export const lettersDropped = Metric.counter("effect_rooms_letters_dropped", {
  description: "letters of other nodes about connections that did nothing",
  incremental: true
})

/** Requests other nodes did not answer in time. */
export const lettersUnanswered = Metric.counter("effect_rooms_letters_unanswered", {
  description: "requests about connections other nodes did not answer in time",
  incremental: true
})

/** Counts by one label; each series is made when it is first used. */
export const countBy = (
  metric: Metric.Counter<number>,
  label: string,
  context: Context.Context<never>
): ((value: string) => void) => {
  const series = new Map<string, Metric.Counter<number>>()
  return (value) => {
    const known = series.get(value)
    const counter = known ?? Metric.withAttributes(metric, { [label]: value })
    if (known === undefined) series.set(value, counter)
    counter.updateUnsafe(1, context)
  }
}
