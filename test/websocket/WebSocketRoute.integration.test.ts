import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, handshake, refused } from "../support/wsClient.ts"
import { Chat, ChatLive, EchoLive, Room } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const Seen = Schema.Struct({ room: Schema.String, isRef: Schema.Boolean, query: Schema.Json })

const LookRoute = WebSocketRoute.make("/look/:room", {
  params: { room: Room.ref.schema },
  query: {
    limit: Schema.optionalKey(Schema.NumberFromString.check(Schema.isInt())),
    tags: Schema.optionalKey(Schema.Array(Schema.String))
  },
  incoming: Schema.String,
  outgoing: Seen
})

/** Tells the client what the handler was given, and returns when the client has said something. */
const LookLive = WebSocketRoute.layer(LookRoute, ({ messages, params, query, send }) => {
  send({ room: params.room.identifier, isRef: Room.ref.is(params.room), query })
  return Effect.ignore(messages.take)
})

const Pages = HttpRouter.add("GET", "/page", HttpServerResponse.text("a page"))

describe("W1: routes", () => {
  it("the handler gets decoded path parameters and query", async () => {
    await using server = await startServer({ routes: LookLive })
    using client = await connect(server.url("/look/general?limit=20&tags=a&tags=b&other=x"))
    assert.deepStrictEqual(await client.next(), {
      room: "general",
      isRef: true,
      query: { limit: 20, tags: ["a", "b"] }
    })
  })

  it("a query that is not there is an optional field that is not there", async () => {
    await using server = await startServer({ routes: LookLive })
    using client = await connect(server.url("/look/a-room"))
    assert.deepStrictEqual(await client.next(), { room: "a-room", isRef: true, query: {} })
  })

  it.each([
    "/look/..%2f",
    "/look/_hidden",
    "/look/a%00b",
    "/look/constructor",
    "/look/general?limit=many",
    "/look/general?limit=1.5",
    "/look/general?limit=1&limit=2"
  ])("%s does not fit and gets 400, which says nothing of the value", async (path) => {
    await using server = await startServer({ routes: LookLive })
    const { body, status } = await refused(server.url(path))
    assert.strictEqual(status, 400)
    assert.match(body, /^invalid (path|query) parameters$/)
  })

  it("the longest identifier there is reaches its room, and one character more is refused", async () => {
    await using server = await startServer({ routes: LookLive })
    const longest = "x".repeat(128)
    assert.oneOf((await refused(server.url(`/look/${longest}x`))).status, [400, 404])
    using client = await connect(server.url(`/look/${longest}`))
    assert.deepStrictEqual(await client.next(), { room: longest, isRef: true, query: {} })
  })

  it("an identifier with the characters of paths is one parameter when they are escaped", async () => {
    await using server = await startServer({ routes: LookLive })
    using client = await connect(server.url("/look/tables%2F7%3Aa"))
    assert.deepStrictEqual(await client.next(), { room: "tables/7:a", isRef: true, query: {} })
  })

  it.each(["/look/%", "/look/%ff", "/look/%e0%a4%a", "/%", "//", "/look/general?limit=%"])(
    "%s, which cannot be decoded, gets an HTTP answer",
    async (path) => {
      await using server = await startServer({ routes: LookLive })
      using raw = await connectRaw(server.port)
      raw.write(handshake(path))
      await raw.ended
      assert.match(raw.text, /^HTTP\/1.1 40[04] /)
    }
  )

  it("sockets and pages share the port", async () => {
    await using server = await startServer({ routes: Layer.mergeAll(EchoLive, Pages) })
    using client = await connect(server.url("/echo"))
    const response = await fetch(`http://127.0.0.1:${server.port}/page`)
    assert.strictEqual(await response.text(), "a page")
    client.send("hello")
    assert.strictEqual(await client.next(), "hello")
  })

  it("a plain GET on a socket's path gets 426 and says what to upgrade to", async () => {
    await using server = await startServer({ routes: EchoLive })
    const response = await fetch(`http://127.0.0.1:${server.port}/echo`)
    assert.strictEqual(response.status, 426)
    assert.strictEqual(response.headers.get("upgrade"), "websocket")
  })

  it("a missing username is Anonymous, and rooms do not hear each other", async () => {
    await using server = await startServer({ routes: ChatLive, services: Chat.layer })
    using alice = await connect(server.url("/chat/general?username=Alice"))
    assert.deepStrictEqual(await alice.next(), { type: "joined", author: "Alice", text: "" })
    using other = await connect(server.url("/chat/other"))
    assert.deepStrictEqual(await other.next(), { type: "joined", author: "Anonymous", text: "" })
    other.send({ text: "in the other room" })
    await other.next()
    using bob = await connect(server.url("/chat/general?username=Bob"))
    assert.deepStrictEqual(await bob.next(), { type: "joined", author: "Bob", text: "" })
    assert.deepStrictEqual(await alice.next(), { type: "joined", author: "Bob", text: "" })
  })
})

describe("the handler", () => {
  it("closes with 1000 when it returns, behind what it sent", async () => {
    await using server = await startServer({ routes: LookLive })
    using client = await connect(server.url("/look/general"))
    await client.next()
    client.send("enough")
    assert.deepStrictEqual(await client.closed, { code: 1000, reason: "" })
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "1000" }), 1)
  })

  it("may be an async function, with the same messages", async () => {
    const AsyncEcho = WebSocketRoute.layer(
      WebSocketRoute.make("/async", { incoming: Schema.String, outgoing: Schema.String }),
      async ({ messages, send }) => {
        for await (const text of messages) {
          if (text === "stop") return
          send(text.toUpperCase())
        }
      }
    )
    await using server = await startServer({ routes: AsyncEcho })
    using client = await connect(server.url("/async"))
    client.send("a")
    client.send("b")
    assert.deepStrictEqual(await client.take(2), ["A", "B"])
    client.send("stop")
    assert.strictEqual((await client.closed).code, 1000)
  })

  it("TRAP2: takes the messages of one connection one at a time and in order", async () => {
    const SlowEcho = WebSocketRoute.layer(
      WebSocketRoute.make("/slow", { incoming: Schema.Int, outgoing: Schema.String }),
      ({ messages, send }) =>
        Stream.runForEach(
          messages.stream,
          Effect.fnUntraced(function* (n) {
            send(`begin ${n}`)
            for (let i = 0; i < n % 5; i++) yield* Effect.yieldNow
            send(`end ${n}`)
          })
        )
    )
    await using server = await startServer({ routes: SlowEcho })
    using client = await connect(server.url("/slow"))
    const numbers = Array.from({ length: 200 }, (_, n) => n)
    for (const n of numbers) client.send(n)
    assert.deepStrictEqual(
      await client.take(400),
      numbers.flatMap((n) => [`begin ${n}`, `end ${n}`])
    )
  })

  it("is found again by code it calls, with its types, and by no other route's", async () => {
    const Route = WebSocketRoute.make("/deep", {
      query: { name: Schema.String },
      incoming: Schema.Never,
      outgoing: Schema.String,
      data: ({ query }) => ({ greeting: `hello ${query.name}` })
    })
    const Other = WebSocketRoute.make("/other", { incoming: Schema.Never, outgoing: Schema.Int })
    const greet = Effect.map(WebSocketRoute.session(Route), ({ connection, send }) => send(connection.data.greeting))
    const wrong = Effect.exit(WebSocketRoute.session(Other))
    const Live = WebSocketRoute.layer(Route, ({ send }) =>
      Effect.gen(function* () {
        yield* greet
        send(String(Exit.isFailure(yield* wrong)))
      })
    )
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/deep?name=Ada"))
    assert.deepStrictEqual(await client.take(2), ["hello Ada", "true"])
  })

  it("ends its reading when the client leaves, with all that came before", async () => {
    const read: Array<string> = []
    const done = Promise.withResolvers<void>()
    const Reader = WebSocketRoute.layer(
      WebSocketRoute.make("/read", { incoming: Schema.String, outgoing: Schema.String }),
      ({ messages }) =>
        Stream.runForEach(messages.stream, (text) => Effect.sync(() => read.push(text))).pipe(
          Effect.andThen(Effect.sync(() => done.resolve()))
        )
    )
    await using server = await startServer({ routes: Reader })
    using client = await connect(server.url("/read"))
    for (const text of ["a", "b", "c"]) client.send(text)
    client.socket.close(1000)
    await done.promise
    assert.deepStrictEqual(read, ["a", "b", "c"])
  })

  it("names each connection differently and knows the address of its peer", async () => {
    const Name = WebSocketRoute.layer(
      WebSocketRoute.make("/name", { incoming: Schema.String, outgoing: Schema.Array(Schema.String) }),
      ({ connection, send }) => Effect.sync(() => send([connection.id, connection.remoteAddress ?? ""]))
    )
    await using server = await startServer({ routes: Name })
    const names: Array<unknown> = []
    for (let i = 0; i < 3; i++) {
      using client = await connect(server.url("/name"))
      const [id, address] = (await client.next()) as [string, string]
      assert.strictEqual(address, "127.0.0.1")
      names.push(id)
    }
    assert.strictEqual(new Set(names).size, 3)
  })

  it("does not negotiate compression by default", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"), { perMessageDeflate: true })
    assert.strictEqual(client.socket.extensions, "")
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo", { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" }))
    await raw.until("\r\n\r\n")
    assert.notInclude(raw.text.toLowerCase(), "sec-websocket-extensions")
  })
})

describe("two routes", () => {
  it("count their connections apart, and come back to 0", async () => {
    await using server = await startServer({ routes: Layer.mergeAll(EchoLive, ChatLive), services: Chat.layer })
    const open = (route: string) => server.metric("effect_rooms_connections", { route })
    using echo = await connect(server.url("/echo"))
    using chat = await connect(server.url("/chat/general"))
    await chat.next()
    echo.send("x")
    await echo.next()
    assert.deepStrictEqual([open("/echo"), open("/chat/:room")], [1, 1])
    echo.socket.close()
    await echo.closed
    await server.stop()
    assert.deepStrictEqual([open("/echo"), open("/chat/:room")], [0, 0])
  })
})
