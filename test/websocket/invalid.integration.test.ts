import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, frame, handshake, serverFrames } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const invalid = (route: string, reason: string) => ["effect_rooms_invalid_messages", { route, reason }] as const

const echoOf = (path: `/${string}`, invalidReply: (invalid: WebSocketRoute.InvalidMessage) => Schema.Json) =>
  WebSocketRoute.layer(
    WebSocketRoute.make(path, { incoming: Schema.String, outgoing: Schema.String, invalidReply }),
    ({ messages, send }) => Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
  )

describe("W2: an invalid message", () => {
  it("gets an error reply in its place, is counted, and the connection lives on", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    client.send("before")
    client.sendText("{")
    client.send({ not: "a string" })
    client.sendText("[".repeat(40) + "]".repeat(40))
    client.send("after")
    const codes = (await client.take(5)).map((message) =>
      typeof message === "string" ? message : (message as { readonly code: string }).code
    )
    assert.deepStrictEqual(codes, ["before", "invalid_json", "invalid_message", "too_deep", "after"])
    for (const reason of ["invalid_json", "invalid_message", "too_deep"]) {
      assert.strictEqual(server.metric(...invalid("/echo", reason)), 1)
    }
  })

  it("ten times within a minute closes with 4500, after ten replies", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using client = await connect(server.url("/echo"))
    for (let i = 0; i < 12; i++) client.send(i)
    assert.deepStrictEqual(await client.closed, { code: 4500, reason: "too many invalid messages" })
    assert.strictEqual(client.messages.length, 10)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "4500" }), 1)
    assert.strictEqual(server.metric("effect_rooms_invalid_messages"), 10, "what came behind them was not looked at")
  })

  it("is forgotten after a minute", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    using client = await connect(server.url("/echo"))
    const nine = async () => {
      for (let i = 0; i < 9; i++) client.send(i)
      await client.take(9)
    }
    await nine()
    // The client answers pings, so only the clock of the strikes matters.
    await server.adjust("15 seconds")
    client.send("still here")
    assert.strictEqual(await client.next(), "still here")
    for (const _ of [1, 2, 3]) {
      await server.adjust("15 seconds")
      client.send("still here")
      await client.next()
    }
    await nine()
    client.send("and still here")
    assert.strictEqual(await client.next(), "and still here")
    client.send(10)
    assert.strictEqual((await client.closed).code, 4500)
  })

  it("is answered in the words of the route", async () => {
    const routes = echoOf("/words", ({ code, input }) => ({ oops: code, got: input as Schema.Json }))
    await using server = await startServer({ routes })
    using client = await connect(server.url("/words"))
    client.send([1, 2])
    assert.deepStrictEqual(await client.next(), { oops: "invalid_message", got: [1, 2] })
  })

  it("P20: closes only its own connection with 1011 when the reply throws", async () => {
    const routes = echoOf("/throws", () => {
      throw new Error("broken reply")
    })
    await using server = await startServer({ routes: Layer.mergeAll(routes, EchoLive) })
    using other = await connect(server.url("/throws"))
    using client = await connect(server.url("/throws"))
    client.send(1)
    const { code, reason } = await client.closed
    assert.strictEqual(code, 1011)
    assert.notInclude(reason, "broken reply")
    other.send("still here")
    assert.strictEqual(await other.next(), "still here")
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_handler_failures", { route: "/throws" }), 1)
  })

  it("SEC19: a number that overflows gets an error reply", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    client.sendText('{"a":1e999}')
    assert.deepInclude(await client.next(), { type: "error", code: "invalid_json" })
  })

  it("SEC21: half a surrogate pair in an escape gets an error reply", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    client.sendText('"\\ud800"')
    assert.deepInclude(await client.next(), { type: "error", code: "invalid_json" })
    client.sendText('"\\ud83d\\ude80"')
    assert.strictEqual(await client.next(), "🚀")
  })

  it("SEC18: deep JSON and polluting JSON cost an error reply and nothing else", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    client.sendText("[".repeat(30_000) + "]".repeat(30_000))
    client.sendText('{"__proto__":{"polluted":true}}')
    client.send("after")
    const [deep, polluting, after] = await client.take(3)
    assert.deepInclude(deep, { code: "too_deep" })
    assert.deepInclude(polluting, { code: "invalid_message" })
    assert.strictEqual(after, "after")
    assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
  })
})

describe("P15: what is no message at all", () => {
  it("SEC5: one above the size bound closes with 1009, one at the bound does not", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    const largest = "x".repeat(64 * 1024 - 2)
    client.send(largest)
    assert.strictEqual(await client.next(), largest)
    client.send(largest + "x")
    assert.strictEqual((await client.closed).code, 1009)
    assert.strictEqual(client.messages.length, 1)
  })

  it("SEC5: the close of a message above the bound is counted as 1009", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    client.send("x".repeat(70_000))
    await client.closed
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo"))
    await raw.until("\r\n\r\n")
    // A frame that says it is 2 ** 63 bytes long.
    raw.write(Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    await raw.ended
    raw.socket.end()
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "1009" }), 2)
  })

  it("SEC5: fragments count together, and there are at most 64", async () => {
    await using server = await startServer({ routes: EchoLive })
    using large = await connect(server.url("/echo"))
    for (let i = 0; i < 20; i++) large.socket.send("x".repeat(4096), { fin: false })
    assert.strictEqual((await large.closed).code, 1009)
    using many = await connect(server.url("/echo"))
    for (let i = 0; i < 70; i++) many.socket.send("", { fin: false })
    assert.strictEqual((await many.closed).code, 1008)
  })

  it("SEC7: a flood of pings is cut, a few are answered", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    let pongs = 0
    client.socket.on("pong", () => pongs++)
    for (let n = 0; n < 5; n++) client.socket.ping()
    client.send("behind the pings")
    assert.strictEqual(await client.next(), "behind the pings")
    assert.strictEqual(pongs, 5)
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo"))
    await raw.until("\r\n\r\n")
    raw.write(Buffer.concat(Array.from({ length: 5000 }, () => frame("", 0x9))))
    await raw.ended
    assert.isBelow(serverFrames(raw.received).length, 100)
  })

  it("SEC22: a binary one closes with 1003", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await connect(server.url("/echo"))
    client.socket.send(Buffer.from('"text"'))
    const { code, reason } = await client.closed
    assert.deepStrictEqual([code, reason], [1003, "binary messages are not supported"])
    assert.deepStrictEqual(client.messages, [])
  })

  it.each([
    ["SEC21: text that is no UTF-8", frame(Buffer.from([0x22, 0xc0, 0xaf, 0x22])), 1007],
    ["an unmasked frame", Buffer.from([0x81, 0x02, 0x22, 0x22]), 1002],
    ["a reserved opcode", frame('"a"', 0x3), 1002],
    ["a reserved bit", Buffer.concat([Buffer.from([0xc1]), frame('"a"').subarray(1)]), 1002],
    ["a continuation of nothing", frame('"a"', 0x0), 1002],
    ["a control frame above 125 bytes", frame("x".repeat(126), 0x9), 1002],
    ["a fragmented ping", Buffer.concat([Buffer.from([0x09]), frame("x", 0x9).subarray(1)]), 1002],
    ["a close frame of one byte", frame("x", 0x8), 1002],
    ["a close code nobody may send", frame(Buffer.from([0x03, 0xed]), 0x8), 1002],
    ["a close reason that is no UTF-8", frame(Buffer.from([0x03, 0xe8, 0xff]), 0x8), 1007]
  ])("%s is answered with a close frame, and others live on", async (_name, bytes, code) => {
    await using server = await startServer({ routes: EchoLive })
    using other = await connect(server.url("/echo"))
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo"))
    await raw.until("\r\n\r\n")
    raw.write(bytes)
    await raw.ended
    const last = serverFrames(raw.received).at(-1)
    assert.strictEqual(last?.opcode, 0x8)
    assert.strictEqual(last?.payload.readUInt16BE(0), code)
    other.send("still here")
    assert.strictEqual(await other.next(), "still here")
  })
})
