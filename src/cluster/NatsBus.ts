/**
 * The event bus over NATS: topics are subjects of core NATS, without JetStream.
 *
 * Needs the package `@nats-io/transport-node`. A node has one connection, however many rooms it has. NATS keeps nothing:
 * what is published while a node has no connection never reaches it, and the node sees a gap.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EventBus, type EventBusService } from "./EventBus.ts"
import * as Bus from "./internal/bus/bus.ts"
import * as Client from "./internal/bus/client.ts"
import { configOf } from "./internal/nats/config.ts"
import * as NatsDriver from "./internal/nats/driver.ts"
import type { NatsOptions } from "./internal/nats/options.ts"

/** Where NATS is, how it is used, and the times the bus keeps. */
export interface Options extends NatsOptions, Bus.Options {}

/**
 * Makes an event bus over NATS that lives as long as the scope. Dies when the options cannot be right, or when the
 * package `@nats-io/transport-node` is not installed. A NATS that is out of reach is no failure: the bus begins degraded
 * and goes on trying.
 */
export const make = (options: Options): Effect.Effect<EventBusService, never, Scope.Scope> =>
  Effect.flatMap(
    Client.load("NatsBus", "@nats-io/transport-node", () => import("@nats-io/transport-node")),
    (nats) => Bus.make(NatsDriver.make(configOf(nats, options)), options)
  )

/**
 * Carries the event bus over NATS.
 *
 * `publish` succeeds when the server has taken the payload: one `PING` and `PONG` for everything that is published in
 * one turn of the event loop. `maxPayload` is what the server says, 1 MiB before the first connection.
 *
 * @example
 * ```ts
 * import { NatsBus } from "effect-rooms/cluster"
 *
 * export const BusLive = NatsBus.layer({ servers: "localhost:4222" })
 * ```
 */
export const layer = (options: Options): Layer.Layer<EventBus> => Layer.effect(EventBus, make(options))

/**
 * Carries the event bus over NATS, with options read from configuration; see `layer`.
 *
 * @example
 * ```ts
 * import { NatsBus } from "effect-rooms/cluster"
 * import * as Config from "effect/Config"
 *
 * export const BusLive = NatsBus.layerConfig({
 *   servers: Config.String("NATS_SERVERS"),
 *   token: Config.Redacted("NATS_TOKEN")
 * })
 * ```
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<EventBus, Config.ConfigError> =>
  Layer.effect(EventBus, Effect.flatMap(Config.unwrap(options), make))
