/**
 * The seam between the nodes of a cluster: text published to a topic reaches whoever subscribes to the topic, on every
 * node, at most once.
 *
 * A bus knows nothing of rooms. It promises little, and says when it could not keep even that: whatever may have been
 * missed shows as a `BusGap`, and its health tells an operator since when.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BusTopics from "./BusTopics.ts"
import type { BusHealth, EventBusService } from "./EventBusService.ts"
import * as Bus from "./internal/bus/bus.ts"
import * as TransportDriver from "./internal/bus/transportDriver.ts"

export type { BusEvent, BusGap, BusHealth, BusMessage, EventBusService } from "./EventBusService.ts"

/** The event bus of this node. */
export class EventBus extends Context.Service<EventBus, EventBusService>()("effect-rooms/cluster/EventBus") {}

/**
 * Makes typed topics of the application over the event bus: what one node emits, every node may listen to.
 *
 * The topics begin with `prefix` on the bus, so that applications that share a broker do not mix. Make them once for each
 * node: what another service of the same node emits arrives on a bus that echoes, and does not on others.
 *
 * @example
 * ```ts
 * import { EventBus } from "effect-rooms/cluster"
 * import { Effect, Schema } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const events = yield* EventBus.make({ "room.closed": Schema.Struct({ room: Schema.String }) })
 *   const closed = yield* events.on("room.closed", { own: true })
 *   yield* events.emit("room.closed", { room: "general" })
 *   return yield* closed.take
 * }).pipe(Effect.scoped, Effect.provide(EventBus.layerNoop))
 *
 * console.log(await Effect.runPromise(program))
 * ```
 */
export const make = <const T extends BusTopics.Topics>(
  topics: T,
  options?: BusTopics.Options
): Effect.Effect<BusTopics.BusTopics<T>, never, EventBus> =>
  Effect.flatMap(EventBus, (bus) => BusTopics.make(bus, topics, options))

/**
 * The class `Service` returns: a Context key whose service is the typed topics, with its `layer` beside it.
 */
export interface ServiceClass<Self, Id extends string, T extends BusTopics.Topics> extends Context.ServiceClass<
  Self,
  Id,
  BusTopics.BusTopics<T>
> {
  /** Provides the topics over the event bus. */
  readonly layer: Layer.Layer<Self, never, EventBus>
}

/**
 * Declares typed topics as a service: a class to `yield*`, and its `layer`.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { EventBus } from "effect-rooms/cluster"
 *
 * class Orders extends EventBus.Service<Orders>()("app/Orders", {
 *   "order.paid": Schema.Struct({ order: Schema.String, at: Schema.Date })
 * }) {}
 *
 * const ship = Effect.gen(function*() {
 *   const orders = yield* Orders
 *   const paid = yield* orders.on("order.paid")
 *   yield* paid.runForEach(({ order }) => Effect.log(`shipping ${order}`))
 * }).pipe(Effect.scoped)
 *
 * export const Shipping = Layer.effectDiscard(Effect.forkScoped(ship)).pipe(Layer.provide(Orders.layer))
 * ```
 */
export const Service =
  <Self>() =>
  <const Id extends string, const T extends BusTopics.Topics>(
    id: Id,
    topics: T,
    options?: BusTopics.Options
  ): ServiceClass<Self, Id, T> => {
    const key = Context.Service<Self, BusTopics.BusTopics<T>>()(id)
    return Object.assign(key, { layer: Layer.effect(key, make(topics, options)) })
  }

const up: BusHealth = { _tag: "Up" }

/**
 * Provides a bus for a node that is alone: what is published goes nowhere and nothing arrives. Publishing and
 * subscribing succeed, and the health is `Up`.
 */
export const layerNoop: Layer.Layer<EventBus> = Layer.succeed(EventBus, {
  kind: "noop",
  maxPayload: Number.MAX_SAFE_INTEGER,
  echo: false,
  ordered: true,
  isLocal: true,
  publish: () => Effect.void,
  subscribe: () => Effect.void,
  health: Effect.succeed(up),
  healthChanges: Stream.concat(Stream.succeed(up), Stream.never)
})

/** What a function of a transport answers: an effect, a promise, or nothing when it is done at once. */
export type TransportAnswer = TransportDriver.Answer

/**
 * Three functions over any publish/subscribe, such as a client of a broker that has no adapter here.
 *
 * The client connects and reconnects by itself. Topics may have any characters; a node subscribes to a topic while it has
 * listeners for it, once however many there are.
 */
export interface Transport {
  /** Hands a payload over. Failing, throwing and rejecting mean that the bus is out of reach. */
  readonly publish: (topic: string, payload: string) => TransportAnswer
  /**
   * Has `onMessage` called with what arrives on the topic; live when it is done. Failing, throwing and rejecting mean
   * that the topic is refused; an `EventBusError` is taken as it is.
   */
  readonly subscribe: (topic: string, onMessage: (payload: string) => void) => TransportAnswer
  /** Ends the subscription of the topic. Called after failures, too, when it may not be there. */
  readonly unsubscribe: (topic: string) => TransportAnswer
}

/** What has to be known of a transport; left out, the least is taken for granted. */
export interface TransportOptions extends Bus.Options {
  /** Names the transport in logs and metrics; `"transport"` by default. */
  readonly kind?: string | undefined
  /** Bytes of a payload, at most; 64 KiB by default. */
  readonly maxPayload?: number | undefined
  /**
   * Whether a node gets back what it publishes; false by default. Where it does the bus sends probes to itself, and
   * notices a broker that no longer delivers. Otherwise its health only tells whether publishes succeed.
   */
  readonly echo?: boolean | undefined
  /** Whether what one node publishes to one topic arrives in order; false by default. */
  readonly ordered?: boolean | undefined
}

/**
 * Makes an event bus from a transport that lives until the scope closes; then everything is unsubscribed.
 *
 * A probe is published every second. After three seconds without a success, or without an echo where there is one,
 * listeners see a gap; once a publish goes through again everything is unsubscribed, subscribed anew, and listeners see
 * the second gap. Dies with a `RangeError` when an option is not possible.
 */
export const fromTransport = (
  transport: Transport,
  options: TransportOptions = {}
): Effect.Effect<EventBusService, never, Scope.Scope> =>
  Effect.suspend(() => {
    const { echo = false, kind = "transport", maxPayload = 65_536, ordered = false } = options
    if (!Number.isSafeInteger(maxPayload) || maxPayload < 1)
      throw new RangeError("maxPayload has to be a whole number from 1")
    return Bus.make(TransportDriver.make(transport, { kind, maxPayload, echo, ordered }), options)
  })

/**
 * Provides an event bus over a transport; see `fromTransport`.
 *
 * @example
 * ```ts
 * import { EventBus } from "effect-rooms/cluster"
 * import { createClient } from "redis"
 *
 * const publisher = createClient({ url: "redis://localhost:6379", disableOfflineQueue: true })
 * const subscriber = publisher.duplicate()
 * for (const client of [publisher, subscriber]) client.on("error", (error: Error) => console.error(error.message))
 * await Promise.all([publisher.connect(), subscriber.connect()])
 *
 * export const BusLive = EventBus.layerTransport(
 *   {
 *     publish: (topic, payload) => publisher.publish(topic, payload),
 *     subscribe: (topic, onMessage) => subscriber.subscribe(topic, onMessage),
 *     unsubscribe: (topic) => subscriber.unsubscribe(topic)
 *   },
 *   { kind: "my-redis", echo: true, ordered: true }
 * )
 * ```
 */
export const layerTransport = (transport: Transport, options?: TransportOptions): Layer.Layer<EventBus> =>
  Layer.effect(EventBus, fromTransport(transport, options))
