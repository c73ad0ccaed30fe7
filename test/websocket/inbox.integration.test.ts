import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, eventually, signal } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

/** A handler that reads nothing until the gate opens, and then tells what it reads. */
const lazyRoute = () => {
  const gate = Deferred.makeUnsafe<void>()
  const running = signal()
  const read: Array<number> = []
  const ended = signal()
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/lazy", {
      incoming: Schema.Struct({ n: Schema.Int, pad: Schema.String }),
      outgoing: Schema.Int
    }),
    ({ messages, send }) =>
      Effect.sync(() => running.fire()).pipe(
        Effect.andThen(Deferred.await(gate)),
        Effect.andThen(
          Stream.runForEach(messages.stream, ({ n }) =>
            Effect.sync(() => {
              read.push(n)
              send(n)
            })
          )
        ),
        Effect.ensuring(Effect.sync(() => ended.fire()))
      )
  )
  return {
    Live,
    read,
    running: running.promise,
    ended: ended.promise,
    open: () => Deferred.doneUnsafe(gate, Effect.void)
  }
}

const pad = "x".repeat(1000)

describe("TRAP19: a flood to a handler that does not read", () => {
  it("stays with the client: the socket is not read, and nothing is lost when the handler reads later", async () => {
    const lazy = lazyRoute()
    await using server = await startServer({ routes: lazy.Live, testClock: true })
    using client = await connect(server.url("/lazy"))
    await lazy.running
    const flood = 20_000
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < flood; n++) client.send({ n, pad })
    // The flood is far more than kernels hold: most of it must still wait in the client when the server reads no more.
    await eventually(() => client.socket.bufferedAmount < flood * pad.length - 1_000_000)
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
    const waiting = client.socket.bufferedAmount
    assert.isAbove(waiting, 1_000_000, "bytes that wait in the client")
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 64 * 1024 * 1024)
    lazy.open()
    const echoes = await client.take(flood)
    assert.deepStrictEqual(
      echoes,
      Array.from({ length: flood }, (_, n) => n)
    )
  })

  it("closes with 1011 when the inbox stays unread for its timeout, and the handler is ended", async () => {
    const lazy = lazyRoute()
    await using server = await startServer({ routes: lazy.Live, testClock: true })
    using client = await connect(server.url("/lazy"))
    await lazy.running
    for (let n = 0; n < 200; n++) client.send({ n, pad })
    await server.adjust("30 seconds")
    assert.strictEqual(client.socket.readyState, client.socket.OPEN, "not reading is not taken for silence")
    // The pause is seen by the first look after it, and the timeout by the first look after that.
    await server.adjust("32 seconds")
    assert.deepStrictEqual(await client.closed, { code: 1011, reason: "the server is not reading" })
    await lazy.ended
    assert.deepStrictEqual(lazy.read, [])
  })

  it("of one connection does not hold up another one of the same route", async () => {
    const lazy = lazyRoute()
    await using server = await startServer({ routes: lazy.Live, testClock: true })
    using flooding = await connect(server.url("/lazy"))
    await lazy.running
    for (let n = 0; n < 500; n++) flooding.send({ n, pad })
    using other = await connect(server.url("/lazy"))
    lazy.open()
    other.send({ n: -1, pad: "" })
    assert.strictEqual(await other.next(), -1)
  })

  it("to a handler that returns without reading is closed with 1000 at once", async () => {
    const gate = Deferred.makeUnsafe<void>()
    const running = signal()
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/leaves", { incoming: Schema.Int, outgoing: Schema.Int }),
      () =>
        Effect.andThen(
          Effect.sync(() => running.fire()),
          Deferred.await(gate)
        )
    )
    await using server = await startServer({ routes: Live, testClock: true })
    using client = await connect(server.url("/leaves"))
    await running.promise
    for (let n = 0; n < 500; n++) client.send(n)
    using other = await connect(server.url("/leaves"))
    Deferred.doneUnsafe(gate, Effect.void)
    assert.strictEqual((await client.closed).code, 1000)
    assert.strictEqual((await other.closed).code, 1000)
    await eventually(() => server.metric("effect_rooms_connections") === 0)
  })

  it("that is reset while it is not read is gone after the inbox timeout", async () => {
    const lazy = lazyRoute()
    await using server = await startServer({ routes: lazy.Live, testClock: true })
    using client = await connect(server.url("/lazy"))
    await lazy.running
    for (let n = 0; n < 500; n++) client.send({ n, pad })
    await eventually(() => client.socket.bufferedAmount === 0)
    client.reset()
    await client.closed
    let gone = false
    void lazy.ended.then(() => (gone = true))
    await eventually(async () => {
      await server.adjust("1 seconds")
      return gone
    })
    const now = await server.run(Effect.clockWith((clock) => clock.currentTimeMillis))
    assert.isAtMost(now, 75_000)
  })

  it("followed by a close gives the handler all of it, and then the end", async () => {
    const lazy = lazyRoute()
    await using server = await startServer({ routes: lazy.Live, testClock: true })
    using client = await connect(server.url("/lazy"))
    await lazy.running
    for (let n = 0; n < 300; n++) client.send({ n, pad })
    client.socket.close()
    lazy.open()
    await lazy.ended
    assert.deepStrictEqual(
      lazy.read,
      Array.from({ length: 300 }, (_, n) => n)
    )
  })
})
