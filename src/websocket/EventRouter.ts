/**
 * Handlers picked by event and path, with replies: many small endpoints over one WebSocket.
 *
 * A client sends `{ "event", "path", "data"?, "id"? }`. The handler of that event and path gets the data; what it
 * returns is the reply `{ "id", "data" }`, if there was an id, and its failure the reply `{ "id", "error" }`. A
 * connection may join rooms, which are paths, and hears `{ "event", "path", "data" }` of what is broadcast there.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FindMyWay from "effect/http/FindMyWay"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Channels from "../channels/Channels.ts"
import * as Ref from "../Ref.ts"
import type { Connection } from "../rooms/Connection.ts"
import type { Authenticator } from "./Authenticator.ts"
import * as Connections from "./Connections.ts"
import { joinRefusals } from "./internal/metrics.ts"
import { checkParameters } from "./internal/pathParameters.ts"
import * as WebSocketRoute from "./WebSocketRoute.ts"

/** Fails a request; the client gets it as the error of the reply. */
export class EventError extends Schema.TaggedError<EventError>()("EventError", {
  code: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** How a broadcast reaches whom. */
export interface BroadcastOptions {
  /** The path that is the room; by default that of the request. The sender need not have joined it. */
  readonly room?: string | undefined
  /** Leaves out the connection that sent the request; true by default. */
  readonly excludeSelf?: boolean | undefined
}

/** What a handler gets for one request. */
export interface EventRequest<Params, Data> {
  readonly event: string
  readonly path: string
  readonly params: Params
  readonly data: Data
  readonly connection: Connection
  /**
   * Joins a room, by default the path of the request, until it is left or the connection ends. False when it is in.
   * Fails with `invalid_room` when the path is no identifier behind its slash, with `too_many_rooms` when the connection
   * is in as many rooms as it may be or there are as many as may be, with `too_many_joins` when it joins too often.
   */
  readonly join: (room?: string) => Effect.Effect<boolean, EventError>
  /** Leaves a room. False when it was not in. */
  readonly leave: (room?: string) => Effect.Effect<boolean, EventError>
  /** The rooms this connection is in. */
  readonly rooms: Effect.Effect<ReadonlyArray<string>>
  /** Sends an event to the members of a room, but not to this connection. */
  readonly broadcast: (event: string, data: Schema.Json, options?: BroadcastOptions) => Effect.Effect<void, EventError>
  /** Sends an event to this connection alone. False when it is closing. */
  readonly emit: (event: string, data: Schema.Json) => boolean
  /** Sends an event to one connection of this router. False when it is not there. */
  readonly toConnection: (id: string, event: string, data: Schema.Json) => Effect.Effect<boolean>
  /** Sends an event to every connection of this router but this one; answers how many took it. */
  readonly toOthers: (event: string, data: Schema.Json) => Effect.Effect<number>
}

/** A handler with what it is picked by; made by `on`. */
export interface EventRoute<out R = never> {
  readonly event: string
  readonly path: FindMyWay.PathInput
  readonly decodeParams: (params: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  readonly decodeData: (data: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  readonly handle: (request: EventRequest<never, never>) => Effect.Effect<Schema.Json | void, EventError, R>
}

/**
 * Handles an event on a path, which may have parameters such as `/chat/:room`.
 *
 * What the handler returns is the data of the reply. Its failure is the reply's error; a defect closes the connection
 * with 1011. Throws a `TypeError` when `params` names a parameter the path does not have.
 */
export const on = <Data, Params extends WebSocketRoute.Fields = {}, R = never>(
  event: string,
  path: FindMyWay.PathInput,
  schemas: { readonly data: Schema.Codec<Data, unknown>; readonly params?: Params | undefined },
  handle: (
    request: EventRequest<WebSocketRoute.Decoded<Params>, Data>
  ) => Effect.Effect<Schema.Json | void, EventError, R>
): EventRoute<R> => {
  checkParameters(path, schemas.params)
  return {
    event,
    path,
    decodeParams: Schema.decodeUnknownEffect(Schema.Struct(schemas.params ?? {})),
    decodeData: Schema.decodeUnknownEffect(Schema.toCodecJson(schemas.data)),
    // Called with what its own schemas have decoded.
    handle
  }
}

/** The room of a path is its text without the slash in front. */
class EventPath extends Ref.Entity<EventPath>()("EventPath") {}
/** The kind of these rooms, in metrics. */
const kindName = "events"

const Id = Schema.Union([Schema.String.check(Schema.isMaxLength(128)), Schema.Finite])
const Incoming = Schema.Struct({
  event: Schema.String,
  path: Schema.String,
  data: Schema.optionalKey(Schema.Json),
  id: Schema.optionalKey(Id)
})
type Incoming = typeof Incoming.Type

const Event = Schema.Struct({ event: Schema.String, path: Schema.String, data: Schema.Json })
const Failure = Schema.Struct({ code: Schema.String, message: Schema.String })
const Outgoing = Schema.Union([
  Event,
  Schema.Struct({ id: Schema.optionalKey(Id), error: Failure }),
  Schema.Struct({ id: Id, data: Schema.Json })
])

type Session = WebSocketRoute.Session<Incoming, typeof Outgoing.Type, unknown, unknown, unknown>
type EventChannel = Channels.Channels<EventPath, typeof Event.Type>

const roomOf = (path: string): Effect.Effect<Ref.Ref<EventPath>, EventError> =>
  Effect.mapError(
    Schema.decodeUnknownEffect(EventPath.ref.schema)(path.replace(/^\//, "")),
    () => new EventError({ code: "invalid_room", detail: "not the name of a room" })
  )

const refused = (code: string, detail: string) => Effect.fail(new EventError({ code, detail }))

/** Refuses a join that is one too many, and counts it like those of other rooms. */
const tooMany = (reason: "TooManyRooms" | "TooManyJoins", code: string, detail: string) =>
  Effect.andThen(
    Metric.update(Metric.withAttributes(joinRefusals, { kind: kindName, reason }), 1),
    refused(code, detail)
  )

/** The rooms of one connection: each has a scope, and all of them end with the connection's. */
const makeMembership = Effect.fnUntraced(function* (
  channel: EventChannel,
  maxRooms: number,
  { connection: { quota }, forward }: Session
) {
  const own = yield* Effect.scope
  const joined = new Map<string, Scope.Closeable>()
  const join = Effect.fnUntraced(function* (path: string) {
    const room = yield* roomOf(path)
    if (joined.has(room.identifier)) return false
    if ((yield* channel.size) >= maxRooms && (yield* channel.subscriberCount(room)) === 0) {
      return yield* tooMany("TooManyRooms", "too_many_rooms", "there are as many rooms as may be")
    }
    const granted = quota.join()
    if (granted === "tooMany") {
      return yield* tooMany("TooManyRooms", "too_many_rooms", "the connection is in as many rooms as it may be")
    }
    if (granted === "tooOften") return yield* tooMany("TooManyJoins", "too_many_joins", "too many joins, try later")
    const scope = yield* Scope.fork(own)
    joined.set(room.identifier, scope)
    yield* Scope.addFinalizer(scope, Effect.sync(quota.leave))
    yield* Scope.provide(forward(channel, room), scope)
    return true
  })
  const leave = Effect.fnUntraced(function* (path: string) {
    const { identifier } = yield* roomOf(path)
    const scope = joined.get(identifier)
    joined.delete(identifier)
    if (scope !== undefined) yield* Scope.close(scope, Exit.void)
    return scope !== undefined
  })
  return { join, leave, rooms: Effect.sync(() => Array.from(joined.keys(), (identifier) => `/${identifier}`)) }
})

/** Finds the route of a request. */
const makeFind = <R>(routes: ReadonlyArray<EventRoute<R>>) => {
  const byEvent = new Map<string, FindMyWay.Router<EventRoute<R>>>()
  for (const route of routes) {
    const paths = byEvent.get(route.event) ?? FindMyWay.make<EventRoute<R>>({ maxParamLength: 512 })
    byEvent.set(route.event, paths)
    paths.on("GET", route.path, route)
  }
  return ({ event, path }: Incoming) => byEvent.get(event)?.find("GET", path)
}

/** How the layer of an event router differs from its defaults. */
export interface Options<Principal, RA> {
  /** Names the principal before the upgrade, or refuses with 401 or 403. Without it everybody may connect. */
  readonly authenticate?: Authenticator<Principal, RA> | undefined
  /** Names the user of a principal, as on a `WebSocketRoute`. */
  readonly user?: ((principal: Principal) => Ref.AnyRef | undefined) | undefined
  /** Whether a client has to send a request within `helloTimeout`, as on a `WebSocketRoute`. */
  readonly clientSpeaksFirst?: boolean | undefined
  /** Rooms there may be with somebody in them; 100,000 by default. */
  readonly maxRooms?: number | undefined
}

/**
 * Serves event routes on one WebSocket path.
 *
 * Requests of one connection are handled one after the other. A request nobody handles, or whose data does not fit, gets
 * an error reply: `not_found` or `invalid_data`. Its `rooms` are in memory and those of this node; what is broadcast reaches
 * the connections of all nodes.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { EventRouter } from "effect-rooms/websocket"
 *
 * const join = EventRouter.on("join", "/chat/:room", { data: Schema.Struct({ name: Schema.String }) }, (request) =>
 *   Effect.gen(function*() {
 *     yield* request.join()
 *     yield* request.broadcast("joined", { name: request.data.name })
 *     return { rooms: (yield* request.rooms).length }
 *   })
 * )
 *
 * export const Events = EventRouter.layer("/events", [join])
 * ```
 */
export const layer = <R, Principal = undefined, RA = never>(
  path: FindMyWay.PathInput,
  routes: ReadonlyArray<EventRoute<R>>,
  options: Options<Principal, RA> = {}
): Layer.Layer<never, never, WebSocketRoute.Requirements<RA, Effect.Effect<void, never, R>>> => {
  const find = makeFind(routes)
  const route = WebSocketRoute.make(path, {
    incoming: Incoming,
    outgoing: Outgoing,
    authenticate: options.authenticate,
    user: options.user,
    clientSpeaksFirst: options.clientSpeaksFirst,
    invalidReply: ({ code, message }) => ({ error: { code, message } })
  })

  const handle = Effect.fnUntraced(function* (
    channel: EventChannel,
    connections: Connections.Connections<typeof Outgoing.Type, Principal>,
    session: Session
  ) {
    const { connection, messages, send } = session
    const { join, leave, rooms } = yield* makeMembership(channel, options.maxRooms ?? 100_000, session)

    const respond = Effect.fnUntraced(function* (incoming: Incoming) {
      const { data = null, event, path: here } = incoming
      const found = find(incoming)
      if (found === undefined) return yield* refused("not_found", "nothing handles this event on this path")
      const { handler, params } = found
      const invalid = (error: Schema.SchemaError) => refused("invalid_data", error.message.slice(0, 256))
      return yield* handler.handle({
        event,
        path: here,
        params: (yield* Effect.catch(handler.decodeParams(params), invalid)) as never,
        data: (yield* Effect.catch(handler.decodeData(data), invalid)) as never,
        connection,
        join: (room = here) => join(room),
        leave: (room = here) => leave(room),
        rooms,
        emit: (name, content) => send({ event: name, path: here, data: content }),
        toConnection: (id, name, content) => connections.toConnection(id, { event: name, path: here, data: content }),
        toOthers: (name, content) =>
          connections.broadcast({ event: name, path: here, data: content }, { except: connection }),
        broadcast: (name, content, { excludeSelf = true, room = here } = {}) =>
          Effect.flatMap(roomOf(room), (ref) =>
            channel.publish(ref, { event: name, path: room, data: content }, excludeSelf ? { except: connection } : {})
          )
      })
    })

    yield* messages.runForEach((incoming) =>
      Effect.matchEffect(respond(incoming), {
        onSuccess: (reply) =>
          Effect.sync(() => incoming.id !== undefined && send({ id: incoming.id, data: reply ?? null })),
        onFailure: ({ code, message }) => {
          const id = incoming.id === undefined ? {} : { id: incoming.id }
          return Effect.sync(() => send({ ...id, error: { code, message } }))
        }
      })
    )
  })

  const served = Effect.gen(function* () {
    const channel = yield* Channels.make({ key: EventPath, message: Event, prefix: `${kindName}:` })
    const connections = yield* Connections.of(route)
    return WebSocketRoute.layer(route, (session) => handle(channel, connections, session))
  })
  return Layer.unwrap(served)
}
