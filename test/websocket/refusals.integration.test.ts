/**
 * What is said, to the client and to the log, of a handshake that is refused and of a message that cannot be sent.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, Ref } from "effect-rooms"
import { Connections, EventRouter, EventSource, type RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import { HttpRouter } from "effect/http"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { makeNotes } from "../support/notes.ts"
import { connect, connectRaw, eventually, handshake, refused } from "../support/wsClient.ts"
import { Echo, EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

class Hall extends Ref.Entity<Hall>()("Hall") {}
class News extends Channels.Service<News>()("test/News", { key: Hall, message: Schema.Finite }) {}

const Numbered = WebSocketRoute.make("/seats/:row/:seat?", {
  params: { row: Schema.FiniteFromString, seat: Schema.optionalKey(Schema.FiniteFromString) },
  query: { since: Schema.optionalKey(Schema.FiniteFromString) },
  incoming: Schema.String,
  outgoing: Schema.Struct({ row: Schema.Finite, seat: Schema.NullOr(Schema.Finite) })
})
const NumberedLive = WebSocketRoute.layer(Numbered, ({ params: { row, seat = null }, send }) =>
  Effect.andThen(
    Effect.sync(() => send({ row, seat })),
    Effect.never
  )
)

describe("a schema for a parameter the path does not have", () => {
  it("is a TypeError where the route is made", () => {
    const schemas = { params: { rom: Schema.String }, incoming: Schema.String, outgoing: Schema.String }
    assert.throws(
      () => WebSocketRoute.make("/x/:room", schemas),
      TypeError,
      'the path /x/:room has no parameter named "rom"'
    )
    assert.throws(
      () => EventRouter.on("say", "/x/:room", { data: Schema.Json, params: { rom: Schema.String } }, () => Effect.void),
      TypeError,
      'the path /x/:room has no parameter named "rom"'
    )
  })

  it("is not what a schema for an optional parameter or a wildcard is", async () => {
    const Files = WebSocketRoute.make("/files/*", {
      params: { "*": Schema.String },
      incoming: Schema.String,
      outgoing: Schema.String
    })
    const FilesLive = WebSocketRoute.layer(Files, ({ params, send }) => Effect.sync(() => send(params["*"])))
    await using server = await startServer({ routes: Layer.merge(NumberedLive, FilesLive) })
    using both = await connect(server.url("/seats/7/3"))
    using one = await connect(server.url("/seats/7"))
    using files = await connect(server.url("/files/a/b.txt"))
    assert.deepStrictEqual(await both.next(), { row: 7, seat: 3 })
    assert.deepStrictEqual(await one.next(), { row: 7, seat: null })
    assert.strictEqual(await files.next(), "a/b.txt")
  })
})

describe("a handshake whose parameters do not fit", () => {
  it("is logged at debug with the route and the reason, which repeats no value", async () => {
    const notes = makeNotes()
    await using server = await startServer({ routes: NumberedLive, services: notes.layer })
    assert.strictEqual((await refused(server.url("/seats/canary"))).body, "invalid path parameters")
    assert.strictEqual((await refused(server.url("/seats/7?since=canary"))).body, "invalid query parameters")
    const [path, query] = notes.of("a handshake was refused")
    assert.deepInclude(path, { level: "Debug", annotations: { route: "/seats/:row/:seat?" } })
    assert.match(String(path?.message), /^a handshake was refused: invalid path parameters,.*row/s)
    assert.match(String(query?.message), /^a handshake was refused: invalid query parameters,.*since/s)
    assert.notInclude(JSON.stringify(notes.notes), "canary")
  })
})

const startStrict = async (options: Partial<RoomsServer.Options> = {}) => {
  const notes = makeNotes("Info")
  const server = await startServer({
    routes: EchoLive,
    services: notes.layer,
    server: { allowNonBrowsers: false, ...options }
  })
  return { notes, server }
}

describe("a handshake with an origin that is not allowed", () => {
  it("is told which option would let it in, and of no origin that is", async () => {
    const { server: own } = await startStrict({ origins: ["https://chat.example"] })
    await using server = own
    const foreign = await refused(server.url("/echo"), { origin: "https://evil.example" })
    assert.deepStrictEqual(
      [foreign.status, foreign.body],
      [403, "origin not allowed: it is none of the server's option `origins`"]
    )
    const missing = await refused(server.url("/echo"))
    assert.deepStrictEqual(
      [missing.status, missing.body],
      [403, "no origin: clients that are no browsers need the server's option `allowNonBrowsers`"]
    )
    assert.strictEqual(server.metric("effect_rooms_rejections", { reason: "origin not allowed" }), 1)
    assert.strictEqual(server.metric("effect_rooms_rejections", { reason: "no origin" }), 1)
  })

  it("is logged with the route and the origin", async () => {
    const { notes, server: own } = await startStrict()
    await using server = own
    await refused(server.url("/echo"), { origin: "https://evil.example" })
    await refused(server.url("/echo"))
    assert.deepStrictEqual(notes.of("a handshake was refused"), [
      {
        level: "Info",
        message: ["a handshake was refused: origin not allowed"],
        annotations: { route: "/echo", origin: "https://evil.example" }
      },
      { level: "Info", message: ["a handshake was refused: no origin"], annotations: { route: "/echo" } }
    ])
  })

  it("is logged with so much of the origin as fits, and nothing of it that could move a cursor", async () => {
    const { notes, server: own } = await startStrict()
    await using server = own
    for (const origin of ["x".repeat(5000), "a\tb", "\u009b2J"]) {
      using raw = await connectRaw(server.port)
      raw.socket.write(Buffer.from(handshake("/echo", { Origin: origin }), "latin1"))
      await raw.ended
      assert.match(raw.text, /^HTTP\/1.1 403 /)
    }
    assert.deepStrictEqual(
      notes.of("a handshake was refused").map(({ annotations: { origin } }) => origin),
      ["x".repeat(128), "a?b", "?2J"]
    )
  })
})

const broken = (): string => {
  throw new Error("no words for it")
}

describe("a message that cannot be sent", () => {
  it("is logged with the route, the kind of channel and the room", async () => {
    const notes = makeNotes()
    const Live = WebSocketRoute.layer(
      Echo,
      Effect.fnUntraced(function* ({ forward, send }) {
        yield* forward(yield* News, Hall.ref`today`, broken)
        send("ready")
        return yield* Effect.never
      })
    )
    await using server = await startServer({ routes: Live, services: Layer.merge(notes.layer, News.layer) })
    using client = await connect(server.url("/echo"))
    await client.next()
    await server.run(Effect.flatMap(News, (news) => news.publish(Hall.ref`today`, 1)))
    const annotations = { route: "/echo", kind: "hall", room: "today" }
    await eventually(() => notes.notes.length > 0)
    assert.deepStrictEqual(
      notes.of("a message was published that cannot be sent").map((note) => note.annotations),
      [annotations]
    )
  })

  it("to all connections is logged with the route and without a room", async () => {
    const notes = makeNotes()
    await using server = await startServer({ routes: EchoLive, services: notes.layer })
    using client = await connect(server.url("/echo"))
    client.send("here")
    await client.next()
    const broadcast = Effect.flatMap(Connections.of(Echo), (all) => all.broadcast(1 as unknown as string))
    await server.run(broadcast as Effect.Effect<number>)
    await eventually(() => notes.notes.length > 0)
    assert.deepStrictEqual(
      notes.of("a message was published that cannot be sent").map((note) => note.annotations),
      [{ route: "/echo", kind: "everybody" }]
    )
  })

  it("to readers of events is logged with the kind of channel and the room", async () => {
    const notes = makeNotes()
    const Live = HttpRouter.add(
      "GET",
      "/news",
      Effect.flatMap(News, (news) => EventSource.forward(news, Hall.ref`today`, { encode: () => ({ data: broken() }) }))
    )
    await using server = await startServer({ routes: Live, services: Layer.merge(notes.layer, News.layer) })
    using raw = await connectRaw(server.port)
    raw.write("GET /news HTTP/1.1\r\nHost: x\r\n\r\n")
    await raw.until(": ")
    await server.run(Effect.flatMap(News, (news) => news.publish(Hall.ref`today`, 1)))
    await eventually(() => notes.notes.length > 0)
    assert.deepStrictEqual(
      notes.of("a message was published that cannot be sent").map((note) => note.annotations),
      [{ route: "events", kind: "hall", room: "today" }]
    )
  })
})
