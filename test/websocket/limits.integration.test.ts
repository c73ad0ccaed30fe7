import { assert, describe, it } from "@effect/vitest"
import { Limits } from "effect-rooms/websocket"
import { connect, refused } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const { messageBurst, messagesPerSecond, bytesPerSecond, maxRateStrikes } = Limits.defaults
const rates = { messageBurst, messagesPerSecond, bytesPerSecond, maxRateStrikes }
const dropped = { type: "error", code: "rate_limited", message: "too many messages, this one was dropped" }

describe("SEC11: the rate of messages", () => {
  it("lets a burst pass, drops what is over it with one reply, and goes on when time has passed", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits: rates } })
    using client = await connect(server.url("/echo"))
    for (let n = 0; n < messageBurst + 50; n++) client.send(String(n))
    const heard = await client.take(messageBurst + 1)
    const texts = heard.filter((message) => typeof message === "string")
    assert.deepStrictEqual(
      texts,
      Array.from({ length: messageBurst }, (_, n) => String(n))
    )
    assert.deepInclude(heard, dropped)
    await server.adjust("1 second")
    client.send("later")
    assert.strictEqual(await client.next(), "later")
    assert.strictEqual(server.metric("effect_rooms_invalid_messages", { route: "/echo", reason: "rate_limited" }), 50)
  })

  it("closes with 4005 who is over it in three seconds of a minute", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits: rates } })
    using client = await connect(server.url("/echo"))
    for (let second = 0; second < maxRateStrikes; second++) {
      for (let n = 0; n < messageBurst + 1; n++) client.send("flood")
      await client.take(second === 0 ? messageBurst + 1 : messagesPerSecond + 1)
      await server.adjust("1 second")
    }
    assert.strictEqual((await client.closed).code, 4005)
  })

  it("counts bytes as well", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits: rates } })
    using client = await connect(server.url("/echo"))
    // Twenty thousand characters of three bytes each.
    const large = "€".repeat(20_000)
    for (let n = 0; n < 5; n++) client.send(large)
    const heard = await client.take(5)
    assert.strictEqual(heard.filter((message) => message === large).length, 4)
    assert.deepInclude(heard, dropped)
  })
})

describe("SEC10: the number of connections", () => {
  it("of one address is bounded before the upgrade, and a closed one makes room", async () => {
    await using server = await startServer({ routes: EchoLive, server: { limits: { maxConnectionsPerAddress: 2 } } })
    using first = await connect(server.url("/echo"))
    using second = await connect(server.url("/echo"))
    const refusal = await refused(server.url("/echo"))
    assert.strictEqual(refusal.status, 503)
    first.socket.close()
    await first.closed
    second.send("still here")
    await second.next()
    using third = await connect(server.url("/echo"))
    third.send("hello")
    assert.strictEqual(await third.next(), "hello")
  })

  it("of the server is bounded as well", async () => {
    await using server = await startServer({ routes: EchoLive, server: { limits: { maxConnections: 1 } } })
    using first = await connect(server.url("/echo"))
    const refusal = await refused(server.url("/echo"))
    assert.strictEqual(refusal.status, 503)
    assert.strictEqual(server.metric("effect_rooms_rejections", { reason: "too many connections" }), 1)
    first.send("undisturbed")
    assert.strictEqual(await first.next(), "undisturbed")
  })
})
