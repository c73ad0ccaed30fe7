/**
 * Server-Sent Events over the same streams that feed WebSockets: for readers that only listen.
 */
import * as Duration from "effect/Duration"
import * as Sse from "effect/encoding/Sse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"

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
  const encode = options.encode ?? ((value: A) => ({ data: JSON.stringify(value) }))
  const heartbeats = Stream.map(Stream.tick(options.heartbeat ?? Duration.seconds(15)), () => ": \n\n")
  const text = Stream.merge(
    Stream.map(events, (value) => toText(encode(value))),
    heartbeats,
    { haltStrategy: "left" }
  )
  // The server keeps the request's scope until the body is written. `HttpEffect.scopeTransferToStream` would leave it
  // open for ever when the body is never run: for HEAD, and for a client that has gone before the answer.
  return HttpServerResponse.stream(Stream.encodeText(text), {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
  })
}
