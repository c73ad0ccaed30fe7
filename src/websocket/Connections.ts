/**
 * The connections of this node, reached from outside of their handlers: those of a route, with its types, and all.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Receiver } from "../channels/Subscription.ts"
import type { AnyRef } from "../Ref.ts"
import type { Connection } from "../rooms/Connection.ts"
import type { Room } from "../rooms/Room.ts"
import type { Events, RoomEvent } from "../rooms/RoomApi.ts"
import type { RoomError } from "../rooms/RoomError.ts"
import * as CloseCode from "./CloseCode.ts"
import type { Directory, Entry } from "./internal/directory.ts"
import type { Rooms } from "./internal/rooms.ts"
import { RoomsServer } from "./RoomsServer.ts"
import type { As } from "./Session.ts"
import type { Fields, WebSocketRoute } from "./WebSocketRoute.ts"

/** Finds and closes connections. A connection is here from its upgrade until its socket is closed. */
export interface Registry<Principal, Data> {
  /** All connections, in the order in which they came. */
  readonly all: Effect.Effect<ReadonlyArray<Connection<Principal, Data>>>
  /** How many there are. */
  readonly size: Effect.Effect<number>
  /** The connection with this id; none when it is not, or no longer, there. */
  readonly get: (id: string) => Effect.Effect<Option.Option<Connection<Principal, Data>>>
  /** Those of a user, named by the `user` of their routes. */
  readonly ofUser: (user: AnyRef) => Effect.Effect<ReadonlyArray<Connection<Principal, Data>>>
  /** Those that are members of a room, in the order of their joins. */
  readonly inRoom: <E, Ev extends Events, Member>(
    room: Room<E, Ev, Member>
  ) => Effect.Effect<ReadonlyArray<Connection<Principal, Data>>>
}

/** Closes connections of whatever route. */
export interface Everywhere extends Registry<unknown, unknown> {
  /** Closes one connection, like `Connection.close`; 4504 by default, after which clients do not come back. */
  readonly disconnect: (id: string, code?: number, reason?: string) => Effect.Effect<boolean>
  /** Closes all connections of a user; answers how many. */
  readonly disconnectUser: (user: AnyRef, code?: number, reason?: string) => Effect.Effect<number>
}

/**
 * Finds, sends to and closes the connections of one route.
 */
export interface Connections<Out, Principal, Data = unknown> extends Registry<Principal, Data> {
  /**
   * Sends a message to one connection. False when it is not there, or closing, or too slow. Dies when the message does
   * not fit the route's schema `outgoing`.
   */
  readonly toConnection: (id: string, message: Out) => Effect.Effect<boolean>
  /** Sends a message to all connections of a user on this route; answers how many took it. Dies like `toConnection`. */
  readonly toUser: (user: AnyRef, message: Out) => Effect.Effect<number>
  /**
   * Sends a message to all but some, encoded once; answers to how many. A message that does not fit the schema is
   * logged, counted and sent to nobody.
   */
  readonly broadcast: (
    message: Out,
    options?: { readonly except?: Receiver | ReadonlyArray<Receiver> | undefined }
  ) => Effect.Effect<number>
  /**
   * Makes a connection of the route a member of a room on the server's own account, like `join` of its session, until it
   * leaves or ends. False when it is not there. Fails like `Room.join`.
   */
  readonly join: <E, Ev extends Events, Member>(
    id: string,
    room: Room<E, Ev, Member>,
    data: Member,
    ...as: As<RoomEvent<Ev>, Out>
  ) => Effect.Effect<boolean, RoomError>
  /** Closes one connection of the route, like `Everywhere.disconnect`. */
  readonly disconnect: (id: string, code?: number, reason?: string) => Effect.Effect<boolean>
}

/** The registry of some connections of a directory; who they are is known to be what the type says. */
const registry = <Principal, Data>(
  directory: Directory,
  entries: () => ReadonlyMap<string, Entry>
): Registry<Principal, Data> => {
  const connectionsOf = (some: Iterable<Entry | undefined>) =>
    Array.from(some)
      .filter((entry) => entry !== undefined && entries().has(entry.connection.id))
      .map((entry) => entry!.connection as Connection<Principal, Data>)
  return {
    all: Effect.sync(() => connectionsOf(entries().values())),
    size: Effect.sync(() => entries().size),
    get: (id) => Effect.sync(() => Option.fromNullishOr(connectionsOf([entries().get(id)])[0])),
    ofUser: (user) => Effect.sync(() => connectionsOf(directory.ofUser(user))),
    inRoom: (room) => Effect.map(room.members, (members) => connectionsOf(members.map(({ id }) => entries().get(id))))
  }
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
export const of = <In, Out, Params extends Fields, Query extends Fields, Principal, RA, Data>(
  route: WebSocketRoute<In, Out, Params, Query, Principal, RA, Data>
): Effect.Effect<Connections<Out, Principal, Data>, never, RoomsServer> =>
  Effect.map(RoomsServer, ({ directory }) => {
    const entries = () => directory.route(route)?.entries ?? new Map<string, Entry>()
    // The directory keeps by route what the route itself has added, hence the types.
    const encode = (message: Out) => directory.route(route)!.encode(message as never)
    const send = (message: Out) => ({ _tag: "Send" as const, route, text: encode(message) })
    return {
      ...registry<Principal, Data>(directory, entries),
      toConnection: (id, message) =>
        Effect.sync(() => entries().has(id) && directory.control({ connection: id }, send(message)) > 0),
      toUser: (user, message) =>
        Effect.sync(() => (entries().size === 0 ? 0 : directory.control({ user }, send(message)))),
      broadcast: (message, options) =>
        Effect.sync(() => {
          const except = options?.except === undefined ? [] : [options.except].flat().map(({ id }) => id)
          const { everybody } = directory.route(route) ?? {}
          if (everybody === undefined || everybody.send(message as never, except) === 0) return 0
          return everybody.size - new Set(except.filter((id) => entries().has(id))).size
        }),
      join: (id, room, data, ...[as]) =>
        Effect.suspend(() => {
          // What the route itself has added takes its messages.
          const own = entries().get(id)?.own as Rooms<Out> | undefined
          return own === undefined ? Effect.succeed(false) : Effect.as(own.open(room, data, as), true)
        }),
      disconnect: (id, code = CloseCode.kicked, reason = "") =>
        Effect.sync(
          () => entries().has(id) && directory.control({ connection: id }, { _tag: "Close", code, reason }) > 0
        )
    }
  })

/** Gives the connections of all routes. */
export const everywhere: Effect.Effect<Everywhere, never, RoomsServer> = Effect.map(RoomsServer, ({ directory }) => ({
  ...registry<unknown, unknown>(directory, () => directory.entries),
  disconnect: (id, code = CloseCode.kicked, reason = "") =>
    Effect.sync(() => directory.control({ connection: id }, { _tag: "Close", code, reason }) > 0),
  disconnectUser: (user, code = CloseCode.kicked, reason = "") =>
    Effect.sync(() => directory.control({ user }, { _tag: "Close", code, reason }))
}))
