/**
 * Counters of the cluster; labelled by reason, never by node or key.
 */
import * as Metric from "effect/Metric"

/** Packets handed to the bus. */
export const envelopes = Metric.counter("effect_rooms_cluster_packets", {
  description: "packets the event bus has taken from this node",
  incremental: true
})

/** Messages handed to the bus within packets: one per publish. */
export const messages = Metric.counter("effect_rooms_cluster_messages", {
  description: "messages of channels sent to the other nodes",
  incremental: true
})

export const publishFailures = Metric.counter("effect_rooms_cluster_publish_failures", {
  description: "packets the event bus did not take",
  incremental: true
})

/** Packets that were not taken, by reason: version, signature, malformed. */
export const envelopesRefused = Metric.counter("effect_rooms_cluster_packets_refused", {
  description: "packets from the event bus that were not understood or not signed",
  incremental: true
})

/** Messages of other nodes that are known to be missing on this one. */
export const lost = Metric.counter("effect_rooms_cluster_lost", {
  description: "messages of other nodes that did not get here and were told as gaps",
  incremental: true
})

/** Messages that came twice, or after they had been given up. */
export const late = Metric.counter("effect_rooms_cluster_late", {
  description: "messages of other nodes that came twice or too late and were dropped",
  incremental: true
})

export const nodes = Metric.gauge("effect_rooms_cluster_nodes", {
  description: "nodes of the cluster this node hears, itself included"
})
