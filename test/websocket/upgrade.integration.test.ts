import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, eventually, frame, handshake, serverFrames, signal } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

/** An echo whose guard waits for the test, and the handles to it. */
const slowRoute = () => {
  const asked = signal()
  const interrupted = signal()
  const gate = Deferred.makeUnsafe<void>()
  let handled = 0
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/slow", {
      incoming: Schema.String,
      outgoing: Schema.String,
      authenticate: () =>
        Effect.sync(() => asked.fire()).pipe(
          Effect.andThen(Deferred.await(gate)),
          Effect.as("Alice"),
          Effect.onInterrupt(() => Effect.sync(() => interrupted.fire()))
        )
    }),
    ({ messages, send }) => {
      handled++
      return Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
    }
  )
  return {
    Live,
    asked: asked.promise,
    interrupted: interrupted.promise,
    open: () => Deferred.doneUnsafe(gate, Effect.void),
    get handled() {
      return handled
    }
  }
}

/** The server still serves, and holds no connection but the one that asks. */
const isWell = async (server: TestServer<never>): Promise<void> => {
  using client = await connect(server.url("/echo"))
  client.send("well?")
  assert.strictEqual(await client.next(), "well?")
  client.socket.close()
  await client.closed
  await eventually(() => server.metric("effect_rooms_connections") === 0)
}

/** The server has let go of every socket, whatever the clients do. */
const noConnections = (server: TestServer<never>): Promise<void> =>
  eventually(() => new Promise((resolve) => server.node.getConnections((_error, count) => resolve(count === 0))))

const texts = (received: Buffer): ReadonlyArray<unknown> =>
  serverFrames(received).map(({ opcode, payload }) => (opcode === 1 ? JSON.parse(payload.toString()) : opcode))

describe("TRAP8: a handshake that fails gets an answer, and its socket ends though the client keeps its side open", () => {
  const key = "Sec-WebSocket-Key"
  const version = "Sec-WebSocket-Version"
  it.each([
    ["a wrong path", handshake("/nowhere"), 404],
    ["no key", handshake("/echo", { [key]: undefined }), 400],
    ["a key that is too short", handshake("/echo", { [key]: "abc" }), 400],
    ["no version", handshake("/echo", { [version]: undefined }), 400],
    ["a version nobody knows", handshake("/echo", { [version]: "99" }), 400],
    ["a malformed list of subprotocols", handshake("/echo", { "Sec-WebSocket-Protocol": "a,,b" }), 400],
    ["another upgrade", handshake("/echo", { Upgrade: "h2c" }), 426],
    ["another method", handshake("/echo").replace("GET", "POST"), 404],
    ["headers that are too large", handshake("/echo", { "X-Large": "x".repeat(10_000) }), 431],
    ["a malformed request", "GET /echo HTTP/1.1\r\nbroken\r\n\r\n", 400]
  ])("with %s", async (_what, request, status) => {
    await using server = await startServer({ routes: EchoLive })
    using raw = await connectRaw(server.port)
    raw.write(request)
    await raw.ended
    assert.match(raw.text, new RegExp(`^HTTP/1.1 ${status} `))
    assert.strictEqual(raw.text.match(/HTTP\/1.1/g)?.length, 1, "one answer")
    await noConnections(server)
    await isWell(server)
  })

  it("with early frames behind a refusal the answer still arrives", async () => {
    await using server = await startServer({ routes: EchoLive })
    using raw = await connectRaw(server.port)
    raw.write(
      Buffer.concat([Buffer.from(handshake("/nowhere")), ...Array.from({ length: 50 }, () => frame('"early"'))])
    )
    await raw.ended
    assert.match(raw.text, /^HTTP\/1.1 404 /)
    await isWell(server)
  })
})

describe("TRAP12: early frames", () => {
  const early = Array.from({ length: 20 }, (_, n) => `early ${n}`)

  it("in the same segment as the handshake are not lost and in order", async () => {
    await using server = await startServer({ routes: EchoLive })
    using raw = await connectRaw(server.port)
    raw.write(Buffer.concat([Buffer.from(handshake("/echo")), ...early.map((text) => frame(JSON.stringify(text)))]))
    await raw.until(early.at(-1)!)
    assert.deepStrictEqual(texts(raw.received), early)
  })

  it("sent while the guard is slow are not lost and in order", async () => {
    const slow = slowRoute()
    await using server = await startServer({ routes: slow.Live })
    using raw = await connectRaw(server.port)
    const [first, ...rest] = early.map((text) => frame(JSON.stringify(text)))
    raw.write(Buffer.concat([Buffer.from(handshake("/slow")), first!]))
    await slow.asked
    for (const bytes of rest) raw.write(bytes)
    // What is sent on another connection after these bytes and answered shows that they have arrived.
    using other = await connectRaw(server.port)
    other.write("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await other.ended
    assert.strictEqual(raw.text, "")
    slow.open()
    await raw.until(early.at(-1)!)
    assert.deepStrictEqual(texts(raw.received), early)
  })

  it("cut in the middle of a frame are put together", async () => {
    const slow = slowRoute()
    await using server = await startServer({ routes: slow.Live })
    using raw = await connectRaw(server.port)
    const bytes = frame(JSON.stringify("cut in two"))
    raw.write(Buffer.concat([Buffer.from(handshake("/slow")), bytes.subarray(0, 5)]))
    await slow.asked
    slow.open()
    await raw.until("\r\n\r\n")
    raw.write(bytes.subarray(5))
    await raw.until("cut in two")
    assert.deepStrictEqual(texts(raw.received), ["cut in two"])
  })

  it("that are a close frame are answered", async () => {
    await using server = await startServer({ routes: EchoLive })
    using raw = await connectRaw(server.port)
    raw.write(Buffer.concat([Buffer.from(handshake("/echo")), frame(Buffer.from([0x03, 0xe8]), 0x8)]))
    await raw.ended
    assert.deepStrictEqual(texts(raw.received), [0x8])
    raw.socket.end()
    await noConnections(server)
    await isWell(server)
  })
})

describe("TRAP8: a reset at each stage of the accept leaves nothing and kills nothing", () => {
  it("in the middle of the request", async () => {
    await using server = await startServer({ routes: EchoLive })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo").slice(0, 40))
    raw.reset()
    await raw.closed
    await isWell(server)
  })

  it("while the guard is slow: it is interrupted and the handler never runs", async () => {
    const slow = slowRoute()
    await using server = await startServer({ routes: Layer.mergeAll(slow.Live, EchoLive) })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/slow"))
    await slow.asked
    raw.reset()
    await slow.interrupted
    slow.open()
    await isWell(server)
    assert.strictEqual(slow.handled, 0)
  })

  it("in the turn in which the guard says yes", async () => {
    const slow = slowRoute()
    await using server = await startServer({ routes: Layer.mergeAll(slow.Live, EchoLive) })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/slow"))
    await slow.asked
    raw.reset()
    slow.open()
    await raw.closed
    await isWell(server)
  })

  it("right after the 101, with and without frames on their way", async () => {
    await using server = await startServer({ routes: EchoLive })
    for (const frames of [[], [frame('"a"')], [frame('"a"').subarray(0, 3)]]) {
      using raw = await connectRaw(server.port)
      raw.write(handshake("/echo"))
      await raw.until("\r\n\r\n")
      raw.write(Buffer.concat(frames))
      raw.reset()
      await raw.closed
    }
    await isWell(server)
  })

  it("right behind the request, a hundred times at once", async () => {
    await using server = await startServer({ routes: EchoLive })
    const raws = await Promise.all(Array.from({ length: 100 }, () => connectRaw(server.port)))
    for (const [n, raw] of raws.entries()) {
      raw.socket.write(handshake("/echo"), () => (n % 2 === 0 ? raw.reset() : setImmediate(() => raw.reset())))
    }
    await Promise.all(raws.map((raw) => raw.closed))
    await isWell(server)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
  })

  it("a client that ends its side while the guard is slow leaves nothing", async () => {
    const slow = slowRoute()
    await using server = await startServer({ routes: Layer.mergeAll(slow.Live, EchoLive) })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/slow"))
    await slow.asked
    raw.socket.end()
    await isWell(server)
    slow.open()
    await raw.ended
    await noConnections(server)
    await isWell(server)
  })
})

describe("SEC9: requests that trickle", () => {
  it("the server has the timeouts and bounds of the limits", async () => {
    await using server = await startServer({ routes: EchoLive })
    assert.strictEqual(server.node.headersTimeout, 5000)
    assert.strictEqual(server.node.requestTimeout, 5000)
    assert.strictEqual(server.node.maxHeadersCount, 64)
  })

  it.each([
    ["nothing", ""],
    ["half a request line", "GET /ec"],
    ["headers without an end", handshake("/echo").slice(0, -2)],
    ["half a body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"]
  ])("a client that sends %s and waits is cut", async (_what, request) => {
    await using server = await startServer({ routes: EchoLive, server: { limits: { requestTimeout: "200 millis" } } })
    using raw = await connectRaw(server.port)
    raw.write(request)
    await raw.ended
    assert.notInclude(raw.text, "101 Switching")
    await noConnections(server)
    await isWell(server)
  })
})
