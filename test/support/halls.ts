/**
 * What the socket tests of rooms share: a kind of room, a channel, and two routes whose sessions the test drives.
 */
import { Channels, type Connection, Ref, type Room, RoomApi, Rooms } from "effect-rooms"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Way } from "./ways.ts"
import { type Client, connect, type ConnectOptions, eventually } from "./wsClient.ts"
import { startServer, type TestServer } from "./wsServer.ts"

export class Hall extends Ref.Entity<Hall>()("Hall") {}

const events = { said: Schema.String, counted: Schema.Finite }
export const HallApi = RoomApi.make("hall", { key: Hall, events, member: Schema.String })
export type HallEvent = RoomApi.RoomEvent<typeof events>
export type HallRoom = Room.Room<Hall, typeof events, string>
export class Halls extends Rooms.Service<Halls>()("test/Halls", HallApi) {}
export class News extends Channels.Service<News>()("test/News", { key: Hall, message: Schema.String }) {}

/** What was encoded, by route. */
export interface Encodings {
  full: number
  brief: number
}

/** A schema that counts how often it encodes. */
const counting = <A>(schema: Schema.Codec<A, unknown>, count: () => void): Schema.Codec<A, unknown> =>
  schema.pipe(
    Schema.decodeTo(Schema.toType(schema), {
      decode: SchemaGetter.transform((value: A) => value),
      encode: SchemaGetter.transform((value: A) => {
        count()
        return value
      })
    })
  )

const Event = Schema.Union([
  Schema.Struct({ event: Schema.Literal("said"), data: events.said }),
  Schema.Struct({ event: Schema.Literal("counted"), data: events.counted })
])
const Full = Schema.Union([Schema.String, Event])
export type Full = typeof Full.Type

/** What a connection of the tests carries about. */
export class Notes {
  readonly name: string
  greeted = 0
  constructor(name: string) {
    this.name = name
  }
}

const query = { name: Schema.optionalKey(Schema.String) }

/** What the messages of the other route are made with. */
export const inBrief = ({ data }: HallEvent): string => String(data)

const makeRoutes = (encodings: Encodings) => ({
  full: WebSocketRoute.make("/full", {
    query,
    incoming: Schema.String,
    outgoing: counting(Full, () => encodings.full++),
    data: ({ query: { name } }) => new Notes(name ?? "nobody")
  }),
  brief: WebSocketRoute.make("/brief", {
    query,
    incoming: Schema.String,
    outgoing: counting(Schema.String, () => encodings.brief++),
    data: ({ query: { name } }) => new Notes(name ?? "nobody")
  })
})

type Query = { readonly name?: string }
export type FullSession = WebSocketRoute.Session<string, Full, {}, Query, undefined, Notes>
export type BriefSession = WebSocketRoute.Session<string, string, {}, Query, undefined, Notes>

/** What a test lets handlers do with a message. */
export type OnText = (session: FullSession, text: string) => Effect.Effect<unknown, unknown, Halls | News | Scope.Scope>

/** A client with the session at its other end. */
export interface Visitor<Session> extends Disposable {
  readonly client: Client
  readonly session: Session
  readonly connection: Connection.Connection<undefined, Notes>
}

export class Place implements AsyncDisposable {
  readonly server: TestServer<Halls | News>
  readonly encodings: Encodings
  readonly routes: ReturnType<typeof makeRoutes>
  readonly #full: Array<FullSession>
  readonly #brief: Array<BriefSession>
  readonly #way: Way
  readonly #scopes: Array<Scope.Closeable> = []
  #visited = 0

  constructor(
    way: Way,
    server: TestServer<Halls | News>,
    encodings: Encodings,
    routes: ReturnType<typeof makeRoutes>,
    sessions: { readonly full: Array<FullSession>; readonly brief: Array<BriefSession> }
  ) {
    this.#way = way
    this.server = server
    this.encodings = encodings
    this.routes = routes
    this.#full = sessions.full
    this.#brief = sessions.brief
  }

  async #visit<S extends FullSession | BriefSession>(
    path: string,
    sessions: Array<S>,
    options: ConnectOptions = this.#way.client
  ): Promise<Visitor<S>> {
    const name = `${path}-${++this.#visited}`
    const client = await connect(this.server.url(`/${path}?name=${name}`), options)
    const found = () => sessions.find(({ query: { name: of } }) => of === name)
    await eventually(() => found() !== undefined)
    const session = found()!
    return {
      client,
      session,
      connection: session.connection,
      [Symbol.dispose]: () => client[Symbol.dispose]()
    }
  }

  /** Connects as the way does it, or otherwise. */
  full(options?: ConnectOptions): Promise<Visitor<FullSession>> {
    return this.#visit("full", this.#full, options)
  }

  brief(): Promise<Visitor<BriefSession>> {
    return this.#visit("brief", this.#brief)
  }

  /** Runs in a scope that closes with the test, or when the test says so. */
  async hold<A, E>(
    effect: Effect.Effect<A, E, Halls | News | Scope.Scope>
  ): Promise<{ readonly value: A; readonly end: () => Promise<void> }> {
    const scope = Scope.makeUnsafe()
    this.#scopes.push(scope)
    const value = await this.run(Scope.provide(effect, scope))
    return { value, end: () => this.run(Scope.close(scope, Exit.void)) }
  }

  run<A, E>(effect: Effect.Effect<A, E, Halls | News>): Promise<A> {
    return this.server.run(effect)
  }

  /** A room, for use outside of the services. */
  room(name: string): Promise<HallRoom> {
    return this.run(Effect.map(Halls, (halls) => halls.get(Hall.ref.make(name))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const scope of this.#scopes) await this.run(Scope.close(scope, Exit.void))
    await this.server[Symbol.asyncDispose]()
  }
}

/** Starts a server with both routes; handlers wait for messages until their connection ends. */
export const openPlace = async (way: Way, onText: OnText = () => Effect.void): Promise<Place> => {
  const encodings = { full: 0, brief: 0 }
  const routes = makeRoutes(encodings)
  const sessions = { full: [] as Array<FullSession>, brief: [] as Array<BriefSession> }
  const live = Layer.mergeAll(
    WebSocketRoute.layer(routes.full, (session) => {
      sessions.full.push(session)
      return Stream.runForEach(session.messages.stream, (text) => onText(session, text))
    }),
    WebSocketRoute.layer(routes.brief, (session) => {
      sessions.brief.push(session)
      return Stream.runDrain(session.messages.stream)
    })
  )
  const server = await startServer({
    routes: live,
    services: Layer.merge(Halls.layer, News.layer),
    server: way.server,
    createServer: way.createServer
  })
  return new Place(way, server, encodings, routes, sessions)
}

/** A place with members of one of its halls on the full route, in the order of their joins. */
export const openHall = async (way: Way, size: number) => {
  const place = await openPlace(way)
  const room = await place.room("hall")
  const visitors = await Promise.all(Array.from({ length: size }, () => place.full()))
  for (const { session } of visitors) await place.hold(session.join(room, "member"))
  return {
    place,
    room,
    visitors,
    [Symbol.asyncDispose]: async () => {
      for (const visitor of visitors) visitor[Symbol.dispose]()
      await place[Symbol.asyncDispose]()
    }
  }
}

export const said = (data: string): HallEvent => ({ event: "said", data })
export const counted = (data: number): HallEvent => ({ event: "counted", data })
