/**
 * Metrics of the WebSocket side; labelled by route, reason or code, never by room or user.
 */
import * as Metric from "effect/Metric"

/** Open connections, by route. */
export const connections = Metric.gauge("effect_rooms_connections", { description: "open WebSocket connections" })

/** Upgrades that were refused, by reason. */
export const rejections = Metric.counter("effect_rooms_rejections", {
  description: "WebSocket upgrades that were refused",
  incremental: true
})

/** Connections that ended, by close code. */
export const closes = Metric.counter("effect_rooms_closes", {
  description: "WebSocket connections that ended",
  incremental: true
})

/** Incoming messages that were refused, by route and reason. */
export const invalidMessages = Metric.counter("effect_rooms_invalid_messages", {
  description: "incoming WebSocket messages that were refused",
  incremental: true
})

/** Handlers that failed or died, by route. */
export const handlerFailures = Metric.counter("effect_rooms_handler_failures", {
  description: "WebSocket handlers that failed or died",
  incremental: true
})

/** Handlers that were still running `handlerTimeout` after their connection was gone, by route. */
export const handlerOverruns = Metric.counter("effect_rooms_handler_overruns", {
  description: "WebSocket handlers that ran on after their connection was gone",
  incremental: true
})

/** Messages of rooms and channels handed to connections, by route and kind; `everybody` is a broadcast to a route. */
export const deliveries = Metric.counter("effect_rooms_deliveries", {
  description: "messages of rooms and channels handed to connections",
  incremental: true
})

/** Published messages that slow connections lost, by route and kind. */
export const outboxDrops = Metric.counter("effect_rooms_outbox_drops", {
  description: "published messages that slow connections lost",
  incremental: true
})

/** Published messages that could not be encoded and reached nobody on that route. */
export const encodeFailures = Metric.counter("effect_rooms_encode_failures", {
  description: "published messages that could not be encoded",
  incremental: true
})

/** Joins that event routers refused; the same series as those of `Rooms`, by kind of room and reason. */
export const joinRefusals = Metric.counter("effect_rooms_room_refusals", {
  description: "joins and publishes that rooms refused",
  incremental: true
})
