/**
 * The event bus over PostgreSQL: topics are channels of `LISTEN` and `NOTIFY`.
 *
 * For applications that have a PostgreSQL anyway and up to some thousand topics per node. Needs the package
 * `@effect/sql-pg`. A node has two sessions, however many rooms it has: one publishes, one listens. They have to be its
 * own from beginning to end: a pooler has to be in session mode. PostgreSQL keeps nothing for a session that is gone:
 * what is published while a node has no connection never reaches it, and the node sees a gap.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EventBus, type EventBusService } from "./EventBus.ts"
import * as Bus from "./internal/bus/bus.ts"
import * as Client from "./internal/bus/client.ts"
import { configOf, type PostgresOptions } from "./internal/postgres/options.ts"

/** Where PostgreSQL is, how it is used, and the times the bus keeps. */
export interface Options extends PostgresOptions, Bus.Options {}

/**
 * Makes an event bus over PostgreSQL that lives as long as the scope. Dies when the options cannot be right, or when the
 * package `@effect/sql-pg` is not installed. A PostgreSQL that is out of reach is no failure: the bus begins degraded and goes on
 * trying.
 */
export const make = (options: Options): Effect.Effect<EventBusService, never, Scope.Scope> =>
  Effect.flatMap(
    Client.load("PostgresBus", "@effect/sql-pg", () => import("./internal/postgres/driver.ts")),
    (driver) => Bus.make(driver.make(configOf(options)), options)
  )

/**
 * Carries the event bus over PostgreSQL.
 *
 * `publish` succeeds when the notification is committed. A notification has room for 7,999 bytes; a longer payload goes
 * through a row of a table that is deleted after a minute.
 *
 * @example
 * ```ts
 * import { PostgresBus } from "effect-rooms/cluster"
 *
 * export const BusLive = PostgresBus.layer({ host: "localhost", database: "app" })
 * ```
 */
export const layer = (options: Options): Layer.Layer<EventBus> => Layer.effect(EventBus, make(options))

/**
 * Carries the event bus over PostgreSQL, with options read from configuration; see `layer`.
 *
 * @example
 * ```ts
 * import { PostgresBus } from "effect-rooms/cluster"
 * import * as Config from "effect/Config"
 *
 * export const BusLive = PostgresBus.layerConfig({ url: Config.Redacted("DATABASE_URL") })
 * ```
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<EventBus, Config.ConfigError> =>
  Layer.effect(EventBus, Effect.flatMap(Config.unwrap(options), make))
