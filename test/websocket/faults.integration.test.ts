import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Stream from "effect/Stream"
import { connect, eventually, signal } from "../support/wsClient.ts"
import { Chat, EchoLive, general } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

/** A text that breaks the schema's own code when it says so. */
const Fragile = Schema.String.pipe(
  Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transform((text: string) => {
      if (text === "break the decoder") throw new Error("a mistake in the schema")
      return text
    }),
    encode: SchemaGetter.transform((text: string) => {
      if (text === "break the encoder") throw new Error("a mistake in the schema")
      return text
    })
  })
)

const fragileRoute = () => {
  const released: Array<string> = []
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/fragile", { query: { name: Schema.String }, incoming: Fragile, outgoing: Fragile }),
    ({ messages, query, send }) =>
      Effect.acquireRelease(Effect.void, () => Effect.sync(() => released.push(query.name))).pipe(
        Effect.andThen(
          Stream.runForEach(messages.stream, (text) => {
            if (text === "throw") throw new Error("a mistake in the handler")
            return Effect.sync(() => send(text))
          })
        )
      )
  )
  return { Live, released }
}

describe("P20, BUG24: a defect", () => {
  it.each([
    ["in the handler", "throw"],
    ["in the encoder", "break the encoder"],
    ["in the decoder", "break the decoder"]
  ])("%s closes its own connection with 1011, runs its finalizers, is counted and logged", async (_where, text) => {
    const fragile = fragileRoute()
    await using server = await startServer({ routes: fragile.Live })
    using other = await connect(server.url("/fragile?name=other"))
    using client = await connect(server.url("/fragile?name=client"))
    client.send("fine")
    assert.strictEqual(await client.next(), "fine")
    client.send(text)
    const { code, reason } = await client.next().then(
      () => assert.fail("it was answered"),
      () => client.closed
    )
    assert.strictEqual(code, 1011)
    assert.notInclude(reason, "mistake")
    assert.deepStrictEqual(fragile.released, ["client"])
    other.send("still here")
    assert.strictEqual(await other.next(), "still here")
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_handler_failures", { route: "/fragile" }), 1)
    assert.strictEqual(server.logs.filter(({ level }) => level === "Error").length, 1)
    assert.strictEqual(server.metric("effect_rooms_invalid_messages"), 0, "it is no fault of the client")
  })

  it("in a finalizer closes its own connection with 1011, and the other finalizers run", async () => {
    const released: Array<string> = []
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/finalizer", { incoming: Schema.String, outgoing: Schema.String }),
      Effect.fnUntraced(function* ({ messages }) {
        yield* Effect.addFinalizer(() => Effect.sync(() => released.push("first")))
        yield* Effect.addFinalizer(() => Effect.die(new Error("a mistake")))
        yield* Effect.addFinalizer(() => Effect.sync(() => released.push("last")))
        yield* Effect.ignore(messages.take)
      })
    )
    await using server = await startServer({ routes: Layer.mergeAll(Live, EchoLive) })
    using client = await connect(server.url("/finalizer"))
    client.send("end")
    assert.strictEqual((await client.closed).code, 1011)
    assert.deepStrictEqual(released, ["last", "first"])
    using other = await connect(server.url("/echo"))
    other.send("well?")
    assert.strictEqual(await other.next(), "well?")
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
  })

  it("of two readers of one connection's messages closes with 1011 and says so in the log", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/two", { incoming: Schema.String, outgoing: Schema.String }),
      ({ messages }) => Effect.all([messages.take, messages.take], { concurrency: 2 })
    )
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/two"))
    assert.strictEqual((await client.closed).code, 1011)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_handler_failures"), 1)
  })
})

describe("a handler when its connection is gone", () => {
  it("that never read is interrupted at once", async () => {
    const began = signal()
    const interrupted = signal()
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/deaf", { incoming: Schema.String, outgoing: Schema.String }),
      () =>
        Effect.sync(() => began.fire()).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Effect.sync(() => interrupted.fire()))
        )
    )
    await using server = await startServer({ routes: Live, testClock: true })
    using client = await connect(server.url("/deaf"))
    await began.promise
    client.reset()
    await interrupted.promise
    await eventually(() => server.metric("effect_rooms_connections") === 0)
  })

  it("that read once and now only listens to its room leaves the room within the handler timeout", async () => {
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/hello", { incoming: Schema.String, outgoing: Schema.String }),
      Effect.fnUntraced(function* ({ messages, send }) {
        const lines = yield* (yield* Chat).subscribe(general)
        send(`hello ${yield* messages.take}`)
        yield* Stream.runForEach(lines.stream, ({ text }) => Effect.sync(() => send(text)))
      })
    )
    await using server = await startServer({ routes: Live, services: Chat.layer, testClock: true })
    const members = () => server.run(Effect.flatMap(Chat, (chat) => chat.subscriberCount(general)))
    using client = await connect(server.url("/hello"))
    client.send("Alice")
    assert.strictEqual(await client.next(), "hello Alice")
    client.socket.close()
    await client.closed
    await eventually(async () => {
      await server.adjust("100 millis")
      return (await members()) === 0
    })
    const now = await server.run(Effect.clockWith((clock) => clock.currentTimeMillis))
    assert.isAtMost(now, 6000)
  })

  it("that is busy with its last message has five seconds for it, and then is interrupted", async () => {
    const busy = signal()
    let interrupted = false
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/busy", { incoming: Schema.String, outgoing: Schema.String }),
      ({ messages }) =>
        Stream.runForEach(messages.stream, () =>
          Effect.sync(() => busy.fire()).pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => Effect.sync(() => (interrupted = true)))
          )
        )
    )
    await using server = await startServer({ routes: Live, testClock: true })
    using client = await connect(server.url("/busy"))
    client.send("work")
    await busy.promise
    client.socket.close()
    await client.closed
    await eventually(() => server.metric("effect_rooms_connections") === 1)
    await server.adjust("4 seconds")
    assert.isFalse(interrupted)
    await server.adjust("2 seconds")
    assert.isTrue(interrupted)
    await eventually(() => server.metric("effect_rooms_connections") === 0)
  })

  it("that finishes its last message within its time is not disturbed", async () => {
    const busy = signal()
    const gate = Deferred.makeUnsafe<void>()
    const finished = signal<string>()
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/save", { incoming: Schema.String, outgoing: Schema.String }),
      ({ messages }) =>
        Effect.ensuring(
          Stream.runForEach(messages.stream, () =>
            Effect.andThen(
              Effect.sync(() => busy.fire()),
              Deferred.await(gate)
            )
          ).pipe(Effect.andThen(Effect.sync(() => finished.fire("saved")))),
          Effect.sync(() => finished.fire("cut"))
        )
    )
    await using server = await startServer({ routes: Live, testClock: true })
    using client = await connect(server.url("/save"))
    client.send("work")
    await busy.promise
    client.socket.close()
    await client.closed
    await server.adjust("3 seconds")
    Deferred.doneUnsafe(gate, Effect.void)
    assert.strictEqual(await finished.promise, "saved")
  })

  it("that is async and ignores its signal is left behind after five seconds, logged and counted", async () => {
    const began = signal()
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/stubborn", { incoming: Schema.String, outgoing: Schema.String }),
      () => {
        began.fire()
        return new Promise<void>(() => {})
      }
    )
    await using server = await startServer({ routes: Live, testClock: true })
    const overruns = () => server.metric("effect_rooms_handler_overruns", { route: "/stubborn" })
    using client = await connect(server.url("/stubborn"))
    await began.promise
    client.socket.close()
    await client.closed
    await server.adjust("4 seconds")
    assert.deepStrictEqual([overruns(), server.metric("effect_rooms_connections")], [0, 1])
    await server.adjust("2 seconds")
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.strictEqual(overruns(), 1)
    assert.strictEqual(server.logs.filter(({ level }) => level === "Warn").length, 1)
  })

  it("that is async and rejects long after it was left behind harms nobody", async () => {
    const began = signal()
    const late = Promise.withResolvers<void>()
    const Live = WebSocketRoute.layer(
      WebSocketRoute.make("/late", { incoming: Schema.String, outgoing: Schema.String }),
      () => {
        began.fire()
        return late.promise
      }
    )
    await using server = await startServer({ routes: Layer.mergeAll(Live, EchoLive), testClock: true })
    const unhandled: Array<unknown> = []
    const onUnhandled = (reason: unknown) => unhandled.push(reason)
    process.on("unhandledRejection", onUnhandled)
    using client = await connect(server.url("/late"))
    await began.promise
    client.reset()
    await client.closed
    await eventually(async () => {
      await server.adjust("1 seconds")
      return server.metric("effect_rooms_connections", { route: "/late" }) === 0
    })
    late.reject(new Error("too late"))
    using other = await connect(server.url("/echo"))
    other.send("well?")
    assert.strictEqual(await other.next(), "well?")
    process.off("unhandledRejection", onUnhandled)
    assert.deepStrictEqual(unhandled, [])
  })
})
