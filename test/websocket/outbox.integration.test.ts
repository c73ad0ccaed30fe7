import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Client, connect, eventually, signal } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

const FeedRoute = WebSocketRoute.make("/feed", { incoming: Schema.String, outgoing: Schema.String })
type Session = Parameters<
  Parameters<typeof WebSocketRoute.layer<string, string, {}, {}, undefined, never, undefined, Effect.Effect<void>>>[1]
>[0]

/** Gives the test the sessions, and echoes. */
const feed = () => {
  const sessions: Array<Session> = []
  const Live = WebSocketRoute.layer(FeedRoute, (session) => {
    sessions.push(session)
    return Stream.runForEach(session.messages.stream, (text) => Effect.sync(() => session.send(text)))
  })
  return { Live, sessions }
}

const answers = async (client: Client) => {
  client.send("there?")
  let message: unknown
  do message = await client.next()
  while (message !== "there?")
}

/** Larger than what the kernels of both ends take for a peer that does not read. */
const large = "x".repeat(64 * 1024)
const kernel = 512

describe("K1, TRAP21: a client that stops reading", () => {
  it("is closed with 4004 at the bound of bytes, and send says so", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live, testClock: true })
    using slow = await connect(server.url("/feed"))
    using other = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 2)
    slow.socket.pause()
    let sent = 0
    while (sessions[0]!.send(large) && sent < 2 * kernel) sent++
    assert.isBelow(sent, 2 * kernel, "the bound was reached")
    assert.isFalse(sessions[0]!.send("more"), "nothing goes out after the close")
    assert.isTrue(sessions[1]!.send("to the other"))
    assert.strictEqual(await other.next(), "to the other")

    slow.socket.resume()
    const { code, reason } = await slow.closed
    assert.strictEqual(code, 4004)
    assert.strictEqual(reason, "the client takes its messages too slowly")
    assert.strictEqual(slow.messages.length, sent, "everything that was accepted arrives before the close")
    await answers(other)
    await eventually(() => server.metric("effect_rooms_closes", { code: "4004" }) === 1)
  })

  it("is closed with 4004 at the bound of messages", async () => {
    const { Live, sessions } = feed()
    const limits = { outboxMessages: 10, outboxBytes: 1e9 }
    await using server = await startServer({ routes: Live, testClock: true, server: { limits } })
    using slow = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    slow.socket.pause()
    let sent = 0
    while (sessions[0]!.send(large) && sent < 2 * kernel) sent++
    slow.socket.resume()
    assert.strictEqual((await slow.closed).code, 4004)
    assert.strictEqual(slow.messages.length, sent)
  })

  it("costs no more than the bound, however much is sent to it", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live, testClock: true })
    using slow = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    slow.socket.pause()
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 20_000; i++) sessions[0]!.send(large)
    const grown = process.memoryUsage().arrayBuffers - before
    assert.isBelow(grown, 32 * 1024 * 1024)
  })

  it("and never answers is terminated the close timeout after the 4004, and its handler ends", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live, testClock: true })
    using slow = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    slow.socket.pause()
    while (sessions[0]!.send(large));
    await server.adjust("4 seconds")
    assert.strictEqual(server.metric("effect_rooms_connections"), 1)
    await server.adjust("2 seconds")
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.strictEqual(server.metric("effect_rooms_closes", { code: "4004" }), 1)
  })

  it("below the bounds is closed with 4004 after ten seconds without progress", async () => {
    const { Live, sessions } = feed()
    const limits = { outboxBytes: 1e9, outboxMessages: 1e9 }
    await using server = await startServer({ routes: Live, testClock: true, server: { limits } })
    using slow = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    slow.socket.pause()
    for (let i = 0; i < kernel; i++) assert.isTrue(sessions[0]!.send(large))
    await server.adjust("9 seconds")
    assert.isTrue(sessions[0]!.send("still open"))
    await server.adjust("3 seconds")
    assert.isFalse(sessions[0]!.send("no more"))
    slow.socket.resume()
    assert.strictEqual((await slow.closed).code, 4004)
    assert.strictEqual(slow.messages.at(-1), "still open")
  })

  it.each([
    ["is not cut as slow", 4],
    ["is not given up as silent, though it comes to no ping behind what it has to take", 8]
  ])("but takes a little within each ten seconds %s", async (_how, rounds) => {
    const { Live, sessions } = feed()
    const limits = { outboxBytes: 1e9, outboxMessages: 1e9 }
    await using server = await startServer({ routes: Live, testClock: true, server: { limits } })
    using slow = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    slow.socket.pause()
    const perRound = 128
    for (let i = 0; i < rounds * perRound; i++) assert.isTrue(sessions[0]!.send(large))
    for (let round = 1; round <= rounds; round++) {
      await server.adjust("6 seconds")
      slow.socket.resume()
      await eventually(() => slow.messages.length >= round * perRound || slow.socket.readyState !== slow.socket.OPEN)
      slow.socket.pause()
    }
    assert.isTrue(sessions[0]!.send("still open"))
    slow.socket.resume()
    await eventually(() => slow.messages.at(-1) === "still open" || slow.socket.readyState !== slow.socket.OPEN)
    assert.strictEqual(slow.messages.length, rounds * perRound + 1)
  })

  it("does not hold up what is sent to a hundred others", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live, testClock: true })
    using slow = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    slow.socket.pause()
    const others = await Promise.all(Array.from({ length: 100 }, () => connect(server.url("/feed"))))
    await eventually(() => sessions.length === 101)
    for (let n = 0; n < 50; n++) for (const { send } of sessions) send(n === 49 ? "last" : large)
    await Promise.all(others.map((client) => client.take(50)))
    for (const client of others) {
      assert.strictEqual(client.messages.at(-1), "last")
      client.socket.terminate()
    }
  })
})

describe("send", () => {
  it("answers false once the connection is closing or closed", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    const { connection, send } = sessions[0]!
    assert.isTrue(send("before"))
    connection.close(4321, "enough")
    assert.isFalse(send("after the close began"))
    connection.close(4322, "a second close does nothing")
    assert.deepStrictEqual(await client.closed, { code: 4321, reason: "enough" })
    assert.deepStrictEqual(client.messages, ["before"])
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.isFalse(send("after the end"))
  })

  it("answers false after a reset, without an error anywhere", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    const gone = signal()
    sessions[0]!.signal.addEventListener("abort", () => gone.fire())
    client.reset()
    await gone.promise
    for (let n = 0; n < 10; n++) assert.isFalse(sessions[0]!.send("nobody there"))
  })

  it("throws for a value that does not fit the schema, and the connection is the handler's to keep", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/finite", { incoming: Schema.String, outgoing: Schema.Finite }),
      ({ messages, send }) => {
        assert.throws(() => send(Number.NaN))
        send(1)
        return Effect.ignore(messages.take)
      }
    )
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/finite"))
    assert.strictEqual(await client.next(), 1)
    client.send("done")
    assert.strictEqual((await client.closed).code, 1000)
  })

  it("writes text of every length class as the client reads it", async () => {
    const { Live, sessions } = feed()
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/feed"))
    await eventually(() => sessions.length === 1)
    // With the two quotes of JSON.
    const texts = [0, 123, 124, 125, 65_533, 65_534, 70_000].map((length) => "x".repeat(length))
    const wide = texts.map((text) => "é".repeat(Math.floor(text.length / 2)))
    for (const text of [...texts, ...wide]) assert.isTrue(sessions[0]!.send(text))
    assert.deepStrictEqual(await client.take(14), [...texts, ...wide])
  })
})
