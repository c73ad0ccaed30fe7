/**
 * Counters of the channels; labelled by kind of channel, never by key.
 */
import * as Metric from "effect/Metric"

/** `onPublish` hooks that failed or died, and publishes that found the hook's queue full. */
export const hookFailures = Metric.counter("effect_rooms_channel_hook_failures", {
  description: "onPublish hooks that failed, died or were dropped because the queue was full",
  incremental: true
})

/** Messages published on this node, by kind of channel; those from other nodes are not among them. */
export const publishes = Metric.counter("effect_rooms_publishes", {
  description: "messages published on this node",
  incremental: true
})

/** Messages subscriptions lost because they were read too slowly, by kind of channel. */
export const drops = Metric.counter("effect_rooms_drops", {
  description: "messages lost because a reader was too slow",
  incremental: true
})

/** Messages a channel could not encode for other nodes, or not decode from them. */
export const bridgeFailures = Metric.counter("effect_rooms_channel_bridge_failures", {
  description: "messages that could not be encoded for other nodes or decoded from them",
  incremental: true
})
