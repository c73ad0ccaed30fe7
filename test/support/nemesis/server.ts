/**
 * One node of the fault test, in a process of its own: rooms, a channel and presence behind one WebSocket route, over the
 * bus its environment names. Prints lines of JSON: what it logs, and its port once it listens.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Channels, Presence, Ref, RoomApi, Rooms } from "effect-rooms"
import { Cluster, NatsBus, PostgresBus, RedisBus } from "effect-rooms/cluster"
import { Limits, RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import { feedsOf, roomName } from "./protocol.ts"
import type { View } from "./views.ts"

class Room extends Ref.Entity<Room>()("Room") {}
class User extends Ref.Entity<User>()("User") {}

const said = { room: Schema.String, by: Schema.String, seq: Schema.Int }

class Lines extends Channels.Service<Lines>()("nemesis/Lines", {
  key: Room,
  message: Schema.Struct(said),
  prefix: "line:"
}) {}

const HallApi = RoomApi.make("hall", {
  key: Room,
  events: { said: Schema.Struct(said) },
  member: Schema.Struct({ session: Schema.String })
})
class Halls extends Rooms.Service<Halls>()("nemesis/Halls", HallApi) {}

class Devices extends Presence.Service<Devices>()("nemesis/Devices", { room: Room, user: User }) {}

const feed = Schema.String
const Outgoing = Schema.Union([
  Schema.Struct({ type: Schema.Literal("entered") }),
  Schema.Struct({ type: Schema.Literal("said"), feed, by: Schema.String, seq: Schema.Int }),
  Schema.Struct({
    type: Schema.Literal("acked"),
    feed,
    seq: Schema.Int,
    reached: Schema.Literals(["everyone", "local-only", "here"])
  }),
  Schema.Struct({
    type: Schema.Literal("gap"),
    feed,
    missed: Schema.Int,
    reason: Schema.Literals(["slow", "network"])
  })
])
type Outgoing = typeof Outgoing.Type

const Route = WebSocketRoute.make("/connect", {
  query: { id: Schema.String, session: Schema.String, user: Schema.String, rooms: Schema.String },
  incoming: Schema.Union([
    Schema.Struct({ type: Schema.Literal("enter") }),
    Schema.Struct({
      type: Schema.Literal("say"),
      kind: Schema.Literals(["line", "hall"]),
      room: Room.ref.schema,
      seq: Schema.Int
    })
  ]),
  // A node that was frozen finds handshakes of clients that are elsewhere by now. They must not take devices over.
  clientSpeaksFirst: true,
  outgoing: Outgoing,
  gap: ({ kind, missed, reason, room }): Outgoing => ({ type: "gap", feed: `${kind}/${room}`, missed, reason })
})
type Incoming = typeof Route.options.incoming.Type
type Say = Extract<Incoming, { readonly type: "say" }>

interface Message {
  readonly room: string
  readonly by: string
  readonly seq: number
}
const fromLine = ({ by, room, seq }: Message): Outgoing => ({ type: "said", feed: feedsOf(room)[0], by, seq })
const fromHall = ({ data: { by, room, seq } }: { readonly data: Message }): Outgoing => ({
  type: "said",
  feed: feedsOf(room)[1],
  by,
  seq
})

const RouteLive = WebSocketRoute.layer(
  Route,
  Effect.fnUntraced(function* ({ forward, join, messages, query, send }) {
    const { id, session, user } = query
    const [devices, halls, lines] = [yield* Devices, yield* Halls, yield* Lines]
    const enter = Effect.fnUntraced(function* (name: string) {
      const room = Room.ref.make(name)
      // A client may go while it comes.
      yield* Effect.catchReason(
        join(halls.get(room), { session }, fromHall),
        "RoomError",
        "MemberGone",
        () => Effect.void
      )
      yield* forward(lines, room, fromLine)
      yield* devices.track(room, User.ref.make(user), { device: session })
    })
    const say = Effect.fnUntraced(function* ({ kind, room, seq }: Say) {
      const message = { room: room.identifier, by: id, seq }
      const [line, hall] = feedsOf(room.identifier)
      if (kind === "hall") {
        yield* halls.get(room).broadcast("said", message)
        return void send({ type: "acked", feed: hall, seq, reached: "here" })
      }
      // Not waited for: the next one is published while the bus is still busy with this.
      const acked = Effect.map(lines.publishAck(room, message), ({ reached }) =>
        send({ type: "acked", feed: line, seq, reached })
      )
      yield* Effect.forkChild(acked, { startImmediately: true })
    })
    const enterAll = Effect.andThen(
      Effect.forEach(query.rooms.split(","), enter, { concurrency: "unbounded", discard: true }),
      Effect.sync(() => void send({ type: "entered" }))
    )
    yield* messages.runForEach((message) => (message.type === "enter" ? enterAll : say(message)))
  })
)

const settings = Config.all({
  bus: Config.Redacted("BUS"),
  node: Config.String("NODE_NAME"),
  rooms: Config.Int("ROOMS"),
  secret: Config.Redacted("CLUSTER_SECRET")
})

const busOf = (address: Redacted.Redacted) => {
  const text = Redacted.value(address)
  if (text.startsWith("redis:")) return RedisBus.layer({ url: address })
  if (text.startsWith("nats:")) return NatsBus.layer({ servers: text.replace("nats://", "") })
  return PostgresBus.layer({ url: address })
}

const ClusterLive = Layer.unwrap(
  Effect.map(settings, ({ bus, node, secret }) =>
    Cluster.layer({ namespace: "nemesis", node, secret }).pipe(Layer.provide(busOf(bus)))
  )
)

const view = Effect.gen(function* () {
  const { health, nodes } = yield* Cluster.Cluster
  const { rooms: count } = yield* settings
  const [devices, halls] = [yield* Devices, yield* Halls]
  const all = yield* nodes
  const rooms = Array.from({ length: count }, (_, index) => roomName(index))
  const perRoom = yield* Effect.forEach(rooms, (name) =>
    Effect.gen(function* () {
      const room = Room.ref.make(name)
      const everyone = yield* halls.get(room).everyone
      const { members } = yield* halls.get(room).count
      const listing = yield* devices.list(room)
      const present = (listing._tag === "Snapshot" ? listing.entries : []).flatMap(({ devices: some, user }) =>
        some.map(({ device, unstable }) => `${user.identifier}/${device}${unstable ? "?" : ""}`)
      )
      return { name, members, present, sessions: everyone.map(({ data }) => data.session) }
    })
  )
  const answer: View = {
    up: all.filter(({ status }) => status === "up").map(({ name }) => name),
    stale: all.filter(({ stale }) => stale).map(({ name }) => name),
    bus: (yield* health)._tag,
    halls: Object.fromEntries(perRoom.map(({ name, sessions }) => [name, sessions])),
    counts: Object.fromEntries(perRoom.map(({ members, name }) => [name, members])),
    present: Object.fromEntries(perRoom.map(({ name, present }) => [name, present]))
  }
  return HttpServerResponse.jsonUnsafe(answer)
})

const Listening = Layer.effectDiscard(
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    if (address._tag !== "UnixPathAddress") console.log(JSON.stringify({ port: address.port }))
  })
)

Listening.pipe(
  Layer.provideMerge(
    HttpRouter.serve(Layer.mergeAll(RouteLive, HttpRouter.add("GET", "/view", Effect.orDie(view))), {
      disableLogger: true,
      disableListenLog: true
    })
  ),
  Layer.provide([
    Lines.layer,
    Halls.layer,
    Devices.layer,
    // All clients come from one address.
    RoomsServer.layer(createServer, {
      host: "127.0.0.1",
      port: 0,
      allowNonBrowsers: true,
      limits: Limits.trusted,
      drain: { retryWithin: "1 second" }
    })
  ]),
  // Around everything that is to reach the other nodes.
  Layer.provide(ClusterLive),
  Layer.provide(Logger.layer([Logger.consoleJson])),
  Layer.launch,
  NodeRuntime.runMain
)
