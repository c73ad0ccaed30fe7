/**
 * Metrics of event buses; labelled by kind of bus, never by topic.
 */
import * as Metric from "effect/Metric"

/** 1 while probes come back, 0 otherwise. */
export const up = Metric.gauge("effect_rooms_bus_up", { description: "whether the event bus works for this node" })

/** Connections after the first. */
export const reconnects = Metric.counter("effect_rooms_bus_reconnects", {
  description: "connections to the event bus that replaced a lost one",
  incremental: true
})

/** Publishes that failed, whatever the reason. */
export const publishFailures = Metric.counter("effect_rooms_bus_publish_failures", {
  description: "publishes to the event bus that failed",
  incremental: true
})

/** Times a listener threw. */
export const listenerFailures = Metric.counter("effect_rooms_bus_listener_failures", {
  description: "events of the event bus whose listener threw",
  incremental: true
})

/** Subscriptions the bus refused to restore, or to end. */
export const refusals = Metric.counter("effect_rooms_bus_refusals", {
  description: "subscriptions the event bus refused to restore, or to end",
  incremental: true
})
