/**
 * Rooms: channels with members, and for each kind of room, if wanted, an actor per live room.
 *
 * `broadcast` is publish, and a subscription of the room sees every broadcast. This file is what a kind of room is made
 * from; what a room offers is `Room.ts`, the pure part of membership `RoomState.ts`, the actor `internal/actor.ts`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Channels from "../channels/Channels.ts"
import type { Attachable } from "../channels/Sink.ts"
import type { Receiver } from "../channels/Subscription.ts"
import { CurrentPeers, Refused } from "../internal/peers.ts"
import * as Turn from "../internal/turn.ts"
import type { Ref } from "../Ref.ts"
import { Kind } from "./internal/kind.ts"
import { makeRoom, type RoomParts } from "./internal/room.ts"
import * as Roster from "./internal/roster.ts"
import type { Handlers, JoinRequest, PublishRequest, Room } from "./Room.ts"
import { type Events, eventSchema, type RoomApi, type RoomEvent } from "./RoomApi.ts"
import { ClusterRefused } from "./RoomError.ts"
import * as RoomKinds from "./RoomKinds.ts"

/** All rooms of one kind on this node. What transports attach to through `reserve` hears a room without being in it. */
export interface Rooms<E, Ev extends Events, Data> extends Attachable<E, RoomEvent<Ev>> {
  readonly api: RoomApi<E, Ev, Data>
  /** Capacity and handlers are those of this node; other nodes have their own. */
  readonly perNode: true
  readonly get: (ref: Ref<E>) => Room<E, Ev, Data>
  /** The rooms a member is in on this node. */
  readonly roomsOf: (member: Receiver) => Effect.Effect<ReadonlyArray<Ref<E>>>
  /**
   * Takes a member out of all rooms it is in on this node, for a reason that is `"removed"` by default; answers of how
   * many. Rooms on other nodes are not touched.
   */
  readonly leaveAll: (member: Receiver, reason?: string) => Effect.Effect<number>
  /** The rooms with members on this node, and their sizes. */
  readonly list: Effect.Effect<ReadonlyArray<{ readonly ref: Ref<E>; readonly size: number }>>
  /** The rooms with members on whatever node, and how many they have on all; answers like `Room.count`. */
  readonly listAll: Effect.Effect<ReadonlyArray<{ readonly ref: Ref<E>; readonly members: number }>>
  /** How many actors are alive, those of empty rooms that are not idle long enough included. */
  readonly actors: Effect.Effect<number>
}

/** How a kind of room behaves on this server. */
export interface Options<E, Ev extends Events, Data, RP = never> {
  /** Members a room takes; no bound by default. */
  readonly capacity?: number | undefined
  /** Rooms there may be, those that are empty and keep their actors included; 100,000 by default. */
  readonly maxRooms?: number | undefined
  /** Decides about every join, also that of a member which is in already. Everybody may join by default. */
  readonly canJoin?: ((request: JoinRequest<E, Data>) => Effect.Effect<boolean, never, RP>) | undefined
  /**
   * Decides about everything members publish. Everything is let through by default, in rooms of up to `openPublishUpTo`
   * members.
   */
  readonly canPublish?: ((request: PublishRequest<E, Ev>) => Effect.Effect<boolean, never, RP>) | undefined
  /**
   * Members a room may have for them to publish without a `canPublish` that allows it; 1,000 by default, then
   * `NotAllowed`. One message to a large room is many on the wire; `broadcast`, which is the server's, is not bounded.
   */
  readonly openPublishUpTo?: number | undefined
  /** Joins and messages that may wait for the handlers of one room; 1,000 by default, then `RoomBusy`. */
  readonly mailboxCapacity?: number | undefined
  /** How long an empty room keeps its actor; a minute by default. */
  readonly maxIdleTime?: Duration.Input | undefined
  /**
   * When a body that died, or whose handler did, runs again; by default after 100 ms, doubling up to 10 s, for ever. A
   * body that fails five times before it has ever run through is given up whatever this says: the joins that wait fail
   * with `RoomClosed`, and the next join begins anew. So is one that fails five times in a row when its room is closed.
   */
  readonly defectRetryPolicy?: Schedule.Schedule<unknown> | undefined
}

/**
 * Runs once per live room, in the room's scope; state lives in its closure.
 *
 * Joins wait for it, for as long as it takes. So it must not join its own room, which it dies of, nor wait for a fiber
 * that does; its handlers may. What dies is logged with the room, and counted; see `defectRetryPolicy`.
 */
export type Body<E, Ev extends Events, Data, R> = (
  room: Room<E, Ev, Data>
) => Effect.Effect<Handlers<E, Ev, Data>, never, R>

/**
 * Makes the rooms of one kind, which last until the scope closes; with a body, each live room has an actor.
 *
 * Rooms come into being by a join that was let in, never by asking for them. Dies with a `RangeError` when a bound is no
 * whole number or too small.
 */
export const make = Effect.fnUntraced(function* <E, Ev extends Events, Data, RP = never, RB = never>(
  api: RoomApi<E, Ev, Data>,
  options: Options<E, Ev, Data, RP> = {},
  body?: Body<E, Ev, Data, RB>
): Effect.fn.Return<Rooms<E, Ev, Data>, never, Scope.Scope | Exclude<RP | RB, Scope.Scope>> {
  const clock = yield* Clock.Clock
  const turn = yield* Turn.make
  // Without the maker's scope: what a body or policy acquires belongs to the room, or to the question.
  const context = Context.omit(Scope.Scope)(yield* Effect.context<Exclude<RP | RB, Scope.Scope> | Scope.Scope>())
  const provided = <A>(effect: Effect.Effect<A, never, RP | RB>): Effect.Effect<A, never, Scope.Scope> =>
    Effect.provideContext(effect, context as unknown as Context.Context<RP | RB>)
  const channel = yield* Channels.make({
    name: `rooms/${api.name}`,
    key: api.key,
    message: eventSchema(api.events),
    prefix: `${api.name}:`
  })
  const roster = yield* Roster.make<E, Data>(api, { name: api.name, here: () => kind.members, clock, turn })
  const kind: Kind<Data, Handlers<E, Ev, Data>> = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Kind<Data, Handlers<E, Ev, Data>>({
          name: api.name,
          roster,
          capacity: wholeNumber("capacity", options.capacity ?? Number.MAX_SAFE_INTEGER),
          maxRooms: wholeNumber("maxRooms", options.maxRooms ?? 100_000),
          mailboxCapacity: wholeNumber("mailboxCapacity", options.mailboxCapacity ?? 1000),
          maxIdleTime: Duration.fromInputUnsafe(options.maxIdleTime ?? Duration.minutes(1)),
          defectRetryPolicy: options.defectRetryPolicy ?? defaultRetryPolicy,
          body: body && ((identifier) => provided(Effect.suspend(() => body(get(api.key.ref.make(identifier)))))),
          clock,
          turn,
          context
        })
    ),
    (opened) => opened.stop
  )
  const peers = yield* CurrentPeers
  const reserve: RoomParts<E, Ev, Data>["reserve"] = (ref) =>
    Effect.catchCause(channel.reserve(ref), (cause) => {
      const refused = cause.reasons.map((reason) => Cause.isDieReason(reason) && reason.defect).find(isRefused)
      return refused === undefined
        ? Effect.failCause(cause)
        : kind.refuse(new ClusterRefused({ detail: refused.detail }))
    })
  const epoch = channel.epoch
  let named = 0
  const parts: RoomParts<E, Ev, Data> = {
    api,
    kind,
    roster,
    channel,
    reserve: peers === undefined ? channel.reserve : reserve,
    canJoin: options.canJoin && ((request) => Effect.scoped(provided(options.canJoin!(request)))),
    canPublish: (request) =>
      options.canPublish ? Effect.scoped(provided(options.canPublish(request))) : Effect.succeed(true),
    openPublishUpTo: options.canPublish
      ? Number.POSITIVE_INFINITY
      : wholeNumber("openPublishUpTo", options.openPublishUpTo ?? 1000),
    nextId: () => `${epoch}-m${(++named).toString(36)}`,
    context
  }
  const get = (ref: Ref<E>): Room<E, Ev, Data> => makeRoom(parts, ref)
  const refOf = (identifier: string): Ref<E> => api.key.ref.make(identifier)
  const { members } = kind
  const kinds = RoomKinds.make(api, get, (identifier, member, reason) => members.leave(identifier, member, reason))
  // The last to begin, the first to end: nobody is told of members one by one when all of them go.
  if (peers !== undefined && (yield* RoomKinds.add(peers, api.name, kinds))) {
    yield* roster.share(peers)
  }
  return {
    api,
    perNode: true,
    reserve: channel.reserve,
    get,
    roomsOf: (member) => Effect.sync(() => members.roomsOf(member.id).map(refOf)),
    leaveAll: ({ id }, reason = "removed") =>
      Effect.sync(() => members.roomsOf(id).filter((room) => members.leave(room, id, reason)).length),
    list: Effect.sync(() => members.rooms.map(([identifier, size]) => ({ ref: refOf(identifier), size }))),
    listAll: Effect.sync(() => roster.rooms.map(([identifier, size]) => ({ ref: refOf(identifier), members: size }))),
    actors: Effect.sync(() => kind.actorCount)
  }
})

const isRefused = (defect: unknown): defect is Refused => defect instanceof Refused

/** Doubles from 100 ms to 10 s and goes on for ever. */
const defaultRetryPolicy = Schedule.min([
  Schedule.exponential(Duration.millis(100)),
  Schedule.spaced(Duration.seconds(10))
])

const wholeNumber = (name: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`${name} must be a whole number of at least 1, not ${value}`)
}

/** The class `Service` returns: a Context key whose service is the rooms, with layers beside it. */
export interface ServiceClass<Self, Id extends string, E, Ev extends Events, Data, RP> extends Context.ServiceClass<
  Self,
  Id,
  Rooms<E, Ev, Data>
> {
  /** Provides rooms without handlers. */
  readonly layer: Layer.Layer<Self, never, Exclude<RP, Scope.Scope>>
  /** Provides rooms whose handlers come from a body that runs once per live room. */
  readonly toLayer: <RB>(body: Body<E, Ev, Data, RB>) => Layer.Layer<Self, never, Exclude<RP | RB, Scope.Scope>>
}

/**
 * Declares the rooms of one kind as a service: a class to `yield*`, its `layer`, and `toLayer` for rooms with handlers.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Ref, RoomApi, Rooms } from "effect-rooms"
 *
 * class Board extends Ref.Entity<Board>()("Board") {}
 * const BoardApi = RoomApi.make("board", {
 *   key: Board,
 *   events: { viewers: Schema.Int },
 *   member: Schema.Struct({ username: Schema.String })
 * })
 * class Boards extends Rooms.Service<Boards>()("app/Boards", BoardApi, { capacity: 50 }) {}
 *
 * export const BoardsLive = Boards.toLayer((room) =>
 *   Effect.succeed({
 *     onJoin: () => Effect.flatMap(room.size, (size) => room.broadcast("viewers", size))
 *   })
 * )
 *
 * export const program = Effect.gen(function*() {
 *   const boards = yield* Boards
 *   yield* boards.get(Board.ref`board-1`).join({ username: "Alice" })
 * })
 * ```
 */
export const Service =
  <Self>() =>
  <const Id extends string, E, Ev extends Events, Data, RP = never>(
    id: Id,
    api: RoomApi<E, Ev, Data>,
    options?: Options<E, Ev, Data, RP>
  ): ServiceClass<Self, Id, E, Ev, Data, RP> => {
    const key = Context.Service<Self, Rooms<E, Ev, Data>>()(id)
    return Object.assign(key, {
      layer: Layer.effect(key, make(api, options)),
      toLayer: <RB>(body: Body<E, Ev, Data, RB>) => Layer.effect(key, make(api, options, body))
    })
  }
