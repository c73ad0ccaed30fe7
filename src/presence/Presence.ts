/**
 * Presence: who is in which room, as typed entries per user, with the changes as a stream.
 *
 * This file says what users see and binds it to scopes; what a change means is `PresenceState.ts`, and who is told
 * when is `internal/rooms.ts`. It knows nothing of sockets: of the connection a device is tracked for it hears only that
 * it is gone, and how. Whoever calls says who the user is, so it must be the authenticated principal.
 *
 * With other nodes it is one presence on all of them; what they tell each other is `internal/others.ts`.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CurrentReceiver, type Receiver } from "../channels/Subscription.ts"
import { Cursor, type Source } from "../internal/cursor.ts"
import { makeShortEpoch } from "../internal/epoch.ts"
import { CurrentPeers } from "../internal/peers.ts"
import type { Messages } from "../Messages.ts"
import { type AnyEntity, Entity, type Ref } from "../Ref.ts"
import * as Letters from "./internal/letters.ts"
import { makeCheck } from "./internal/meta.ts"
import * as Others from "./internal/others.ts"
import { ChangesReader, OccupancyReader } from "./internal/readers.ts"
import type { Reader, Room } from "./internal/room.ts"
import * as Rooms from "./internal/rooms.ts"
import { hold, letGo } from "./internal/track.ts"
import { type Change, list, type Listing, type Occupancy } from "./PresenceChange.ts"
import { type Bounds, checked } from "./PresenceConfig.ts"
import type { Entry, Status } from "./PresenceEntry.ts"
import type { PresenceError } from "./PresenceError.ts"
import { metaSchema, type Users } from "./PresenceSchema.ts"
import * as State from "./PresenceState.ts"

export {
  apply,
  type Change,
  type Counts,
  type Diff,
  type Listing,
  type Occupancy,
  type Snapshot
} from "./PresenceChange.ts"
export type { Bounds } from "./PresenceConfig.ts"
export type { DeviceEntry, Entry, Event, LeaveReason, Status } from "./PresenceEntry.ts"
export { PresenceError } from "./PresenceError.ts"
export { changeSchema, type Users } from "./PresenceSchema.ts"

const TypeId = "~effect-rooms/presence/Presence"

/** The entity of the one room of a presence that is made without `room`. */
export class Everywhere extends Entity<Everywhere>()("Everywhere") {}

/** The one room of a presence that is made without `room`: presence for the whole application. */
export const everywhere: Ref<Everywhere> = Everywhere.ref.make("everywhere")

/** Names one device of the user; where one is meant and it is left out, the one called `"default"`. */
export interface DeviceOption {
  /** 1–128 characters, such as the id of a session that survives reconnects. */
  readonly device?: string | undefined
}

/** Says on whose behalf a device is tracked. */
export interface ReceiverOption {
  /**
   * By default the receiver on whose behalf the fiber works: within the handler of a `WebSocketRoute` its connection,
   * elsewhere none. One without `onClose` is never gone.
   */
  readonly as?: Receiver | undefined
}

/** What is set of a device: its status, `"online"` by default, and metadata, unless there is none to be had. */
export type Fields<M> = DeviceOption & { readonly status?: Status | undefined } & (undefined extends M
    ? { readonly meta?: M | undefined }
    : { readonly meta: M })

/** What is changed of a device; what is left out stays as it is. */
export interface Edit<M> {
  readonly status?: Status | undefined
  readonly meta?: M | undefined
}

/**
 * A device that is present while a scope is open, and the receiver it is tracked for is there.
 *
 * It belongs to whoever tracked it last: once another scope tracks the same device, or it was dropped or removed, every
 * action here does nothing and answers false.
 */
export interface Tracked<M> {
  /** Names the device among the devices of its user. */
  readonly device: string
  /** Changes status or metadata. Fails when the metadata is refused. */
  readonly update: (fields: Edit<M>) => Effect.Effect<boolean, PresenceError>
  /** Renews `lastSeen`; the device is alive without it. */
  readonly heartbeat: Effect.Effect<boolean>
  /**
   * Says that the connection was lost; not needed where the device is tracked on behalf of it.
   *
   * The device is unstable at once and gone after the grace period, unless it is
   * tracked or set again, or gives a sign of life; the scope that closes afterwards leaves it alone.
   */
  readonly drop: Effect.Effect<boolean>
}

/**
 * Knows who is present in which room, in memory: on this node, or in the whole cluster.
 *
 * A user with several devices is one entry, which enters with the first device and leaves with the last. Every call is
 * one step, in effect when it returns. What has nobody present and nobody reading leaves nothing behind. After the end
 * of the service nobody is present, and calls change nothing.
 *
 * In a cluster each device belongs to the node it was tracked or set on, which alone decides whether it is alive. What
 * is read comes from what this node has heard, and never waits for another; once nothing is on its way, it is the same
 * everywhere. A device that is tracked under the same name on another node moves there, and its user has neither left
 * nor entered. When a node is down its devices are gone in one step (`"dropped"`); those of a node that stops are
 * unstable until then.
 */
export interface Presence<E, U, M> {
  readonly [TypeId]: typeof TypeId
  /** The schema metadata travels in when it leaves the process. */
  readonly meta: Schema.Codec<M, unknown>
  /** The entity of the users, whose schema their references travel in. */
  readonly user: AnyEntity<U>
  /**
   * Makes a device present until the scope closes, without heartbeats.
   *
   * Without `device` it is a device of its own. A device of that name that is there is taken over: it stays, and whoever
   * tracked it before cannot touch it any more. Fails when it is refused, and nothing has changed then.
   *
   * On behalf of a receiver, as in the handler of a connection, it is present while that is there, too. When a receiver
   * goes `"clean"` the device leaves in the same step; when it is `"lost"` the device is dropped as by `drop`, so that a
   * client that is back within the grace period under the same `device` has neither left nor entered. A scope that closes
   * before lets it leave, however the receiver goes then. For a receiver that is gone already nothing appears and
   * nothing is taken over, and every action of what is answered does nothing.
   */
  readonly track: (
    room: Ref<E>,
    user: Ref<U>,
    fields: Fields<M> & ReceiverOption
  ) => Effect.Effect<Tracked<M>, PresenceError, Scope.Scope>
  /**
   * Sets status and metadata of a device, which then lives by signs of life.
   *
   * These are `set`, `update` and `heartbeat`; it goes between `timeToLive` and `timeToLive + sweepInterval` after the
   * last. A device that is tracked stays tracked, on whatever node; any other is this node's from then on. Fails when it
   * is refused, and nothing has changed then.
   */
  readonly set: (room: Ref<E>, user: Ref<U>, fields: Fields<M>) => Effect.Effect<void, PresenceError>
  /**
   * Changes a device that is present. Answers false, and creates nothing, when there is none. Fails when refused.
   *
   * Here and below, a device of another node is changed there, in its own time: that node is asked at most once, and
   * true says no more than that it was.
   */
  readonly update: (room: Ref<E>, user: Ref<U>, fields: Edit<M> & DeviceOption) => Effect.Effect<boolean, PresenceError>
  /** Renews `timeToLive` of a device that is present. Answers false, and creates nothing, when there is none. */
  readonly heartbeat: (room: Ref<E>, user: Ref<U>, options?: DeviceOption) => Effect.Effect<boolean>
  /** Removes a user, or only the given device, tracked or not; answers false when there was none. */
  readonly remove: (room: Ref<E>, user: Ref<U>, options?: DeviceOption) => Effect.Effect<boolean>
  /** Reads the entry of a user; none when absent. */
  readonly get: (room: Ref<E>, user: Ref<U>) => Effect.Effect<Option.Option<Entry<U, M>>>
  /** Lists who is present in the order they entered; counts only above `listCap` users. */
  readonly list: (room: Ref<E>) => Effect.Effect<Listing<U, M>>
  /**
   * Removes the devices of all rooms whose time is over and answers how many they were.
   *
   * These are the devices that live by signs of life and gave none for `maxAge` (`timeToLive` by default), and those
   * whose grace period is over; never one that is tracked, nor one of another node. Runs by itself every
   * `sweepInterval`.
   */
  readonly cleanup: (maxAge?: Duration.Input) => Effect.Effect<number>
  /**
   * Subscribes until the scope closes: the whole state first, then what changes.
   *
   * The state is that of the moment this returns. A diff comes at most `batchWindow` after what it tells, and holds all
   * of a window; what was undone within one is not told, nor are heartbeats. In a room where more than `listCap` users
   * change within a window, diffs come sooner.
   *
   * A reader that falls more than `maxBehind` diffs behind is given the state anew, so that what it knows is right
   * once it has caught up. In a room of more than `listCap` users it is given counts, and the state again once users are
   * nine tenths of `listCap` or less. `apply` folds what is read into the current list. One consumer at a time; ends
   * with the service.
   */
  readonly changes: (room: Ref<E>) => Effect.Effect<Messages<Change<U, M>>, never, Scope.Scope>
  /**
   * Emits the counts of a room at once, and again when they have changed.
   *
   * At most once per `batchWindow`, and only the latest to a slow reader. Every run of the stream subscribes anew; ends
   * with the service.
   */
  readonly occupancy: (room: Ref<E>) => Stream.Stream<Occupancy>
  /** Counts the rooms this node holds anything for: somebody present on this node, or somebody reading. */
  readonly size: Effect.Effect<number>
}

/** What a presence is made from. */
export interface Options<E, U, M> extends Bounds, Users<U, M> {
  /** The entity of the rooms; without it there is one room, `everywhere`. */
  readonly room?: AnyEntity<E> | undefined
  /**
   * Names the presence among those of a cluster: the same on every node, and no two of one node alike. The id of a
   * service by default, and the names of both entities for a presence that is none.
   */
  readonly name?: string | undefined
}

/**
 * Makes a presence that lives until its scope closes; then readers end and nobody is present.
 *
 * Built on a `Cluster.layer` it is one with the presences of its name on the other nodes, which need the same schemas:
 * a device of another node that cannot be read is not shown, counted (`effect_rooms_presence_refused`) and logged.
 *
 * Dies with a `RangeError` when a bound is no whole number or a time is no time.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Presence, Ref } from "effect-rooms"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 * class User extends Ref.Entity<User>()("User") {}
 *
 * const program = Effect.gen(function*() {
 *   const presence = yield* Presence.make({ room: Room, user: User, meta: Schema.Struct({ x: Schema.Finite }) })
 *   const changes = yield* presence.changes(Room.ref`general`)
 *   yield* presence.track(Room.ref`general`, User.ref`alice`, { status: "busy", meta: { x: 1 } })
 *   return [yield* changes.take, yield* changes.take]
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const make = Effect.fnUntraced(function* <U, M = undefined, E = Everywhere>(
  options: Options<E, U, M>
): Effect.fn.Return<Presence<E, U, M>, never, Scope.Scope> {
  const limits = checked(options)
  const meta = metaSchema(options.meta)
  const check = makeCheck(meta, limits.maxMetaBytes)
  const peers = yield* CurrentPeers
  const rooms = yield* Rooms.make<U, M>(limits, () => peers?.epoch ?? "")
  const kinds = { room: options.room ?? (Everywhere as unknown as AnyEntity<E>), user: options.user, meta }
  const name = options.name ?? `${kinds.room.entityName}/${kinds.user.entityName}`
  const others = peers && (yield* Others.connect(peers, name, { ...kinds, rooms, check }))
  const epoch = yield* makeShortEpoch
  let tracked = 0

  const appearance = (user: Ref<U>, fields: Fields<M>, device: string) =>
    Result.map(check(fields.meta as M), (checkedMeta) => ({
      user,
      device,
      status: fields.status ?? ("online" as const),
      meta: checkedMeta
    }))

  /** Changes a device of this node; whoever does not hold it may mean one of another node, which is asked to. */
  const change = ({ identifier: room }: Ref<E>, at: State.At, fields: State.Edit<M>): boolean => {
    const { device, generation, user } = at
    if (rooms.change(room, [user], (state) => State.update(state, at, fields, rooms.now()))) return true
    return generation === undefined && others?.ask(Letters.update({ room, user, device }, fields)) === true
  }

  const edit = (room: Ref<E>, at: State.At, { meta: value, status }: Edit<M>) =>
    Effect.suspend(() => {
      const checkedMeta = value === undefined ? Result.succeed(undefined) : check(value)
      return Effect.fromResult(Result.map(checkedMeta, (changed) => change(room, at, { status, meta: changed })))
    })

  const beat = (room: Ref<E>, at: State.At) => Effect.sync(() => change(room, at, {}))

  const trackedAt = (room: Ref<E>, at: State.Holder): Tracked<M> => ({
    device: at.device,
    update: (fields) => edit(room, at, fields),
    heartbeat: beat(room, at),
    drop: Effect.sync(() => {
      const isDone = rooms.change(room.identifier, [at.user], (state) => State.drop(state, at, rooms.now()))
      if (!isDone) letGo(rooms, room.identifier, at)
      return isDone
    })
  })

  /** A reader of a room until the scope closes. */
  const read = <T>(room: Ref<E>, open: (room: Room<U, M>) => Reader & Source<T, never>) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const from = rooms.forReader(room.identifier)
          const reader = open(from)
          if (rooms.closed) reader.end()
          return { from, reader, cursor: new Cursor(reader) }
        }),
        ({ cursor, from, reader }) =>
          Effect.sync(() => {
            reader.end()
            cursor.clear()
            rooms.removeIfEmpty(from)
          })
      ),
      ({ cursor }) => cursor.view((value) => value)
    )

  const self: Presence<E, U, M> = {
    [TypeId]: TypeId,
    meta,
    user: options.user,
    track: (room, user, fields) =>
      Effect.gen(function* () {
        const device = fields.device ?? `${epoch}-t${(++tracked).toString(36)}`
        const input = yield* Effect.fromResult(appearance(user, fields, device))
        const holder = yield* hold(rooms, room.identifier, input, fields.as ?? (yield* CurrentReceiver))
        return trackedAt(room, holder)
      }),
    set: (room, user, fields) =>
      Effect.suspend(() => {
        const input = appearance(user, fields, fields.device ?? defaultDevice)
        if (Result.isFailure(input)) return Effect.fail(input.failure)
        const at = { user: user.identifier, device: input.success.device }
        const held = others?.holder(room.identifier, at) !== undefined
        // Where a scope on another node holds the device, it stays there.
        if (held) return Effect.sync(() => void change(room, at, input.success))
        return Effect.asVoid(Effect.fromResult(rooms.appear(room.identifier, input.success, State.set)))
      }),
    update: (room, user, fields) =>
      edit(room, { user: user.identifier, device: fields.device ?? defaultDevice }, fields),
    heartbeat: (room, user, at) => beat(room, { user: user.identifier, device: at?.device ?? defaultDevice }),
    remove: (room, user, at) =>
      Effect.sync(() => {
        const device = at?.device
        const asked = others?.ask({ do: "remove", room: room.identifier, user: user.identifier, device }) === true
        const removed = rooms.change(room.identifier, [user.identifier], (state) =>
          State.remove(state, user.identifier, device, rooms.memory)
        )
        return removed || asked
      }),
    get: (room, user) =>
      Effect.sync(() =>
        Option.map(Option.fromUndefinedOr(State.find(rooms.state(room.identifier), user.identifier)), State.toEntry)
      ),
    list: (room) => Effect.sync(() => list(rooms.state(room.identifier))),
    cleanup: (maxAge) =>
      Effect.sync(() =>
        rooms.expire(
          rooms.now(),
          maxAge === undefined ? limits.timeToLive : Duration.toMillis(Duration.fromInputUnsafe(maxAge))
        )
      ),
    changes: (room) => read(room, (from) => new ChangesReader(from)),
    occupancy: (room) =>
      Stream.unwrap(
        Effect.map(
          read(room, (from) => new OccupancyReader(from)),
          (messages) => messages.stream
        )
      ),
    size: Effect.sync(() => rooms.size)
  }
  return self
})

const defaultDevice = "default"

/** The class `Service` returns: a Context key whose service is the presence, with its `layer` beside it. */
export interface ServiceClass<Self, Id extends string, E, U, M> extends Context.ServiceClass<
  Self,
  Id,
  Presence<E, U, M>
> {
  /** Provides the presence; it lives as long as the layer. */
  readonly layer: Layer.Layer<Self>
}

/**
 * Declares a presence as a service: a class to `yield*`, and its `layer`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Presence, Ref } from "effect-rooms"
 *
 * class User extends Ref.Entity<User>()("User") {}
 * class Online extends Presence.Service<Online>()("app/Online", { user: User }) {}
 *
 * const program = Effect.gen(function*() {
 *   const online = yield* Online
 *   yield* online.set(Presence.everywhere, User.ref`alice`, { status: "away" })
 *   return yield* online.get(Presence.everywhere, User.ref`alice`)
 * }).pipe(Effect.provide(Online.layer))
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const Service =
  <Self>() =>
  <const Id extends string, U, M = undefined, E = Everywhere>(
    id: Id,
    options: Options<E, U, M>
  ): ServiceClass<Self, Id, E, U, M> => {
    const key = Context.Service<Self, Presence<E, U, M>>()(id)
    return Object.assign(key, { layer: Layer.effect(key, make({ ...options, name: options.name ?? id })) })
  }
