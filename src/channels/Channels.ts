/**
 * Channels: keyed, typed publish and subscribe on one node.
 *
 * A channel has a key entity and a message type. This file owns the map of hubs and the hooks; what happens inside one
 * publish is `internal/hub.ts`. It knows nothing of sockets and nothing of other nodes: a cluster bridges channels
 * through `onPublish`, `onOpen` and `deliverRemote`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { AnyEntity, Ref } from "../Ref.ts"
import { publishId } from "./Envelope.ts"
import * as Hooks from "./internal/hooks.ts"
import * as Registry from "./internal/registry.ts"
import * as Interest from "./internal/interest.ts"
import * as Bridge from "./internal/bridge.ts"
import * as Open from "./internal/open.ts"
import * as metrics from "./internal/metrics.ts"
import { makeEpoch } from "../internal/epoch.ts"
import { CurrentPeers } from "../internal/peers.ts"
import { Tally } from "../internal/tally.ts"
import * as Turn from "../internal/turn.ts"
import type { Attach, Attachable } from "./Sink.ts"
import { CurrentReceiver, type Overflow, type Receiver, type SlowConsumer, type Subscription } from "./Subscription.ts"

const TypeId = "~effect-rooms/channels/Channels"

/** A publish on its way out of this node, as the `onPublish` hook sees it. */
export interface Published<E, A> {
  /** The prefix and the identifier of the reference, as one string. */
  readonly key: string
  readonly ref: Ref<E>
  readonly message: A
  /** Names this publish on every node; give it to `deliverRemote` there. */
  readonly id: string
  /** Ids of the receivers left out; give them to `deliverRemote` as well. */
  readonly except: ReadonlyArray<string>
}

/** What `publishAck` answers. */
export interface Ack {
  readonly id: string
  readonly epoch: string
  /** Position of the message in its key on this node; 0 when nobody listened here. */
  readonly roomSeq: number
  /**
   * `"local-only"` when the `onPublish` hook failed or was skipped, or the cluster's bus did not take the message; local
   * readers have it all the same.
   */
  readonly reached: "everyone" | "local-only"
}

/** Options of a single subscription. */
export interface SubscribeOptions<A> {
  /** What happens when reading is slower than `capacity` allows; `"dropOldest"` by default. */
  readonly overflow?: Overflow<A> | undefined
  /** Messages of the past to begin with; by default, and at most, the channel's `replay`. */
  readonly replay?: number | undefined
}

/** How reading a subscription opened with the options `O` can fail. */
export type ReadError<O> = O extends { readonly overflow: "fail" } ? SlowConsumer : never

/** Options of a single publish. */
export interface PublishOptions {
  /** Receivers that do not get the message: a subscription, a connection, or several. */
  readonly except?: Receiver | ReadonlyArray<Receiver> | undefined
}

/**
 * Publishes to and subscribes to the keys of one channel.
 *
 * All local readers of a key see one order, that of the publishes. Delivery is at most once and in memory. Publishing
 * to a key nobody listens to does nothing and leaves nothing behind. A publish never waits for readers, and a reader
 * that stalls or fails harms nobody.
 */
export interface Channels<E, A, EO = never> extends Attachable<E, A, EO> {
  readonly [TypeId]: typeof TypeId
  /** The schema messages travel in when they leave the process. */
  readonly message: Schema.Constraint & { readonly Type: A }
  /** Random name of this start of the service; positions are comparable within one epoch. */
  readonly epoch: string
  /**
   * Publishes a message and returns after local delivery: every local subscription holds it, none has been waited for.
   * Does not fail; the `onPublish` hook runs afterwards, in publish order.
   */
  readonly publish: (ref: Ref<E>, message: A, options?: PublishOptions) => Effect.Effect<void>
  /** Publishes like `publish` and waits for the `onPublish` hook and the cluster's bus, so that the answer says how far the message got. */
  readonly publishAck: (ref: Ref<E>, message: A, options?: PublishOptions) => Effect.Effect<Ack>
  /**
   * Subscribes until the scope closes. Sees nothing published before it returned (but for `replay`) and everything
   * after, or a `Gap`. Fails with the failure of the `onOpen` hook, in which case nothing stays behind and a later try
   * runs it anew. In a cluster whose bus refuses this node the key it dies with `Refused`.
   */
  readonly subscribe: <const O extends SubscribeOptions<A>>(
    ref: Ref<E>,
    options?: O
  ) => Effect.Effect<Subscription<A, ReadError<O>>, EO, Scope.Scope>
  /** Subscribes until the caller calls `unsubscribe` or disposes the subscription; for code outside of scopes. */
  readonly open: <const O extends SubscribeOptions<A>>(
    ref: Ref<E>,
    options?: O
  ) => Effect.Effect<Subscription<A, ReadError<O>>, EO>
  /**
   * Delivers a message from another node to subscriptions on this node. Does not run `onPublish`, so a bridge may call
   * it from the bus without loops.
   */
  readonly deliverRemote: (
    ref: Ref<E>,
    message: A,
    options?: { readonly id?: string | undefined; readonly except?: ReadonlyArray<string> | undefined }
  ) => Effect.Effect<void>
  /** Counts the subscriptions of a key on this node, and the connections it is forwarded to. */
  readonly subscriberCount: (ref: Ref<E>) => Effect.Effect<number>
  /** Counts the keys this node holds anything for: subscriptions, or a history that has not expired. */
  readonly size: Effect.Effect<number>
}

/** The bounds of a channel; every one has a default. */
export interface Bounds {
  /** Messages a reader may be behind before its overflow policy applies; 256 by default, at least 1. */
  readonly capacity?: number | undefined
  /** Messages of each key that are kept and given to new subscriptions; none by default. */
  readonly replay?: number | undefined
  /** How long a history nobody listens to is kept, at least (at most twice as long); a minute by default. */
  readonly maxIdleTime?: Duration.Input | undefined
  /** Histories nobody listens to that are kept at the same time; 10,000 by default, at least 1, then the oldest goes. */
  readonly maxIdleKeys?: number | undefined
  /** Publishes that may wait for a slow `onPublish` hook; 1,024 by default, then the hook is skipped and counted. */
  readonly hookCapacity?: number | undefined
}

/** What a channel is made from. */
export interface Options<E, A, EO = never, RO = never, RP = never> extends Bounds {
  /** The entity whose references are the keys. */
  readonly key: AnyEntity<E>
  /** The schema of the messages; types inside the process, used where messages leave it. */
  readonly message: Schema.Constraint & { readonly Type: A }
  /**
   * Tells this channel from others in a cluster, and is the same on every node: 1–64 characters. By default the id of
   * the service, and for a channel that is none its prefix.
   */
  readonly name?: string | undefined
  /** What the raw keys of the hooks begin with; by default the entity's name in lower case and a colon. */
  readonly prefix?: string | undefined
  /**
   * Runs after every local publish, one at a time and in publish order; not after `deliverRemote`. Its failure is
   * logged and counted, and local readers never notice.
   */
  readonly onPublish?: ((published: Published<E, A>) => Effect.Effect<void, unknown, RP>) | undefined
  /**
   * Runs before the first subscription of a key is attached; its scope closes with the last. Others that subscribe
   * meanwhile wait for the same run. Its failure fails them all.
   */
  readonly onOpen?: ((ref: Ref<E>, key: string) => Effect.Effect<void, EO, RO>) | undefined
}

/** Who is told how far a publish got. */
interface Reached {
  readonly hooked: Deferred.Deferred<boolean> | undefined
  readonly linked: Deferred.Deferred<boolean> | undefined
}

const noExcept: ReadonlyArray<string> = []

const exceptIds = (except: Receiver | ReadonlyArray<Receiver> | undefined): ReadonlyArray<string> =>
  except === undefined ? noExcept : "id" in except ? [except.id] : except.map((receiver) => receiver.id)

const wholeNumber = (name: string, value: number, least: number): number => {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RangeError(`${name} must be a whole number of at least ${least}, not ${value}`)
}

const positive = (name: string, value: Duration.Duration): Duration.Duration => {
  if (Duration.toMillis(value) > 0) return value
  throw new RangeError(`${name} must be longer than nothing`)
}

/**
 * Makes a channel that lives until its scope closes; then its subscriptions end.
 *
 * Dies with a `RangeError` when a bound is no whole number or too small.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Channels, Ref } from "effect-rooms"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 *
 * const program = Effect.gen(function*() {
 *   const chat = yield* Channels.make({ key: Room, message: Schema.String })
 *   const lines = yield* chat.subscribe(Room.ref`general`)
 *   yield* chat.publish(Room.ref`general`, "hello")
 *   return yield* lines.take
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const make = Effect.fnUntraced(function* <E, A, EO = never, RO = never, RP = never>(
  options: Options<E, A, EO, RO, RP>
): Effect.fn.Return<Channels<E, A, EO>, never, Scope.Scope | Exclude<RO | RP, Scope.Scope>> {
  const limits = checkedLimits(options)
  const prefix = options.prefix ?? `${options.key.entityName.toLowerCase()}:`
  const epoch = yield* makeEpoch
  const turn = yield* Turn.make
  const context = yield* Effect.context()
  const kind = prefix.replace(/:$/, "")
  const publishes = new Tally(Metric.withAttributes(metrics.publishes, { kind }), context, turn)
  const drops = new Tally(Metric.withAttributes(metrics.drops, { kind }), context, turn)
  const registry = yield* Registry.make<A>({
    ...limits,
    turn,
    clock: yield* Clock.Clock,
    kind,
    onDropped: (messages) => drops.add(messages)
  })
  const { onOpen, onPublish } = options
  const offerHook = onPublish && (yield* Hooks.makeOnPublish(options.key.entityName, limits.hookCapacity, onPublish))
  const peers = yield* CurrentPeers
  const link = peers && (yield* Bridge.make(peers, options.name ?? kind, epoch, options.message, registry))
  const hook = onOpen && ((identifier: string) => onOpen(options.key.ref.make(identifier), prefix + identifier))
  const opens =
    link === undefined
      ? hook
      : (identifier: string) => Effect.andThen(link.open(identifier), hook?.(identifier) ?? Effect.void)
  const interest = opens && (yield* Interest.make(opens))
  let published = 0
  let subscribed = 0

  /** Answers the number of the publish. What goes out because of it is charged to the receiver it is done for. */
  const publishUnsafe = (
    receiver: Receiver | undefined,
    ref: Ref<E>,
    message: A,
    except: ReadonlyArray<string>,
    done?: Reached
  ): number => {
    const number = ++published
    publishes.add(1)
    const bytes = registry.forPublish(ref.identifier)?.append(epoch, number, message, except) ?? 0
    if (bytes > 0) receiver?.quota?.charge(bytes)
    link?.publish(ref.identifier, message, number, except, done?.linked)
    offerHook?.({ key: prefix + ref.identifier, ref, message, id: publishId(epoch, number), except }, done?.hooked)
    return number
  }

  const attachReader = Effect.fnUntraced(function* (
    ref: Ref<E>,
    subscribeOptions: SubscribeOptions<A> | undefined,
    scope: Scope.Closeable
  ) {
    const receiver = yield* CurrentReceiver
    const id = `${epoch}-s${(++subscribed).toString(36)}`
    const { end, subscription } = Open.open<A>({
      id,
      receivers: receiver === undefined ? [id] : [id, receiver.id],
      identifier: ref.identifier,
      registry,
      turn,
      overflow: subscribeOptions?.overflow ?? "dropOldest",
      replay: Math.min(limits.replay, subscribeOptions?.replay ?? limits.replay),
      scope
    })
    yield* Scope.addFinalizer(scope, Effect.sync(end))
    return subscription
  })

  /** Interest and attachment share a scope of their own: a failed `onOpen` gives its interest back at once. */
  const openIn = (scope: Scope.Closeable, ref: Ref<E>, subscribeOptions: SubscribeOptions<A> | undefined) =>
    Effect.uninterruptibleMask((restore) =>
      (interest === undefined || registry.closed
        ? Effect.void
        : restore(Scope.provide(interest(ref.identifier), scope))
      ).pipe(
        Effect.andThen(attachReader(ref, subscribeOptions, scope)),
        Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
      )
    )

  const self: Channels<E, A, EO> = {
    [TypeId]: TypeId,
    message: options.message,
    epoch,
    publish: (ref, message, publishOptions) =>
      Effect.withFiber((fiber) => {
        publishUnsafe(fiber.getRef(CurrentReceiver), ref, message, exceptIds(publishOptions?.except))
        return Effect.void
      }),
    publishAck: (ref, message, publishOptions) =>
      Effect.gen(function* () {
        const done: Reached = {
          hooked: offerHook && Deferred.makeUnsafe<boolean>(),
          linked: link && Deferred.makeUnsafe<boolean>()
        }
        const number = publishUnsafe(yield* CurrentReceiver, ref, message, exceptIds(publishOptions?.except), done)
        const roomSeq = registry.get(ref.identifier)?.roomSeq ?? 0
        const hooked = done.hooked === undefined || (yield* Deferred.await(done.hooked))
        const everyone = (done.linked === undefined || (yield* Deferred.await(done.linked))) && hooked
        return { id: publishId(epoch, number), epoch, roomSeq, reached: everyone ? "everyone" : "local-only" }
      }),
    subscribe: (ref, subscribeOptions) =>
      Effect.flatMap(Effect.scope, (parent) =>
        Effect.suspend(() => openIn(Scope.forkUnsafe(parent), ref, subscribeOptions) as Effect.Effect<never, EO>)
      ),
    open: (ref, subscribeOptions) =>
      Effect.suspend(() => openIn(Scope.makeUnsafe(), ref, subscribeOptions) as Effect.Effect<never, EO>),
    deliverRemote: (ref, message, remote) =>
      Effect.sync(() => {
        const id = remote?.id ?? ++published
        registry.forPublish(ref.identifier)?.append(epoch, id, message, remote?.except ?? noExcept)
      }),
    reserve: (ref) => {
      const attach: Attach<A> = (wire, join) => registry.attach(ref.identifier, wire, join)
      // As a value, so that a room can join in one step.
      if (interest === undefined) return Effect.succeed(attach)
      return Effect.suspend(() => {
        if (registry.closed) return Effect.succeed(attach)
        return Effect.flatMap(Effect.scope, (parent) => {
          const scope = Scope.forkUnsafe(parent)
          return Effect.onError(Effect.as(Scope.provide(interest(ref.identifier), scope), attach), (cause) =>
            Scope.close(scope, Exit.failCause(cause))
          )
        })
      })
    },
    subscriberCount: (ref) => Effect.sync(() => registry.get(ref.identifier)?.attached ?? 0),
    size: Effect.sync(() => registry.size)
  }
  return self
})

const checkedLimits = (options: Bounds) => ({
  capacity: wholeNumber("capacity", options.capacity ?? 256, 1),
  replay: wholeNumber("replay", options.replay ?? 0, 0),
  maxIdleKeys: wholeNumber("maxIdleKeys", options.maxIdleKeys ?? 10_000, 1),
  hookCapacity: wholeNumber("hookCapacity", options.hookCapacity ?? 1024, 1),
  maxIdleTime: positive("maxIdleTime", Duration.fromInputUnsafe(options.maxIdleTime ?? Duration.minutes(1)))
})

/**
 * The class `Service` returns: a Context key whose service is the channel, with its `layer` beside it.
 */
export interface ServiceClass<Self, Id extends string, E, A, EO, R> extends Context.ServiceClass<
  Self,
  Id,
  Channels<E, A, EO>
> {
  /** Provides the channel; it lives as long as the layer. */
  readonly layer: Layer.Layer<Self, never, R>
}

/**
 * Declares a channel as a service: a class to `yield*`, and its `layer`.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Channels, Ref } from "effect-rooms"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 * class Chat extends Channels.Service<Chat>()("app/Chat", { key: Room, message: Schema.String }) {}
 *
 * const program = Effect.gen(function*() {
 *   const chat = yield* Chat
 *   const lines = yield* chat.subscribe(Room.ref`general`)
 *   yield* chat.publish(Room.ref`general`, "hello")
 *   return yield* lines.take
 * }).pipe(Effect.scoped, Effect.provide(Chat.layer))
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const Service =
  <Self>() =>
  <const Id extends string, E, A, EO = never, RO = never, RP = never>(
    id: Id,
    options: Options<E, A, EO, RO, RP>
  ): ServiceClass<Self, Id, E, A, EO, Exclude<RO | RP, Scope.Scope>> => {
    const key = Context.Service<Self, Channels<E, A, EO>>()(id)
    return Object.assign(key, { layer: Layer.effect(key, make({ ...options, name: options.name ?? id })) })
  }
