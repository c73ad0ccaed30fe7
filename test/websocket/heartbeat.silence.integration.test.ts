import { assert, describe, it } from "@effect/vitest"
import { EventRouter, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, eventually, handshake, serverFrames } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const HelloLive = WebSocketRoute.layer(
  WebSocketRoute.make("/hello", { incoming: Schema.Int, outgoing: Schema.Int, clientSpeaksFirst: true }),
  ({ messages, send }) => Stream.runForEach(messages.stream, (n) => Effect.sync(() => send(n)))
)
const EventsLive = EventRouter.layer(
  "/hello",
  [EventRouter.on("ping", "/", { data: Schema.Json }, () => Effect.void)],
  { clientSpeaksFirst: true }
)

describe("SEC2, K12: a client that has to speak first", () => {
  it.each([
    ["on a route", HelloLive],
    ["on an event router", EventsLive]
  ])("%s and says nothing is closed with 4002 between five and six seconds after it came", async (_where, routes) => {
    await using server = await startServer({ routes, testClock: true })
    // Out of step with the watch.
    await server.adjust("300 millis")
    using client = await connect(server.url("/hello"))
    await server.adjust("5 seconds")
    assert.strictEqual(server.metric("effect_rooms_connections"), 1)
    await server.adjust("1 second")
    assert.strictEqual((await client.closed).code, 4002)
    await eventually(() => server.metric("effect_rooms_closes", { code: "4002" }) === 1)
  })

  it("cannot put that off with pongs, pieces of a frame, or messages that are invalid", async () => {
    await using server = await startServer({ routes: HelloLive, testClock: true })
    using client = await connect(server.url("/hello"))
    using raw = await connectRaw(server.port)
    raw.write(handshake("/hello"))
    await raw.until("\r\n\r\n")
    for (let second = 0; second < 7; second++) {
      client.socket.pong()
      client.send("no number")
      // The first bytes of a message of ten.
      raw.write(Buffer.from(second === 0 ? [0x81, 0x8a, 0, 0, 0, 0] : [0x31]))
      await server.adjust("1 second")
    }
    assert.strictEqual((await client.closed).code, 4002)
    await eventually(() => serverFrames(raw.received).some(({ opcode }) => opcode === 0x8))
    const close = serverFrames(raw.received).find(({ opcode }) => opcode === 0x8)
    assert.strictEqual(close?.payload.readUInt16BE(0), 4002)
  })

  it("and does has all the time in the world afterwards", async () => {
    await using server = await startServer({ routes: HelloLive, testClock: true })
    using client = await connect(server.url("/hello"))
    await server.adjust("4 seconds")
    client.send(1)
    assert.strictEqual(await client.next(), 1)
    for (let minute = 0; minute < 5; minute++) {
      for (let third = 0; third < 3; third++) {
        await server.adjust("20 seconds")
        client.socket.pong()
        // What comes after a pong shows that it has arrived.
        using other = await connect(server.url("/hello"))
        other.send(2)
        await other.next()
      }
    }
    client.send(3)
    assert.strictEqual(await client.next(), 3)
  })

  it("is closed only where the route says so", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using client = await connect(server.url("/echo"))
    await server.adjust("19 seconds")
    client.send("at last")
    assert.strictEqual(await client.next(), "at last")
  })
})

describe("an idle client", () => {
  const limits = { idleTimeout: "30 seconds" } as const

  it("is closed with 4506 although it answers pings, and one that says something now and then is not", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    using idle = await connect(server.url("/echo"))
    using busy = await connect(server.url("/echo"))
    idle.send("hello")
    await idle.next()
    for (let n = 0; n < 3; n++) {
      await server.adjust("15 seconds")
      busy.send(String(n))
      await busy.next()
    }
    assert.strictEqual((await idle.closed).code, 4506)
    assert.strictEqual(busy.socket.readyState, busy.socket.OPEN)
    await eventually(() => server.metric("effect_rooms_closes", { code: "4506" }) === 1)
  })

  it("is not closed while its messages wait for a handler that is behind", async () => {
    const gate = Promise.withResolvers<void>()
    const BehindLive = WebSocketRoute.layer(
      WebSocketRoute.make("/behind", { incoming: Schema.Int, outgoing: Schema.Int }),
      Effect.fnUntraced(function* ({ messages, send }) {
        yield* Effect.promise(() => gate.promise)
        yield* Stream.runForEach(messages.stream, (n) => Effect.sync(() => send(n)))
      })
    )
    await using server = await startServer({
      routes: BehindLive,
      testClock: true,
      server: { limits: { ...limits, inboxMessages: 1 } }
    })
    using client = await connect(server.url("/behind"))
    for (let n = 0; n < 3; n++) client.send(n)
    using other = await connectRaw(server.port)
    other.write(handshake("/behind"))
    await other.until("\r\n\r\n")
    await server.adjust("50 seconds")
    gate.resolve()
    assert.deepStrictEqual(await client.take(3), [0, 1, 2])
  })

  it("is welcome for ever by default", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using client = await connect(server.url("/echo"))
    for (let n = 0; n < 20; n++) {
      await server.adjust("21 seconds")
      await client.nextPing()
      using other = await connect(server.url("/echo"))
      other.send("the pong has arrived")
      await other.next()
    }
    client.send("hello")
    assert.strictEqual(await client.next(), "hello")
  })
})
