/**
 * The event bus over Redis: topics are channels of its publish/subscribe.
 *
 * Needs the package `redis`, and a Redis of version 6 or later or a server like it: a master, or any node of a Redis
 * Cluster. A node of ours has two sockets to it, however many rooms it has: one publishes, one listens. Redis keeps
 * nothing: what is published while a node has no connection never reaches it, and the node sees a gap.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EventBus, type EventBusService } from "./EventBus.ts"
import * as Bus from "./internal/bus/bus.ts"
import * as Client from "./internal/bus/client.ts"
import { configOf } from "./internal/redis/config.ts"
import * as RedisDriver from "./internal/redis/driver.ts"
import type { RedisOptions } from "./internal/redis/options.ts"

/** Where Redis is, how it is used, and the times the bus keeps. */
export interface Options extends RedisOptions, Bus.Options {}

/**
 * Makes an event bus over Redis that lives as long as the scope. Dies when the options cannot be right, or when the
 * package `redis` is not installed. A Redis that is out of reach is no failure: the bus begins degraded and goes on
 * trying.
 */
export const make = (options: Options): Effect.Effect<EventBusService, never, Scope.Scope> =>
  Effect.flatMap(
    Client.load("RedisBus", "redis", () => import("redis")),
    (redis) => Bus.make(RedisDriver.make(configOf(redis, options)), options)
  )

/**
 * Carries the event bus over Redis.
 *
 * `publish` succeeds when Redis has handed the payload on to those who subscribe.
 *
 * @example
 * ```ts
 * import { RedisBus } from "effect-rooms/cluster"
 *
 * export const BusLive = RedisBus.layer({ url: "redis://localhost:6379" })
 * ```
 */
export const layer = (options: Options): Layer.Layer<EventBus> => Layer.effect(EventBus, make(options))

/**
 * Carries the event bus over Redis, with options read from configuration; see `layer`.
 *
 * @example
 * ```ts
 * import { RedisBus } from "effect-rooms/cluster"
 * import * as Config from "effect/Config"
 *
 * export const BusLive = RedisBus.layerConfig({ url: Config.Redacted("REDIS_URL") })
 * ```
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<EventBus, Config.ConfigError> =>
  Layer.effect(EventBus, Effect.flatMap(Config.unwrap(options), make))
