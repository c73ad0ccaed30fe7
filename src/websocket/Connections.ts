/**
 * The connections of the cluster, reached from outside of their handlers: those of a route, with its types, and all.
 *
 * What is done to a connection or a user is done on whatever node they are. A connection of this node is written to at
 * once; for one of another node a letter is sent on its way, at most once, and what was sent to one node arrives in
 * order. Which connections other nodes have is known here a moment after they came and went, and asking never waits for
 * another node. Without a cluster there are the connections of this server.
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
import { Reach } from "./internal/remoteReach.ts"
import type { Rooms } from "./internal/rooms.ts"
import { RoomsServer } from "./RoomsServer.ts"
import type { As } from "./Session.ts"
import type { Fields, WebSocketRoute } from "./WebSocketRoute.ts"

/** Where in the cluster a connection is. */
export interface Located {
  readonly id: string
  /** The node that has it, named by its epoch as in `Cluster.nodes`; `"local"` without a cluster. */
  readonly node: string
  /** The path of its route. */
  readonly route: string
}

/** Finds connections. A connection is here from its upgrade until its socket is closed. */
export interface Registry<Principal, Data> {
  /** All connections of this node, in the order in which they came. */
  readonly all: Effect.Effect<ReadonlyArray<Connection<Principal, Data>>>
  /** How many there are on this node. */
  readonly size: Effect.Effect<number>
  /** How many there are on all nodes, as far as known here. */
  readonly count: Effect.Effect<number>
  /** The connection of this node with this id; none when it is not, or no longer, there. */
  readonly get: (id: string) => Effect.Effect<Option.Option<Connection<Principal, Data>>>
  /** Those of a user on this node, named by the `user` of their routes. */
  readonly ofUser: (user: AnyRef) => Effect.Effect<ReadonlyArray<Connection<Principal, Data>>>
  /** Says where those of a user are, on all nodes as far as known here. */
  readonly connectionsOf: (user: AnyRef) => Effect.Effect<ReadonlyArray<Located>>
  /** Those that are members of a room on this node, in the order of their joins. */
  readonly inRoom: <E, Ev extends Events, Member>(
    room: Room<E, Ev, Member>
  ) => Effect.Effect<ReadonlyArray<Connection<Principal, Data>>>
}

/** Closes connections of whatever route, on whatever node. */
export interface Everywhere extends Registry<unknown, unknown> {
  /**
   * Closes one connection, like `Connection.close`; 4504 by default, after which clients do not come back. False when it
   * is not known.
   */
  readonly disconnect: (id: string, code?: number, reason?: string) => Effect.Effect<boolean>
  /**
   * Closes all connections of a user; answers how many are known. Every node that serves connections is told, so that
   * those go, too, which have come a moment ago.
   */
  readonly disconnectUser: (user: AnyRef, code?: number, reason?: string) => Effect.Effect<number>
}

/**
 * Finds, sends to and closes the connections of one route, which goes by its path on other nodes.
 *
 * A message for another node travels by the route's schema `outgoing`, which has to decode what it has encoded: what
 * does not fit there is dropped, logged and counted.
 */
export interface Connections<Out, Principal, Data = unknown> extends Registry<Principal, Data> {
  /**
   * Sends a message to one connection. False when it is not there, or closing, or too slow. Dies when the message does
   * not fit the route's schema `outgoing`. For a connection of another node it is true when the message was sent on its
   * way, at most once: when the connection has gone meanwhile it is dropped and counted.
   */
  readonly toConnection: (id: string, message: Out) => Effect.Effect<boolean>
  /** Sends a message to all connections of a user on this route; answers to how many. Like `toConnection`. */
  readonly toUser: (user: AnyRef, message: Out) => Effect.Effect<number>
  /**
   * Sends a message to all but some on all nodes, encoded once on each; answers to how many, as far as known here. A
   * message that does not fit the schema is logged, counted and sent to nobody.
   */
  readonly broadcast: (
    message: Out,
    options?: { readonly except?: Receiver | ReadonlyArray<Receiver> | undefined }
  ) => Effect.Effect<number>
  /**
   * Makes a connection of the route a member of a room on the server's own account, like `join` of its session, until it
   * leaves or ends. False when it is not there. Fails like `Room.join`.
   *
   * For a connection of another node that node is asked, which finds the room by the name of its kind and asks the
   * policy. The function `as` cannot travel: given for such a connection it fails with `ClusterRefused`, so use rooms
   * whose events are messages of the route. Fails with `NoAnswer` after 2 seconds; whether it has joined is then unknown.
   */
  readonly join: <E, Ev extends Events, Member>(
    id: string,
    room: Room<E, Ev, Member>,
    data: Member,
    ...as: As<RoomEvent<Ev>, Out>
  ) => Effect.Effect<boolean, RoomError>
  /**
   * Takes a connection of the route out of a room. False when it is not there, or not in. Fails only for one of another
   * node, like `join`.
   */
  readonly leave: <E, Ev extends Events, Member>(
    id: string,
    room: Room<E, Ev, Member>
  ) => Effect.Effect<boolean, RoomError>
  /** Closes one connection of the route, like `Everywhere.disconnect`. */
  readonly disconnect: (id: string, code?: number, reason?: string) => Effect.Effect<boolean>
}

/** The registry of some connections of a directory; who they are is known to be what the type says. */
const registry = <Principal, Data>(
  directory: Directory,
  reach: Pick<Reach<never>, "entries" | "sizeElsewhere" | "locate">
): Registry<Principal, Data> => {
  const connectionsOf = (some: Iterable<Entry | undefined>) =>
    Array.from(some)
      .filter((entry) => entry !== undefined && reach.entries.has(entry.connection.id))
      .map((entry) => entry!.connection as Connection<Principal, Data>)
  return {
    all: Effect.sync(() => connectionsOf(reach.entries.values())),
    size: Effect.sync(() => reach.entries.size),
    count: Effect.sync(() => reach.entries.size + reach.sizeElsewhere),
    get: (id) => Effect.sync(() => Option.fromNullishOr(connectionsOf([reach.entries.get(id)])[0])),
    ofUser: (user) => Effect.sync(() => connectionsOf(directory.ofUser(user))),
    connectionsOf: (user) => Effect.sync(() => reach.locate(user)),
    inRoom: (room) =>
      Effect.map(room.members, (members) => connectionsOf(members.map(({ id }) => reach.entries.get(id))))
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
  Effect.map(RoomsServer, ({ directory, remote }) => {
    const reach = new Reach<Out>(directory, remote, { route, path: route.path, outgoing: route.options.outgoing })
    return {
      ...registry<Principal, Data>(directory, reach),
      toConnection: (id, message) => Effect.sync(() => reach.send({ connection: id }, message) > 0),
      toUser: (user, message) => Effect.sync(() => reach.send({ user }, message)),
      broadcast: (message, options) =>
        Effect.suspend(() => {
          const except = options?.except === undefined ? [] : [options.except].flat().map(({ id }) => id)
          return reach.broadcast(message, Array.from(new Set(except)))
        }),
      join: (id, room, data, ...[as]) =>
        Effect.suspend(() => {
          // What the route itself has added takes its messages.
          const own = reach.entries.get(id)?.own as Rooms<Out> | undefined
          return own === undefined
            ? reach.join(id, room, data, as !== undefined)
            : Effect.as(own.open(room, data, as), true)
        }),
      leave: (id, room) => Effect.suspend(() => (reach.entries.has(id) ? room.leave({ id }) : reach.leave(id, room))),
      disconnect: (id, code = CloseCode.kicked, reason = "") =>
        Effect.sync(() => reach.close({ connection: id }, code, reason) > 0)
    }
  })

/** Gives the connections of all routes. */
export const everywhere: Effect.Effect<Everywhere, never, RoomsServer> = Effect.map(
  RoomsServer,
  ({ directory, remote }) => {
    const reach = new Reach<never>(directory, remote)
    return {
      ...registry<unknown, unknown>(directory, reach),
      disconnect: (id, code = CloseCode.kicked, reason = "") =>
        Effect.sync(() => reach.close({ connection: id }, code, reason) > 0),
      disconnectUser: (user, code = CloseCode.kicked, reason = "") =>
        Effect.sync(() => reach.close({ user }, code, reason))
    }
  }
)
