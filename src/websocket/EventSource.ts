/**
 * Server-Sent Events over the same streams that feed WebSockets: for readers that only listen.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Attachable } from "../channels/Sink.ts"
import { Cursor } from "../internal/cursor.ts"
import type { Ref } from "../Ref.ts"
import { EventBody } from "./internal/eventBody.ts"
import * as metrics from "./internal/metrics.ts"
import { logUnsendable } from "./internal/unsendable.ts"
import { Wires } from "./internal/wires.ts"
import { Outbox } from "./Outbox.ts"
import { RoomsServer } from "./RoomsServer.ts"

/** One event as an `EventSource` in a browser sees it. */
export interface ServerSentEvent {
  /** The name listeners use; `"message"` by default. Line breaks become blanks. */
  readonly event?: string | undefined
  /** Sent back by browsers as `Last-Event-ID` when they connect again. Line breaks become blanks. */
  readonly id?: string | undefined
  /** The text; line breaks are allowed. */
  readonly data: string
}

/** How a stream becomes events. */
export interface Options<A> {
  /** Makes an event of a value; by default its JSON as the data of a `"message"`. */
  readonly encode?: ((value: A) => ServerSentEvent) | undefined
  /** How often a comment is sent, so that proxies keep the connection and its end is noticed; 15 seconds by default. */
  readonly heartbeat?: Duration.Input | undefined
}

/** A line break in a name or an id would begin a field, and thereby an event, that nobody sent. */
const oneLine = (text: string): string => text.replace(/[\r\n]+/g, " ")

const toText = ({ data, event, id }: ServerSentEvent): string =>
  Sse.encoder.write({
    _tag: "Event",
    event: oneLine(event ?? "message"),
    id: id === undefined ? undefined : oneLine(id),
    data
  })

const headers = { "cache-control": "no-store", "x-accel-buffering": "no" }

/** Sends a comment at once, so that the client knows it is connected, and then regularly. */
const withHeartbeats = <E>(events: Stream.Stream<Uint8Array, E>, interval: Duration.Input = Duration.seconds(15)) => {
  const comment = Buffer.from(": \n\n")
  const heartbeats = Stream.map(Stream.tick(interval), () => comment)
  // The server keeps the request's scope until the body is written. `HttpEffect.scopeTransferToStream` would leave it
  // open for ever when the body is never run: for HEAD, and for a client that has gone before the answer.
  return HttpServerResponse.stream(Stream.merge(events, heartbeats, { haltStrategy: "left" }), {
    contentType: "text/event-stream",
    headers
  })
}

const asJson = (value: unknown): ServerSentEvent => ({ data: JSON.stringify(value) })

/**
 * Answers a request with the events of a stream, until the client goes or the stream ends.
 *
 * Call it in the request's handler: what the handler acquired in the request's scope, such as a subscription, is kept
 * until the response is over. A comment is sent at once, so that the client knows it is connected. A client that reads
 * too slowly makes the stream wait; a subscription behind it then drops what its policy says.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { Channels, Ref } from "effect-rooms"
 * import { EventSource } from "effect-rooms/websocket"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 * class Chat extends Channels.Service<Chat>()("app/Chat", { key: Room, message: Schema.String }) {}
 *
 * export const Events = HttpRouter.add("GET", "/events", Effect.gen(function*() {
 *   const chat = yield* Chat
 *   const lines = yield* chat.subscribe(Room.ref`general`)
 *   return EventSource.response(lines.stream)
 * }))
 * ```
 */
export const response = <A, E>(
  events: Stream.Stream<A, E>,
  options: Options<A> = {}
): HttpServerResponse.HttpServerResponse => {
  const { encode = asJson, heartbeat } = options
  return withHeartbeats(Stream.encodeText(Stream.map(events, (value) => toText(encode(value)))), heartbeat)
}

/** Encodings by server and function, so that readers of one kind share what is encoded. */
const encodings = new WeakMap<object, Wires<ServerSentEvent>>()

/** What is there for all requests; the first one's span, annotations and scope are not the others'. */
const shared = Context.pick(Metric.MetricRegistry, References.CurrentLoggers, References.MinimumLogLevel)

const wiresOf = Effect.fnUntraced(function* (server: RoomsServer["Service"]) {
  const known = encodings.get(server)
  if (known !== undefined) return known
  const context = shared(yield* Effect.context())
  const wires = new Wires<ServerSentEvent>({
    flusher: server.acceptor.flusher,
    encode: toText,
    frame: (text) => Buffer.from(text),
    onFailure: (error, feed) => {
      Metric.withAttributes(metrics.encodeFailures, { route: "events" }).updateUnsafe(1, context)
      Effect.runForkWith(context)(logUnsendable(error, "events", feed))
    },
    onDelivered: (kind, messages) =>
      Metric.withAttributes(metrics.deliveries, { route: "events", kind }).updateUnsafe(messages, context)
  })
  encodings.set(server, wires)
  return wires
})

/**
 * Answers a request with what is published to a key of a channel, or to a room, until the client goes.
 *
 * Encoded once for all readers whose `encode` is the same function, so make it once, outside of the handler, and written
 * once per turn. Call it in the request's handler. A client that is behind by more than the limits of the outbox gets
 * the end of the response behind what waits for it, within `closeTimeout`, and comes back by itself. Fails with the
 * failure of the channel's `onOpen` hook.
 */
export const forward = Effect.fnUntraced(function* <E, A, EO>(
  channel: Attachable<E, A, EO>,
  ref: Ref<E>,
  options: Options<A> = {}
): Effect.fn.Return<
  HttpServerResponse.HttpServerResponse,
  EO,
  RoomsServer | HttpServerRequest.HttpServerRequest | Scope.Scope
> {
  const server = yield* RoomsServer
  const { socket } = NodeHttpServerRequest.toIncomingMessage(yield* HttpServerRequest.HttpServerRequest)
  const wires = yield* wiresOf(server)
  const attach = yield* channel.reserve(ref)
  const body = new EventBody()
  const { acceptor, limits } = server
  // Nothing else ends a response to a client that does not read.
  const cutLater = Effect.andThen(
    Effect.sleep(limits.closeTimeout),
    Effect.sync(() => socket.destroy())
  )
  const fork = Effect.runForkWith(yield* Effect.context<Scope.Scope>())
  const outbox = new Outbox({
    writer: body,
    limits,
    flusher: acceptor.flusher,
    budget: acceptor.budget,
    onOverflow: () => {
      body.end()
      fork(Effect.forkScoped(cutLater))
    },
    destroy: () => socket.destroy()
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => attach(wires.of(options.encode ?? asJson), (batch) => batch.join(outbox, acceptor.nextId()))),
    (detach) =>
      Effect.sync(() => {
        detach()
        body.end()
        acceptor.budget.forget(outbox)
      })
  )
  return withHeartbeats(new Cursor(body).view((chunk) => chunk).stream, options.heartbeat)
})
