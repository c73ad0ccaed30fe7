/**
 * A WebSocket endpoint on the application's `HttpRouter`: typed parameters, typed messages, one handler per connection.
 *
 * A route is described first and given its handler second, so that the handler's types, however it is written, follow
 * from the description. The stages of a connection are `internal/handshake.ts` (before the upgrade) and
 * `internal/session.ts` (after it).
 */
import * as Effect from "effect/Effect"
import type * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Overflow } from "../channels/Subscription.ts"
import type { AnyRef } from "../Ref.ts"
import type { Authenticator } from "./Authenticator.ts"
import type { Loss } from "./internal/backlog.ts"
import * as Endpoint from "./internal/endpoint.ts"
import { checkParameters } from "./internal/pathParameters.ts"
import { CurrentSession } from "./internal/session.ts"
import type { RoomsServer } from "./RoomsServer.ts"
import type { InvalidMessage, Opening, Session } from "./Session.ts"

export { ErrorReply } from "./ErrorReply.ts"
export type { As, InvalidMessage, Opening, Session } from "./Session.ts"

/** Schemas by name, for path parameters and query. Values arrive as strings, repeated query values as arrays. */
export type Fields = { readonly [name: string]: Schema.Codec<unknown, unknown> }

/** What a route is made from. */
export interface Options<In, Out, Params extends Fields, Query extends Fields, Principal, RA, Data> {
  /**
   * Schemas of the path parameters, under the names they have in the route's own path. A handshake that does not fit
   * gets 400, and the log says why at debug. What a prefix of the router has is read with `HttpRouter.params`.
   */
  readonly params?: Params | undefined
  /** Schemas of the query parameters. A handshake that does not fit gets 400, and the log says why at debug. */
  readonly query?: Query | undefined
  /** The schema of messages from the client, in JSON. One that does not fit gets an error reply and is counted. */
  readonly incoming: Schema.Codec<In, unknown>
  /**
   * The schema of messages to the client, in JSON. What `invalidReply` makes is sent besides and need not be one of
   * them: a typed client decodes the union of both, by default with `ErrorReply`.
   */
  readonly outgoing: Schema.Codec<Out, unknown>
  /** Names the principal before the upgrade, or refuses with 401 or 403. Without it everybody may connect. */
  readonly authenticate?: Authenticator<Principal, RA> | undefined
  /** Names the user of a principal, for limits per user and for `Connections`. Without it a connection is nobody's. */
  readonly user?: ((principal: Principal) => AnyRef | undefined) | undefined
  /** Makes what the application keeps with a connection, `connection.data`; nothing by default. */
  readonly data?: ((opening: Opening<Decoded<Params>, Decoded<Query>, Principal>) => Data) | undefined
  /**
   * Whether the client has to send the first message, such as a hello or a first request: it then has `helloTimeout` for
   * a valid one. False by default: a client may listen for ever.
   */
  readonly clientSpeaksFirst?: boolean | undefined
  /** What a client loses that takes published messages too slowly; by default it loses none and is closed with 4004. */
  readonly overflow?: OutboxOverflow<Out> | undefined
  /**
   * Makes the message that tells clients of messages which other nodes published and which did not get here; by default
   * that of `overflow`, and without either nobody is told.
   */
  readonly gap?: ((gap: OutboxGap) => Out) | undefined
  /** Takes a token from the query as well, where it can end up in other people's logs. False by default. */
  readonly allowQueryToken?: boolean | undefined
  /**
   * The reply to a message that does not fit: any JSON; by default an `ErrorReply`, which is
   * `{ "type": "error", "code", "message" }`. To spare clients the union, answer the JSON of a message of `outgoing`.
   */
  readonly invalidReply?: ((invalid: InvalidMessage) => Schema.Json) | undefined
}

/**
 * What was lost of a room or key: so many messages with positions from one up to another, both included; for the reason
 * `"network"` one position that stands for all of them, and 0 messages where nobody knows how many.
 */
export type OutboxGap = Loss

/**
 * Which of the messages of rooms, channels and broadcasts a slow client loses, in the words subscriptions use, and how
 * it is told. Its own messages, by `send`, are never lost: when they are too many it is closed.
 */
export interface OutboxOverflow<Out> {
  readonly policy: Exclude<Overflow<Out>, "fail">
  /** Makes the message that tells what was lost; its place is where the loss was. */
  readonly gap: (gap: OutboxGap) => Out
}

/** A route's path and types, from which `layer` makes an endpoint. */
export interface WebSocketRoute<
  In,
  Out,
  Params extends Fields,
  Query extends Fields,
  Principal,
  RA = never,
  Data = undefined
> {
  readonly path: HttpRouter.PathInput
  readonly options: Options<In, Out, Params, Query, Principal, RA, Data>
}

/** What a handler may return: an Effect that does its work, or the promise of an async function. */
export type Handling = Effect.Effect<unknown, unknown, unknown> | Promise<unknown>

/** The types a record of schemas decodes to; fields made by `Schema.optionalKey` are optional. */
export type Decoded<F extends Fields> = Schema.Struct.Type<F>

/** What the environment has to provide: the router, the server, and what `authenticate` and the handler ask for. */
export type Requirements<RA, Handled> =
  | HttpRouter.HttpRouter
  | RoomsServer
  | HttpRouter.Request.From<
      "Requires",
      Exclude<RA | (Handled extends Effect.Effect<unknown, unknown, infer R> ? R : never), HttpRouter.Provided>
    >

/**
 * Describes a WebSocket route: its path, and the schemas of what goes over it.
 *
 * The path is a path of `HttpRouter`, with `:name` for parameters. It does nothing until `layer` gives it a handler.
 * Throws a `TypeError` when `params` names a parameter the path does not have.
 */
export const make = <
  In,
  Out,
  Params extends Fields = {},
  Query extends Fields = {},
  Principal = undefined,
  RA = never,
  Data = undefined
>(
  path: HttpRouter.PathInput,
  options: Options<In, Out, Params, Query, Principal, RA, Data>
): WebSocketRoute<In, Out, Params, Query, Principal, RA, Data> => {
  checkParameters(path, options.params)
  return { path, options }
}

/**
 * Serves a route on the router, with a handler that runs once per connection.
 *
 * The handler is an Effect or an async function and runs in the connection's scope: what it acquires lives as long.
 * When it returns the connection closes with 1000, when it fails or dies with 1011. When the connection is gone
 * `messages` ends and `signal` is aborted. An Effect that has seen the end, or never read, is interrupted at the end of
 * the turn: what has to be done in the end belongs into finalizers. One that is busy, perhaps with the last message, gets
 * `handlerTimeout` to come back, and so does an async function, which cannot be interrupted and is then left behind and
 * logged. Whichever way it ends, the scope's finalizers run.
 *
 * A request that is no WebSocket handshake gets 426, or what `otherwise` answers; a handshake from a foreign origin 403; while the server drains 503.
 * Middleware made with `HttpRouter.middleware` applies before the upgrade and can provide services to the handler.
 *
 * @example
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { Ref } from "effect-rooms"
 * import { WebSocketRoute } from "effect-rooms/websocket"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 *
 * const Echo = WebSocketRoute.make("/echo/:room", {
 *   params: { room: Room.ref.schema },
 *   incoming: Schema.String,
 *   outgoing: Schema.String
 * })
 *
 * export const EchoLive = WebSocketRoute.layer(Echo, ({ messages, params, send }) =>
 *   Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(`${params.room.identifier}: ${text}`)))
 * )
 * ```
 */
export const layer = <
  In,
  Out,
  Params extends Fields,
  Query extends Fields,
  Principal,
  RA,
  Data,
  Handled extends Handling,
  RP = never
>(
  route: WebSocketRoute<In, Out, Params, Query, Principal, RA, Data>,
  handle: (session: Session<In, Out, Decoded<Params>, Decoded<Query>, Principal, Data>) => Handled,
  more: {
    /** Answers requests that are no WebSocket handshake, so that a page and a socket can share a path. */
    readonly otherwise?: Effect.Effect<HttpServerResponse.HttpServerResponse, never, RP> | undefined
  } = {}
): Layer.Layer<never, never, Requirements<RA | RP, Handled>> => {
  const { path, options } = route
  return Layer.effectDiscard(
    Endpoint.add({
      route,
      path,
      params: fields(options.params),
      query: fields(options.query),
      incoming: options.incoming,
      outgoing: options.outgoing,
      allowQueryToken: options.allowQueryToken ?? false,
      clientSpeaksFirst: options.clientSpeaksFirst ?? false,
      invalidReply: options.invalidReply,
      // The router provides what these require; that is what `Requirements` says.
      otherwise: more.otherwise as Effect.Effect<HttpServerResponse.HttpServerResponse> | undefined,
      authenticate: options.authenticate as Authenticator<Principal> | undefined,
      user: options.user ?? (() => undefined),
      gap: options.gap,
      overflow: options.overflow,
      data: options.data ?? (() => undefined as Data),
      handle: handle as (
        session: Session<In, Out, Decoded<Params>, Decoded<Query>, Principal, Data>
      ) => Promise<unknown>
    })
  )
}

/**
 * Gives the session of the connection a fiber works for, to code that its handler calls without handing it on.
 *
 * Dies with a sentence outside of the handlers of this route.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { WebSocketRoute } from "effect-rooms/websocket"
 *
 * const Echo = WebSocketRoute.make("/echo", { incoming: Schema.String, outgoing: Schema.String })
 *
 * export const greet = Effect.map(WebSocketRoute.session(Echo), ({ send }) => send("hello"))
 * ```
 */
export const session = <In, Out, Params extends Fields, Query extends Fields, Principal, RA, Data>(
  route: WebSocketRoute<In, Out, Params, Query, Principal, RA, Data>
): Effect.Effect<Session<In, Out, Decoded<Params>, Decoded<Query>, Principal, Data>> =>
  Effect.flatMap(CurrentSession, (current) =>
    current?.route === route
      ? // What the route itself has provided.
        Effect.succeed(current.session as Session<In, Out, Decoded<Params>, Decoded<Query>, Principal, Data>)
      : Effect.die(new Error(`this is not called for a connection of the route ${route.path}`))
  )

const fields = <F extends Fields>(record: F | undefined) =>
  Schema.Struct(record ?? {}) as unknown as Schema.Codec<Decoded<F>, unknown>
