import { assert, describe, it } from "@effect/vitest"
import { Ref } from "effect-rooms"
import { Limits, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

const { bytesPerSecond, maxRateStrikes, messageBurst, messagesPerSecond, userRateFactor } = Limits.defaults
const limits = { messageBurst, messagesPerSecond, bytesPerSecond, maxRateStrikes, userRateFactor }
const dropped = (what: string) => ({ type: "error", code: "rate_limited", message: `${what}, this one was dropped` })

const refusals = (server: TestServer<never>, reason: string, route = "/echo") =>
  server.metric("effect_rooms_invalid_messages", { route, reason })

describe("SEC11: the rate of messages", () => {
  it("lets a burst pass, drops what is over it with one reply, and goes on when time has passed", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    using client = await connect(server.url("/echo"))
    for (let n = 0; n < messageBurst + 50; n++) client.send(String(n))
    const heard = await client.take(messageBurst + 1)
    const texts = heard.filter((message) => typeof message === "string")
    assert.deepStrictEqual(
      texts,
      Array.from({ length: messageBurst }, (_, n) => String(n))
    )
    assert.deepInclude(heard, dropped("too many messages"))
    await server.adjust("1 second")
    client.send("later")
    assert.strictEqual(await client.next(), "later")
    assert.strictEqual(refusals(server, "message_rate"), 50)
  })

  it("closes with 4005 who is over it in three seconds of a minute", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    using client = await connect(server.url("/echo"))
    for (let second = 0; second < maxRateStrikes; second++) {
      for (let n = 0; n < messageBurst + 1; n++) client.send("flood")
      await client.take(second === 0 ? messageBurst + 1 : messagesPerSecond + 1)
      await server.adjust("1 second")
    }
    assert.strictEqual((await client.closed).code, 4005)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "4005" }), 1)
  })

  it("counts bytes as well", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    using client = await connect(server.url("/echo"))
    // Twenty thousand characters of three bytes each.
    const large = "€".repeat(20_000)
    for (let n = 0; n < 5; n++) client.send(large)
    const heard = await client.take(5)
    assert.strictEqual(heard.filter((message) => message === large).length, 4)
    assert.deepInclude(heard, dropped("too many bytes"))
    assert.strictEqual(refusals(server, "byte_rate"), 1)
  })
})

class User extends Ref.Entity<User>()("User") {}

/** Echoes of users who say who they are; two routes, so that a user can be on both. */
const userEcho = (path: "/one" | "/two") => {
  const query = { user: Schema.String }
  const route = WebSocketRoute.make(path, {
    query,
    incoming: Schema.String,
    outgoing: Schema.String,
    authenticate: ({ request }) =>
      Effect.sync(() => new URL(request.url, "http://localhost").searchParams.get("user") ?? ""),
    user: (name) => User.ref.make(name)
  })
  return WebSocketRoute.layer(route, ({ messages, send }) =>
    Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
  )
}
const UsersLive = Layer.mergeAll(userEcho("/one"), userEcho("/two"))
const quarter = { messageBurst: 10, messagesPerSecond: 5 }

describe("SEC11: the rate of a user", () => {
  it("is four times that of a connection, on all connections and routes together, and others are not touched", async () => {
    await using server = await startServer({ routes: UsersLive, testClock: true, server: { limits: quarter } })
    for (const path of ["/one", "/two", "/one", "/two"]) {
      const client = await connect(server.url(`${path}?user=alice`))
      for (let n = 0; n < 10; n++) client.send("within the burst of a connection")
      await client.take(10)
    }
    using fifth = await connect(server.url("/one?user=alice"))
    fifth.send("too much")
    assert.deepStrictEqual(await fifth.next(), dropped("too many messages of the user"))
    assert.strictEqual(refusals(server, "user_rate", "/one"), 1)
    using bob = await connect(server.url("/one?user=bob"))
    bob.send("hello")
    assert.strictEqual(await bob.next(), "hello")
    await server.adjust("50 millis")
    fifth.send("one every fiftieth of a second")
    assert.strictEqual(await fifth.next(), "one every fiftieth of a second")
  })

  it("is not had anew by connecting anew", async () => {
    await using server = await startServer({ routes: UsersLive, testClock: true, server: { limits: quarter } })
    for (let connection = 0; connection < 5; connection++) {
      using client = await connect(server.url("/one?user=alice"))
      for (let n = 0; n < 8; n++) client.send("hello")
      await client.take(8)
      client.socket.close()
      await client.closed
    }
    {
      using client = await connect(server.url("/one?user=alice"))
      client.send("hello")
      assert.deepStrictEqual(await client.next(), dropped("too many messages of the user"))
    }
    await server.adjust("10 seconds")
    using client = await connect(server.url("/one?user=alice"))
    client.send("hello")
    assert.strictEqual(await client.next(), "hello")
  })
})
