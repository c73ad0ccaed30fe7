/**
 * Counters of presence; labelled by the name of the presence, never by user or room.
 */
import * as Metric from "effect/Metric"

/** What other nodes told of their devices, or asked of this node's, and this one could not read. */
export const refused = Metric.counter("effect_rooms_presence_refused", {
  description: "entries and letters of presences on other nodes that could not be read",
  incremental: true
})
