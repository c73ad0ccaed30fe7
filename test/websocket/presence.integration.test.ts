/**
 * Presence over real sockets: what others are told when connections end in every way, and what clients can change.
 */
import { assert, describe, it } from "@effect/vitest"
import { Presence, Ref } from "effect-rooms"
import { Authenticator, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drain } from "../support/channels.ts"
import { type Client, connect, connectRaw, eventually, frame, handshake, signal } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class Room extends Ref.Entity<Room>()("Room") {}
class User extends Ref.Entity<User>()("User") {}
const general = Room.ref`general`

const Meta = Schema.Struct({ color: Schema.Literals(["red", "green"]), note: Schema.optionalKey(Schema.String) })
type Meta = typeof Meta.Type
type Change = Presence.Change<User, Meta>

class Online extends Presence.Service<Online>()("test/Online", { room: Room, user: User, meta: Meta }) {}

const changes = Presence.changeSchema({ user: User, meta: Meta })

/** The token is the name. */
const authenticate: Authenticator.Authenticator<{ readonly name: string }> = ({ token }) =>
  token === undefined ? Authenticator.unauthenticated : Effect.succeed({ name: Redacted.value(token) })

const Status = Schema.Literals(["online", "away", "busy"])

/** Clients may say more than the route asks for, such as who they claim to be. */
const RoomRoute = WebSocketRoute.make("/room/:room", {
  params: { room: Room.ref.schema },
  query: { device: Schema.optionalKey(Schema.String), user: Schema.optionalKey(Schema.String) },
  // Presence has to check metadata by itself: not every application describes it in its messages.
  incoming: Schema.Struct({ status: Schema.optionalKey(Status), meta: Schema.optionalKey(Schema.Json) }),
  outgoing: Schema.Struct({ answer: Schema.Union([Schema.Boolean, Schema.String]) }),
  authenticate
})

/** Tracks who is connected, and sets what it is told to. */
const RoomLive = WebSocketRoute.layer(
  RoomRoute,
  Effect.fnUntraced(function* ({ messages, params, principal, query, send }) {
    const online = yield* Online
    const user = User.ref.make(principal.name)
    const tracked = yield* online.track(params.room, user, { device: query.device, meta: { color: "red" } })
    send({ answer: "hello" })
    yield* Stream.runForEach(messages.stream, ({ meta, status }) => {
      if (meta === "/end") return Effect.interrupt
      if (meta === "/die") return Effect.die(new Error("a defect"))
      return Effect.map(Effect.result(tracked.update({ status, meta: meta as unknown as Meta })), (updated) =>
        send({ answer: Result.isSuccess(updated) ? updated.success : updated.failure.reason })
      )
    })
  })
)

/** Sends whoever asks what changes. */
const WatchLive = WebSocketRoute.layer(
  WebSocketRoute.make("/watch/:room", {
    params: { room: Room.ref.schema },
    incoming: Schema.String,
    outgoing: changes
  }),
  Effect.fnUntraced(function* ({ params, send }) {
    const reader = yield* (yield* Online).changes(params.room)
    yield* Stream.runForEach(reader.stream, (change) => Effect.sync(() => send(change)))
  })
)

const start = async (limits: { readonly pingInterval: "1 hour" | "20 seconds" } = { pingInterval: "1 hour" }) => {
  const server = await startServer({
    routes: Layer.mergeAll(RoomLive, WatchLive),
    services: Online.layer,
    server: { limits },
    testClock: true
  })
  const reader = await server.run(
    Effect.flatMap(Online, (online) => Scope.provide(online.changes(general), Scope.makeUnsafe()))
  )
  drain(reader)
  const get = (name: string) =>
    server.run(Effect.flatMap(Online, (online) => online.get(general, User.ref.make(name)))).then(Option.getOrUndefined)
  return {
    server,
    get,
    /** What was told since the last time, after the window that is open. */
    told: async () => {
      await server.adjust("100 millis")
      return drain(reader).flatMap(lines)
    },
    enter: async (name: string, query = "", options = {}) => {
      const headers = { Authorization: `Bearer ${name}` }
      const client = await connect(server.url(`/room/general?${query}`), { headers, ...options })
      assert.deepStrictEqual(await client.next(), { answer: "hello" })
      return client
    },
    /** Until the server has got so far, while time stands still. */
    isUnstable: (name: string) => eventually(async () => (await get(name))?.unstable === true),
    isGone: (name: string) => eventually(async () => (await get(name)) === undefined),
    hasConnections: (count: number) =>
      eventually(() => server.metric("effect_rooms_connections", { route: "/room/:room" }) === count),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

/** A change in short, one line for each user, with the devices there are. */
const lines = (change: Change): ReadonlyArray<string> => {
  if (change._tag === "Counts") return ["counts"]
  if (change._tag === "Snapshot") return change.entries.map((entry) => `= ${entry.user.identifier}`)
  return change.events.map((event) => {
    if (event._tag === "Leave") return `- ${event.user.identifier} ${event.reason}`
    const { devices, unstable, user } = event.entry
    return `${event._tag === "Enter" ? "+" : "~"} ${user.identifier} ${devices.length}${unstable ? " unstable" : ""}`
  })
}

const ask = async (client: Client, message: unknown): Promise<unknown> => {
  client.send(message)
  return ((await client.next()) as { readonly answer: unknown }).answer
}

describe("P6: a user whose socket is lost", () => {
  it.each([
    ["reset", (client: Client) => client.reset()],
    ["terminated without a close frame", (client: Client) => client.socket.terminate()]
  ])("is unstable at once and has left after 15 seconds: %s", async (_how, lose) => {
    await using place = await start()
    using client = await place.enter("alice")
    assert.deepStrictEqual(await place.told(), ["+ alice 1"])
    lose(client)
    await place.isUnstable("alice")
    await place.hasConnections(0)
    assert.deepStrictEqual(await place.told(), ["~ alice 1 unstable"])
    await place.server.adjust("14800 millis")
    assert.isTrue((await place.get("alice"))?.unstable, "the scope of the handler has closed long ago")
    await place.server.adjust("5200 millis")
    assert.deepStrictEqual(await place.told(), ["- alice dropped"])
  })

  it("is unstable when a silent peer is given up, and has left 15 seconds later", async () => {
    await using place = await start({ pingInterval: "20 seconds" })
    using client = await place.enter("alice", "", { autoPong: false })
    await place.told()
    await place.server.adjust("21 seconds")
    await client.nextPing()
    assert.deepStrictEqual(await place.told(), [])
    await place.server.adjust("10 seconds")
    await place.isUnstable("alice")
    assert.deepStrictEqual(await place.told(), ["~ alice 1 unstable"])
    await place.server.adjust("20 seconds")
    assert.deepStrictEqual(await place.told(), ["- alice dropped"])
  })
})

describe("P5: a user who says goodbye", () => {
  it.each([1000, 1001, 4999])("has left in the same step, by close code %i", async (code) => {
    await using place = await start()
    using client = await place.enter("alice")
    await place.told()
    client.socket.close(code)
    await place.isGone("alice")
    assert.deepStrictEqual(await place.told(), ["- alice left"])
  })

  it("has left with the handler that ends, before its client has answered", async () => {
    await using place = await start()
    using raw = await connectRaw(place.server.port)
    raw.write(handshake("/room/general", { Authorization: "Bearer alice" }))
    await raw.until("hello")
    await place.told()
    raw.write(frame('{"meta":"/end"}'))
    await place.isGone("alice")
    await place.hasConnections(1)
    assert.deepStrictEqual(await place.told(), ["- alice left"])
  })

  it("and one whose handler died: nothing is left", async () => {
    await using place = await start()
    using client = await place.enter("alice")
    client.send({ meta: "/die" })
    assert.strictEqual((await client.closed).code, 1011)
    await place.isGone("alice")
  })
})

describe("P7: a client that comes back as the same device", () => {
  it("within the grace period has neither left nor entered", async () => {
    await using place = await start()
    using first = await place.enter("alice", "device=tab-1")
    assert.deepStrictEqual(await place.told(), ["+ alice 1"])
    first.reset()
    await place.isUnstable("alice")
    assert.deepStrictEqual(await place.told(), ["~ alice 1 unstable"])
    await place.server.adjust("14 seconds")
    using second = await place.enter("alice", "device=tab-1")
    assert.deepStrictEqual(await place.told(), ["~ alice 1"])
    await place.server.adjust("1 minute")
    assert.deepStrictEqual(await place.told(), [])
    assert.isTrue(await ask(second, { status: "busy" }))
    second.socket.close()
    await place.isGone("alice")
    assert.deepStrictEqual(await place.told(), ["- alice left"])
  })

  it("before the loss of the old connection is noticed has neither left nor entered", async () => {
    await using place = await start()
    using old = await place.enter("alice", "device=tab-1")
    await place.told()
    using fresh = await place.enter("alice", "device=tab-1")
    old.reset()
    await place.hasConnections(1)
    await place.server.adjust("1 minute")
    assert.isFalse((await place.get("alice"))?.unstable)
    assert.isTrue(await ask(fresh, { status: "online" }))
    assert.deepStrictEqual(await place.told(), [])
  })

  it("after the grace period has left and enters", async () => {
    await using place = await start()
    using first = await place.enter("alice", "device=tab-1")
    first.reset()
    await place.isUnstable("alice")
    await place.server.adjust("20 seconds")
    using _second = await place.enter("alice", "device=tab-1")
    assert.deepStrictEqual((await place.told()).slice(-2), ["- alice dropped", "+ alice 1"])
  })
})

const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0]
] as const

describe("BUG23: three tabs of one user", () => {
  for (const order of orders) {
    for (const end of ["close", "reset", "either"] as const) {
      it(`are one enter and one leave in the order ${order.join("")}, by ${end}`, async () => {
        await using place = await start()
        using first = await place.enter("alice")
        using second = await place.enter("alice")
        using third = await place.enter("alice")
        const tabs = [first, second, third]
        const told: Array<string> = [...(await place.told())]
        for (const [n, tab] of order.entries()) {
          const resets = end === "reset" || (end === "either" && tab % 2 === 0)
          if (resets) tabs[tab]!.reset()
          else tabs[tab]!.socket.close()
          await place.hasConnections(2 - n)
          told.push(...(await place.told()))
          assert.strictEqual((await place.get("alice")) === undefined, n === 2 && end === "close")
        }
        await place.server.adjust("20 seconds")
        told.push(...(await place.told()))
        assert.strictEqual(await place.get("alice"), undefined)
        assert.deepStrictEqual(
          told.filter((line) => !line.startsWith("~")),
          ["+ alice 3", end === "close" ? "- alice left" : "- alice dropped"]
        )
      })
    }
  }
})

describe("a connection that is gone before its handler comes to track it", () => {
  it("lets nobody in, and does not take over the device of the connection after it", async () => {
    const [begun, gone, mayTrack, tracked] = [signal(), signal(), signal(), signal<boolean>()]
    const Slow = WebSocketRoute.layer(
      WebSocketRoute.make("/slow", { incoming: Schema.String, outgoing: Schema.String }),
      Effect.fnUntraced(function* ({ connection, messages }) {
        connection.onClose(() => gone.fire())
        yield* messages.take
        begun.fire()
        yield* Effect.promise(() => mayTrack.promise)
        const online = yield* Online
        const late = yield* online.track(general, User.ref`alice`, { device: "tab-1", meta: { color: "green" } })
        yield* online.track(general, User.ref`bob`, { device: "tab-1", meta: { color: "green" } })
        tracked.fire(yield* late.update({ status: "busy" }))
      })
    )
    await using server = await startServer({
      routes: Layer.mergeAll(Slow, RoomLive),
      services: Online.layer,
      testClock: true
    })
    const list = () => server.run(Effect.flatMap(Online, (online) => online.list(general)))
    using slow = await connect(server.url("/slow"))
    slow.send("begin")
    await begun.promise
    slow.reset()
    await gone.promise
    const headers = { Authorization: "Bearer alice" }
    using other = await connect(server.url("/room/general?device=tab-1"), { headers })
    assert.deepStrictEqual(await other.next(), { answer: "hello" })
    mayTrack.fire()
    assert.isFalse(await tracked.promise)
    const listed = await list()
    assert(listed._tag === "Snapshot")
    assert.deepStrictEqual(
      listed.entries.map(({ meta, unstable, user }) => [user.identifier, meta.color, unstable]),
      [["alice", "red", false]]
    )
    assert.isTrue(await ask(other, { status: "busy" }))
  })
})

describe("SEC16: a client", () => {
  it("is who its token says, whatever name it gives in the query and in messages", async () => {
    await using place = await start()
    using _bob = await place.enter("bob", "device=tab")
    using mallory = await place.enter("mallory", "device=tab&user=bob&username=bob&principal=bob")
    await place.told()
    const claims = { user: "bob", username: "bob", principal: { name: "bob" }, userId: "bob", device: "tab", as: "bob" }
    assert.isTrue(await ask(mallory, { ...claims, status: "busy", meta: { color: "green" } }))
    assert.deepStrictEqual(await place.told(), ["~ mallory 1"])
    const [bob, other] = [await place.get("bob"), await place.get("mallory")]
    assert.deepStrictEqual([bob?.status, bob?.meta, bob?.devices.length], ["online", { color: "red" }, 1])
    assert.deepStrictEqual([other?.status, other?.meta], ["busy", { color: "green" }])
    mallory.socket.close()
    await place.isGone("mallory")
    assert.deepStrictEqual(await place.told(), ["- mallory left"])
    assert.isDefined(await place.get("bob"))
  })

  it("that names the device of another user has one of its own", async () => {
    await using place = await start()
    using _bob = await place.enter("bob", "device=tab")
    using mallory = await place.enter("mallory", "device=tab")
    mallory.reset()
    await place.isUnstable("mallory")
    assert.isFalse((await place.get("bob"))?.unstable)
  })

  it.each([
    ["over 1 KiB", { color: "green", note: "x".repeat(1_024) }, "metaTooLarge"],
    ["over 1 KiB in bytes, not in characters", { color: "green", note: "€".repeat(400) }, "metaTooLarge"],
    ["that does not fit the schema", { color: "blue" }, "metaInvalid"],
    ["that is something else", "text", "metaInvalid"]
  ])("cannot set metadata %s", async (_what, meta, reason) => {
    await using place = await start()
    using client = await place.enter("alice")
    await place.told()
    assert.strictEqual(await ask(client, { status: "busy", meta }), reason)
    assert.deepStrictEqual(await place.told(), [])
    const { note, ...rest } = { note: "x".repeat(1_024 - '{"color":"green","note":""}'.length), color: "green" }
    assert.isTrue(await ask(client, { meta: { ...rest, note } }))
    assert.deepStrictEqual((await place.get("alice"))?.meta, { color: "green", note })
  })
})

describe("SEC11: a client that floods", () => {
  it("is not refused or cut, and others are sent what is latest once in a window", async () => {
    await using place = await start()
    using client = await place.enter("alice")
    await place.told()
    using watcher = await connect(place.server.url("/watch/general"))
    assert.strictEqual(lines(decode(await watcher.next()))[0], "= alice")
    const flood = 400
    for (let n = 1; n <= flood; n++) client.send({ meta: { color: "green", note: `${n}` } })
    const answers = await client.take(flood)
    assert.isTrue(answers.every((answer) => (answer as { readonly answer: unknown }).answer === true))
    assert.deepStrictEqual(await place.told(), ["~ alice 1"])
    const change = decode(await watcher.next())
    assert(change._tag === "Diff" && change.events[0]?._tag === "Update")
    assert.strictEqual(change.events[0].entry.meta.note, `${flood}`)
    client.socket.close()
    await place.isGone("alice")
    await place.told()
    assert.deepStrictEqual(lines(decode(await watcher.next())), ["- alice left"])
    assert.strictEqual(watcher.messages.length, 3)
  })
})

const decode = Schema.decodeUnknownSync(changes)
