/**
 * A server on which a connection touches everything there is: rooms with and without handlers, a forwarded channel,
 * presence, a user, the rooms of an event router. And a look at what is left of it.
 */
import { Channels, Presence, Ref, RoomApi, Rooms, Subscription } from "effect-rooms"
import { EventRouter, type Limits, RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { startServer, type TestServer } from "./wsServer.ts"

export class Place extends Ref.Entity<Place>()("Place") {}
export class User extends Ref.Entity<User>()("User") {}

const events = { said: Schema.String }
const HallApi = RoomApi.make("hall", { key: Place, events, member: Schema.String })
const TableApi = RoomApi.make("table", { key: Place, events, member: Schema.String })

/** Rooms without handlers. */
export class Halls extends Rooms.Service<Halls>()("estate/Halls", HallApi) {}
/** Rooms with handlers, whose actors go as soon as nobody is in. */
export class Tables extends Rooms.Service<Tables>()("estate/Tables", TableApi, { maxIdleTime: 0 }) {}
export class News extends Channels.Service<News>()("estate/News", { key: Place, message: Schema.String }) {}
export class Online extends Presence.Service<Online>()("estate/Online", { room: Place, user: User }) {}

export type Services = Halls | Tables | News | Online

const services = Layer.mergeAll(
  Halls.layer,
  Tables.toLayer(() => Effect.succeed({ onJoin: () => Effect.void, onLeave: () => Effect.void })),
  News.layer,
  Online.layer
)

export const hall = Place.ref`hall`

const Event = Schema.Struct({ event: Schema.Literal("said"), data: Schema.String })
const route = WebSocketRoute.make("/estate/:user", {
  params: { user: User.ref.schema },
  incoming: Schema.String,
  outgoing: Schema.Union([Schema.String, Event]),
  authenticate: ({ request }) => Effect.succeed(User.ref.make(request.url.split("/").at(-1)!)),
  user: (user) => user
})

/** The ways in which a handler ends, asked for by what is said. */
const ends: Readonly<Record<string, Effect.Effect<unknown, string>>> = {
  "/die": Effect.die(new Error("a defect")),
  "/fail": Effect.fail("a failure"),
  "/interrupt": Effect.interrupt,
  "/timeout": Effect.timeoutOrElse(Effect.never, {
    duration: "1 second",
    orElse: () => Effect.fail("it took too long")
  }),
  "/hang": Effect.never
}

/** Moves in everywhere, says so, and echoes what is no end. */
const EstateLive = WebSocketRoute.layer(
  route,
  Effect.fnUntraced(function* ({ connection, forward, join, messages, principal, send }) {
    const halls = yield* Halls
    const tables = yield* Tables
    yield* join(halls.get(hall), connection.id)
    yield* halls.get(Place.ref.make(connection.id)).join(connection.id)
    yield* join(tables.get(Place.ref.make(connection.id)), connection.id)
    yield* forward(yield* News, hall)
    yield* (yield* Online).track(hall, principal, { device: "tab" })
    send("moved in")
    yield* Stream.runForEach(messages.stream, (text) => ends[text] ?? Effect.sync(() => send(text)))
  })
)

const EventsLive = EventRouter.layer("/events", [
  EventRouter.on("join", "/:room", { data: Schema.Null }, ({ join }) => join()),
  EventRouter.on("die", "/:room", { data: Schema.Null }, () => Effect.die(new Error("a defect")))
])

const internals = RoomsServer.RoomsServer as unknown as Effect.Effect<RoomsServer.RoomsServer["Service"]>

const sum = (rooms: ReadonlyArray<{ readonly size: number }>) => rooms.reduce((all, { size }) => all + size, 0)

/** Bytes that go out when something is published. */
const bytesOf = (publish: Effect.Effect<void>): Effect.Effect<number> =>
  Effect.suspend(() => {
    let bytes = 0
    const quota = { join: () => "granted" as const, leave: () => undefined, charge: (cost: number) => (bytes += cost) }
    const counting = Effect.provideService(publish, Subscription.CurrentReceiver, { id: "nobody", quota })
    return Effect.map(counting, () => bytes)
  })

/** The test's clock, with a wall time that jumps while its monotonic time goes on. */
class JumpingClock {
  #offset = 0

  jump(millis: number): void {
    this.#offset += millis
  }

  readonly layer = Layer.effect(
    Clock.Clock,
    // A test clock is a record of functions; the test moves it through this one.
    Effect.map(Clock.Clock, (clock) =>
      Object.assign({}, clock, {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + this.#offset,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (millis) => millis + this.#offset),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(this.#offset) * 1_000_000n,
        currentTimeNanos: Effect.map(clock.currentTimeNanos, (nanos) => nanos + BigInt(this.#offset) * 1_000_000n)
      })
    )
  )
}

export interface Estate extends AsyncDisposable {
  readonly server: TestServer<Services>
  /** Sets the wall clock forward, or back. */
  readonly jump: (millis: number) => void
  /** What there is of connections, everywhere. */
  readonly census: () => Promise<Readonly<Record<string, number>>>
}

/** Opens it for as long as the test lasts; time stands still. */
export const openEstate = async (limits: Partial<Limits.Limits> = {}): Promise<Estate> => {
  const clock = new JumpingClock()
  const server = await startServer({
    routes: Layer.mergeAll(EstateLive, EventsLive),
    services: Layer.provideMerge(services, clock.layer),
    testClock: true,
    server: { limits }
  })
  const { acceptor, directory } = await server.run(internals)
  const census = () =>
    server.run(
      Effect.gen(function* () {
        const halls = yield* Halls
        const tables = yield* Tables
        const news = yield* News
        const online = yield* Online
        return {
          peers: acceptor.peers.size,
          directory: directory.entries.size,
          route: directory.route(route)?.entries.size ?? 0,
          seats: directory.route(route)?.everybody.size ?? 0,
          hallMembers: sum(yield* halls.list),
          tableMembers: sum(yield* tables.list),
          actors: yield* tables.actors,
          hubs: yield* news.size,
          forwarded: yield* news.subscriberCount(hall),
          hallBytes: yield* bytesOf(halls.get(hall).broadcast("said", "anybody?")),
          present: yield* online.size,
          gauge: server.metric("effect_rooms_connections"),
          roomGauge: server.metric("effect_rooms_rooms"),
          memberGauge: server.metric("effect_rooms_room_members")
        }
      })
    )
  return {
    server,
    census,
    jump: (millis) => clock.jump(millis),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

/** What there is of connections when there are none. */
export const nobody: Readonly<Record<string, number>> = {
  peers: 0,
  directory: 0,
  route: 0,
  seats: 0,
  hallMembers: 0,
  tableMembers: 0,
  actors: 0,
  hubs: 0,
  forwarded: 0,
  hallBytes: 0,
  present: 0,
  gauge: 0,
  roomGauge: 0,
  memberGauge: 0
}
