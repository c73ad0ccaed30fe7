/**
 * The connections of a route on this node, reached from outside of their handlers.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Receiver } from "../channels/Subscription.ts"
import type { Connection } from "../rooms/Connection.ts"
import * as CloseCode from "./CloseCode.ts"
import { RoomsServer } from "./RoomsServer.ts"
import type { Fields, WebSocketRoute } from "./WebSocketRoute.ts"

/**
 * Finds, sends to and closes the connections of one route. A connection is here from its upgrade until its socket is
 * closed.
 */
export interface Connections<Out, Principal> {
  /** All connections, in the order in which they came. */
  readonly all: Effect.Effect<ReadonlyArray<Connection<Principal>>>
  /** How many there are. */
  readonly size: Effect.Effect<number>
  /** The connection with this id; none when it is not, or no longer, there. */
  readonly get: (id: string) => Effect.Effect<Option.Option<Connection<Principal>>>
  /**
   * Sends a message to one connection. False when it is not there, or closing, or too slow. Dies when the message does
   * not fit the route's schema `outgoing`.
   */
  readonly send: (id: string, message: Out) => Effect.Effect<boolean>
  /** Sends a message to all but some, encoded once; answers how many took it. Dies like `send`. */
  readonly broadcast: (
    message: Out,
    options?: { readonly except?: Receiver | ReadonlyArray<Receiver> | undefined }
  ) => Effect.Effect<number>
  /** Closes one connection, like `Connection.close`; 4504 by default, after which clients do not come back. */
  readonly disconnect: (id: string, code?: number, reason?: string) => Effect.Effect<boolean>
}

/**
 * Gives the connections of a route.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Connections, WebSocketRoute } from "effect-rooms/websocket"
 *
 * const News = WebSocketRoute.make("/news", { incoming: Schema.Never, outgoing: Schema.String })
 *
 * export const announce = Effect.fn("announce")(function*(text: string) {
 *   const readers = yield* Connections.of(News)
 *   return yield* readers.broadcast(text)
 * })
 * ```
 */
export const of = <In, Out, Params extends Fields, Query extends Fields, Principal, RA>(
  route: WebSocketRoute<In, Out, Params, Query, Principal, RA>
): Effect.Effect<Connections<Out, Principal>, never, RoomsServer> =>
  Effect.map(RoomsServer, ({ directory }) => {
    const entries = () => directory.of(route)
    // The directory keeps by route what a route's own handshake has made, hence the principal's type.
    return {
      all: Effect.sync(() => Array.from(entries().values(), ({ connection }) => connection as Connection<Principal>)),
      size: Effect.sync(() => entries().size),
      get: (id) =>
        Effect.sync(() =>
          Option.map(Option.fromNullishOr(entries().get(id)), (entry) => entry.connection as Connection<Principal>)
        ),
      send: (id, message) =>
        Effect.sync(() => {
          const entry = entries().get(id)
          return entry !== undefined && entry.sendText(entry.encode(message))
        }),
      broadcast: (message, options) =>
        Effect.sync(() => {
          const except = options?.except === undefined ? [] : [options.except].flat()
          const out = new Set(except.map(({ id }) => id))
          let text: string | undefined
          let taken = 0
          for (const [id, { encode, sendText }] of entries()) {
            if (!out.has(id) && sendText((text ??= encode(message)))) taken++
          }
          return taken
        }),
      disconnect: (id, code = CloseCode.kicked, reason = "") =>
        Effect.sync(() => {
          const entry = entries().get(id)
          entry?.connection.close(code, reason)
          return entry !== undefined
        })
    }
  })
