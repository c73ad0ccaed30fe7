import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, eventually, frame, handshake, serverFrames, signal } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

/** An echo that tells when a handler has begun and ended. */
const watchedRoute = () => {
  const began = signal()
  const ended = signal()
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/watched", { incoming: Schema.String, outgoing: Schema.String }),
    ({ messages, send }) =>
      Effect.acquireRelease(
        Effect.sync(() => began.fire()),
        () => Effect.sync(() => ended.fire())
      ).pipe(Effect.andThen(Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))))
  )
  return { Live, began: began.promise, ended: ended.promise }
}

describe("P6: a silent peer", () => {
  it("is pinged after 20 seconds, and gone with its handler within 31", async () => {
    const watched = watchedRoute()
    await using server = await startServer({ routes: watched.Live, testClock: true })
    using client = await connect(server.url("/watched"), { autoPong: false })
    await watched.began
    await server.adjust("19 seconds")
    client.send("not silent yet")
    await client.next()
    await server.adjust("19 seconds")
    assert.strictEqual(client.socket.readyState, client.socket.OPEN)
    await server.adjust("2 seconds")
    await client.nextPing()
    await server.adjust("8 seconds")
    assert.strictEqual(server.metric("effect_rooms_connections"), 1)
    await server.adjust("2 seconds")
    await watched.ended
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "4003" }), 1)
  })

  it("that answers pings stays for ever", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using client = await connect(server.url("/echo"))
    for (let ping = 0; ping < 10; ping++) {
      await server.adjust("21 seconds")
      await client.nextPing()
      // The pong is read before what is sent after it.
      client.send(`ping ${ping}`)
      assert.strictEqual(await client.next(), `ping ${ping}`)
    }
    assert.strictEqual(client.socket.readyState, client.socket.OPEN)
  })

  it("any byte of the peer is life, also a piece of a frame", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo"))
    await raw.until("\r\n\r\n")
    const bytes = frame('"slow"')
    for (const [n, byte] of bytes.entries()) {
      await server.adjust("15 seconds")
      raw.socket.write(Buffer.from([byte]))
      // An answer on another connection that was asked for later shows that the byte has arrived.
      using other = await connect(server.url("/echo"))
      other.send(n)
      await other.next()
    }
    await raw.until("slow")
    assert.deepStrictEqual(
      serverFrames(raw.received).map(({ opcode }) => opcode),
      [0x1],
      "not one ping was needed"
    )
  })

  it("is found within a second of its limits when they are one second each", async () => {
    const limits = { pingInterval: "1 seconds", pongTimeout: "1 seconds" } as const
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    using client = await connect(server.url("/echo"), { autoPong: false })
    client.send("hello")
    await client.next()
    await server.adjust("3 seconds")
    assert.strictEqual((await client.closed).code, 4003)
  })

  it("that leaves in the middle of the closing handshake is gone after the close timeout", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/bye", { incoming: Schema.String, outgoing: Schema.String }),
      () => Effect.void
    )
    await using server = await startServer({ routes: Live, testClock: true })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/bye"))
    await eventually(() => serverFrames(raw.received).some(({ opcode }) => opcode === 0x8))
    await server.adjust("5 seconds")
    assert.strictEqual(server.metric("effect_rooms_connections"), 1)
    await server.adjust("2 seconds")
    await raw.ended
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "1000" }), 1)
  })
})
