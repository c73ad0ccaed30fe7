/**
 * What a connection may do with rooms: how many it joins, how often, and how much it makes the server send.
 */
import { assert, describe, it } from "@effect/vitest"
import { Ref, RoomApi, type RoomError, Rooms } from "effect-rooms"
import { EventRouter, Limits, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Client, connect, eventually } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class Place extends Ref.Entity<Place>()("Place") {}
const PlaceApi = RoomApi.make("place", { key: Place, events: { said: Schema.String }, member: Schema.Undefined })
class Places extends Rooms.Service<Places>()("test/Places", PlaceApi, { maxRooms: 1000 }) {}

/** The ways to join: both are of the same connection. */
const RoomsLive = WebSocketRoute.layer(
  WebSocketRoute.make("/rooms", {
    incoming: Schema.Struct({
      action: Schema.Literals(["join", "joinOnly", "leave", "look", "say"]),
      room: Schema.String,
      text: Schema.optionalKey(Schema.String)
    }),
    outgoing: Schema.Union([Schema.Struct({ event: Schema.String, data: Schema.String }), Schema.String])
  }),
  Effect.fnUntraced(function* ({ join, leave, messages, send }) {
    const places = yield* Places
    yield* Stream.runForEach(messages.stream, ({ action, room, text = "" }) => {
      const place = places.get(Place.ref.make(room))
      const actions = {
        join: join(place, undefined),
        joinOnly: place.join(undefined),
        leave: leave(place),
        look: Effect.all([place.size, place.members]),
        say: place.publish("said", text)
      }
      const done: Effect.Effect<unknown, RoomError.RoomError> = actions[action] as never
      return Effect.matchEffect(done, {
        onSuccess: () => Effect.sync(() => send("ok")),
        onFailure: ({ reason }) => Effect.sync(() => send(reason._tag))
      })
    })
  })
)

const EventsLive = EventRouter.layer("/events", [
  EventRouter.on("join", "/:room", { data: Schema.Null }, ({ join }) => join()),
  EventRouter.on("leave", "/:room", { data: Schema.Null }, ({ leave }) => leave()),
  EventRouter.on("say", "/:room", { data: Schema.String }, ({ broadcast, data }) => broadcast("said", data))
])

const routes = Layer.mergeAll(RoomsLive, EventsLive)
const start = (limits: Partial<Limits.Limits>) =>
  startServer({ routes, services: Places.layer, testClock: true, server: { limits } })
type Server = Awaited<ReturnType<typeof start>>

/** Asks for one thing, or for many at once, and hears the answers in a word; before them may come what others have said. */
const asker = (client: Client, path: "/rooms" | "/events") => {
  const next = async (): Promise<string> => {
    const heard = (await client.next()) as
      | string
      | { readonly event?: string; readonly code?: string; readonly error?: { readonly code: string } }
    if (typeof heard === "string") return heard
    if (heard.event !== undefined) return next()
    return heard.error?.code ?? heard.code ?? "ok"
  }
  const send = (action: string, room: string, text?: string): void => {
    if (path === "/rooms") client.send({ action, room, ...(text === undefined ? {} : { text }) })
    else client.send({ event: action, path: `/${room}`, data: text ?? null, id: 1 })
  }
  return {
    ask: (action: string, room: string, text?: string): Promise<string> => {
      send(action, room, text)
      return next()
    },
    /** How often there was which answer. */
    askAll: async (action: string, rooms: ReadonlyArray<string>, text?: string): Promise<Record<string, number>> => {
      for (const room of rooms) send(action, room, text)
      const answers: Record<string, number> = {}
      for (let left = rooms.length; left > 0; left--) {
        const answer = await next()
        answers[answer] = (answers[answer] ?? 0) + 1
      }
      return answers
    }
  }
}
const names = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, n) => `room-${n}`)
const enter = async (server: Server, path: "/rooms" | "/events") => {
  const client = await connect(server.url(path))
  return { client, ...asker(client, path), [Symbol.dispose]: () => client[Symbol.dispose]() }
}

const placesOf = (server: Server) => server.run(Effect.flatMap(Places, ({ list }) => list))
const refusals = (server: Server, kind: string, reason: string) =>
  server.metric("effect_rooms_room_refusals", { kind, reason })

/** The ways to join, what is said where too much is asked, and the kind of room it is counted under. */
const ways = [
  { path: "/rooms", how: "join", often: "TooManyJoins", many: "TooManyRooms", kind: "place" },
  { path: "/rooms", how: "joinOnly", often: "TooManyJoins", many: "TooManyRooms", kind: "place" },
  { path: "/events", how: "join", often: "too_many_joins", many: "too_many_rooms", kind: "events" }
] as const

describe.each(ways)("$how on $path", ({ how, kind, many, often, path }) => {
  it("SEC11: joins are bounded in their rate, and go on when time has passed", async () => {
    const { joinBurst, joinsPerSecond } = Limits.defaults
    await using server = await start({ joinBurst, joinsPerSecond })
    using alice = await enter(server, path)
    assert.deepStrictEqual(await alice.askAll(how, names(20)), { ok: 20 })
    assert.strictEqual(await alice.ask(how, "room-20"), often)
    assert.strictEqual(refusals(server, kind, "TooManyJoins"), 1)
    using bob = await enter(server, path)
    assert.strictEqual(await bob.ask(how, "room-20"), "ok")
    await server.adjust("100 millis")
    assert.strictEqual(await alice.ask(how, "room-20"), "ok")
    assert.strictEqual(await alice.ask(how, "room-21"), often)
  })

  it("SEC13: a connection is in 128 rooms at most, and one it leaves makes room for another", async () => {
    const { roomsPerConnection } = Limits.defaults
    await using server = await start({ roomsPerConnection })
    using alice = await enter(server, path)
    assert.deepStrictEqual(await alice.askAll(how, names(128)), { ok: 128 })
    assert.strictEqual(await alice.ask(how, "room-128"), many)
    assert.strictEqual(refusals(server, kind, "TooManyRooms"), 1)
    assert.strictEqual(await alice.ask("leave", "room-7"), "ok")
    assert.strictEqual(await alice.ask(how, "room-128"), "ok")
    assert.strictEqual(await alice.ask(how, "room-7"), many)
    using bob = await enter(server, path)
    assert.strictEqual(await bob.ask(how, "room-7"), "ok")
  })

  it("SEC13: a flood of names makes as many rooms as the rate lets it, and nothing of it stays behind", async () => {
    const { joinBurst, joinsPerSecond } = Limits.defaults
    // A message to anybody would be too much.
    await using server = await start({ joinBurst, joinsPerSecond, fanOutBytesPerSecond: 1 })
    using flooder = await enter(server, path)
    assert.deepStrictEqual(await flooder.askAll(how, names(5000)), { ok: 20, [often]: 4980 })
    assert.strictEqual((await placesOf(server)).length, path === "/rooms" ? 20 : 0)
    flooder.client.reset()
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.deepStrictEqual(await placesOf(server), [])
    using after = await enter(server, path)
    assert.deepStrictEqual(await after.askAll("say", names(20), "anybody?"), { ok: 20 })
  })
})

describe("SEC13: rooms", () => {
  it("of one connection are counted together, whichever way it joins", async () => {
    await using server = await start({ roomsPerConnection: 2 })
    using alice = await enter(server, "/rooms")
    assert.strictEqual(await alice.ask("join", "a"), "ok")
    assert.strictEqual(await alice.ask("joinOnly", "b"), "ok")
    assert.strictEqual(await alice.ask("join", "c"), "TooManyRooms")
    assert.strictEqual(await alice.ask("joinOnly", "c"), "TooManyRooms")
  })

  it("joined again take no second place", async () => {
    await using server = await start({ roomsPerConnection: 3 })
    using alice = await enter(server, "/rooms")
    for (let n = 0; n < 5; n++) assert.strictEqual(await alice.ask("join", "a"), "ok")
    assert.strictEqual(await alice.ask("join", "b"), "ok")
    assert.strictEqual(await alice.ask("join", "c"), "ok")
    assert.strictEqual(await alice.ask("join", "d"), "TooManyRooms")
  })

  it("are not made by asking about them, or by publishing to them", async () => {
    await using server = await start({})
    using alice = await enter(server, "/rooms")
    assert.deepStrictEqual(await alice.askAll("look", names(5000)), { ok: 5000 })
    assert.deepStrictEqual(await alice.askAll("say", names(5000), "anybody?"), { ok: 5000 })
    assert.deepStrictEqual(await placesOf(server), [])
  })

  it("there are a bounded number of, whoever joins them", async () => {
    await using server = await start({})
    using alice = await enter(server, "/rooms")
    using bob = await enter(server, "/rooms")
    assert.deepStrictEqual(await alice.askAll("join", names(1000)), { ok: 1000 })
    assert.strictEqual(await bob.ask("join", "one-more"), "TooManyRooms")
    assert.strictEqual(await bob.ask("join", "room-1"), "ok")
    assert.strictEqual(await alice.ask("leave", "room-2"), "ok")
    assert.strictEqual(await bob.ask("join", "one-more"), "ok")
  })

  it("of an event router are bounded as well", async () => {
    const SmallLive = EventRouter.layer(
      "/small",
      [EventRouter.on("join", "/:room", { data: Schema.Null }, ({ join }) => join())],
      { maxRooms: 2 }
    )
    await using server = await startServer({ routes: SmallLive })
    using client = await connect(server.url("/small"))
    const { ask } = asker(client, "/events")
    const answers: Array<string> = []
    for (const room of ["a", "b", "c", "a"]) answers.push(await ask("join", room))
    assert.deepStrictEqual(answers, ["ok", "ok", "too_many_rooms", "ok"])
    using other = await connect(server.url("/small"))
    assert.strictEqual(await asker(other, "/events").ask("join", "b"), "ok")
  })
})

describe.each(["/rooms", "/events"] as const)("SEC12: on %s", (path) => {
  const reason = "fan_out_rate"
  const text = "x".repeat(250)

  it("who makes the server send more than it may is not heard until that is made up for; others are", async () => {
    await using server = await start({ fanOutBytesPerSecond: 1000 })
    const members = await Promise.all(Array.from({ length: 5 }, () => enter(server, path)))
    for (const { ask } of members) assert.strictEqual(await ask("join", "a"), "ok")
    const [alice, bob, ...others] = members as [(typeof members)[0], (typeof members)[0], ...typeof members]
    const refused = () => server.metric("effect_rooms_invalid_messages", { route: path, reason })
    // About 1,500 bytes to the members of the room.
    assert.strictEqual(await alice.ask("say", "a", text), "ok")
    assert.strictEqual(await alice.ask("say", "a", "unheard"), "rate_limited")
    assert.strictEqual(await bob.ask("say", "a", "heard"), "ok")
    assert.strictEqual(refused(), 1)
    await server.adjust("2 seconds")
    assert.strictEqual(await alice.ask("say", "a", "heard again"), "ok")
    for (const { client } of others) {
      await eventually(() => client.messages.length === 4)
      const texts = client.messages.slice(1).map((message) => (message as { readonly data: string }).data)
      assert.deepStrictEqual(texts, [text, "heard", "heard again"])
    }
    for (const { client } of members) client.socket.terminate()
  })

  it("what goes out to nobody costs nothing", async () => {
    await using server = await start({ fanOutBytesPerSecond: 1000 })
    using alice = await enter(server, path)
    assert.deepStrictEqual(await alice.askAll("say", names(20), text), { ok: 20 })
  })
})
