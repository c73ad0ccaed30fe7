import { assert, describe, it } from "@effect/vitest"
import { EventSource } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { HttpRouter } from "effect/http"
import * as Stream from "effect/Stream"
import { Feed } from "../support/playground.ts"
import { connectRaw, eventually, signal } from "../support/wsClient.ts"
import { Chat, general, type Line } from "../support/wsRoutes.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

type Line = typeof Line.Type

/** The chat of the WebSocket tests, for those who only listen. */
const events = (options?: EventSource.Options<Line>) =>
  HttpRouter.add(
    "GET",
    "/events",
    Effect.gen(function* () {
      const lines = yield* (yield* Chat).subscribe(general)
      return EventSource.response(lines.stream, options)
    })
  )

const start = (options?: EventSource.Options<Line>, testClock = false): Promise<TestServer<Chat>> =>
  startServer({ routes: events(options), services: Chat.layer, testClock })

const serve = <A, E>(stream: Stream.Stream<A, E>, options?: EventSource.Options<A>): Promise<TestServer<never>> =>
  startServer({
    routes: HttpRouter.add(
      "GET",
      "/events",
      Effect.sync(() => EventSource.response(stream, options))
    )
  })

const follow = (server: Pick<TestServer<never>, "port">): Promise<Feed> =>
  Feed.open(`http://127.0.0.1:${server.port}/events`)

const lineOf = (text: string): Line => ({ type: "message", author: "Alice", text })
const say = (server: TestServer<Chat>, text: string): Promise<void> =>
  server.run(Effect.flatMap(Chat, (chat) => chat.publish(general, lineOf(text))))
const subscribers = (server: TestServer<Chat>): Promise<number> =>
  server.run(Effect.flatMap(Chat, (chat) => chat.subscriberCount(general)))

/** What comes until the response is over, without comments. */
const rest = async (feed: Feed): Promise<ReadonlyArray<string>> => {
  const blocks: Array<string> = []
  for (let block = await feed.block(); block !== undefined; block = await feed.block()) {
    if (!block.startsWith(":")) blocks.push(block)
  }
  return blocks
}

/** The events of a response, as the text they are sent as. */
const sent = async (...all: ReadonlyArray<EventSource.ServerSentEvent>): Promise<ReadonlyArray<string>> => {
  await using server = await serve(Stream.fromIterable(all), { encode: (event) => event })
  using feed = await follow(server)
  return await rest(feed)
}

describe("a response of Server-Sent Events", () => {
  it("is an event stream nobody stores, buffers or ends in advance", async () => {
    await using server = await start()
    using feed = await follow(server)
    assert.strictEqual(feed.response.status, 200)
    assert.match(feed.response.headers.get("content-type") ?? "", /^text\/event-stream\b/)
    assert.strictEqual(feed.response.headers.get("cache-control"), "no-store")
    assert.strictEqual(feed.response.headers.get("x-accel-buffering"), "no")
    assert.isNull(feed.response.headers.get("content-length"))
  })

  it("begins with a comment before there is any event", async () => {
    await using server = await start()
    using feed = await follow(server)
    assert.strictEqual(await feed.block(), ": ")
  })

  it("carries what is published once its headers are there", async () => {
    await using server = await start()
    using feed = await follow(server)
    await say(server, "hello")
    assert.deepStrictEqual(await feed.next(), lineOf("hello"))
  })

  it("carries events in their order, by default as JSON", async () => {
    await using server = await start()
    using feed = await follow(server)
    const texts = Array.from({ length: 100 }, (_, index) => `line ${index}\n"quoted" 🦊`)
    for (const text of texts) await say(server, text)
    for (const text of texts) assert.deepStrictEqual(await feed.next(), lineOf(text))
  })

  it("carries values of every kind of JSON", async () => {
    const values = [1, "text", "", null, false, [1, [2]], {}, { "": "" }]
    await using server = await serve(Stream.fromIterable(values))
    using feed = await follow(server)
    assert.deepStrictEqual(
      await rest(feed),
      values.map((value) => `data: ${JSON.stringify(value)}`)
    )
  })

  it("goes to every reader", async () => {
    await using server = await start()
    using first = await follow(server)
    using second = await follow(server)
    await say(server, "to both")
    for (const feed of [first, second]) assert.deepStrictEqual(await feed.next(), lineOf("to both"))
  })
})

describe("an event", () => {
  it("of several lines is one event with a field for each line", async () => {
    assert.deepStrictEqual(await sent({ data: "one\ntwo\r\nthree\rfour\n" }), [
      "data: one\ndata: two\ndata: three\ndata: four\ndata: "
    ])
  })

  it("has a name and an id when it is given them", async () => {
    assert.deepStrictEqual(
      await sent({ event: "created", id: "7", data: "a" }, { id: "8", data: "b" }, { event: "deleted", data: "c" }),
      ["id: 7\nevent: created\ndata: a", "id: 8\ndata: b", "event: deleted\ndata: c"]
    )
  })

  it("without data is one all the same", async () => {
    assert.deepStrictEqual(await sent({ event: "ping", data: "" }), ["event: ping\ndata: "])
  })

  it.each(["\n", "\r", "\r\n"])("cannot be forged by a line break in a name or an id: %j", async (end) => {
    const [block, ...more] = await sent({ event: `a${end}data: forged`, id: `1${end}${end}data: forged`, data: "real" })
    assert.deepStrictEqual(more, [])
    const fields = block!.split(/\r\n|\r|\n/).map((line) => line.split(":")[0])
    assert.deepStrictEqual(fields, ["id", "event", "data"])
  })
})

describe("heartbeats", () => {
  it("come every 15 seconds by default, whatever else comes", async () => {
    await using server = await start({}, true)
    using feed = await follow(server)
    assert.strictEqual(await feed.block(), ": ")
    for (const text of ["before the first", "before the second"]) {
      await server.adjust("14999 millis")
      await say(server, text)
      assert.strictEqual(await feed.block(), `data: ${JSON.stringify(lineOf(text))}`)
      await server.adjust("1 milli")
      assert.strictEqual(await feed.block(), ": ")
    }
  })

  it("come as often as asked for", async () => {
    await using server = await start({ heartbeat: "1 second" }, true)
    using feed = await follow(server)
    assert.strictEqual(await feed.block(), ": ")
    for (let beat = 0; beat < 5; beat++) {
      await server.adjust("1 second")
      assert.strictEqual(await feed.block(), ": ")
    }
  })
})

describe("the subscription behind a response", () => {
  it("ends when the client aborts", async () => {
    await using server = await start()
    const feed = await follow(server)
    using other = await follow(server)
    assert.strictEqual(await subscribers(server), 2)
    feed[Symbol.dispose]()
    await eventually(async () => (await subscribers(server)) === 1)
    await say(server, "still here")
    assert.deepStrictEqual(await other.next(), lineOf("still here"))
  })

  it("ends when the connection is reset in the midst of events", async () => {
    await using server = await start()
    using client = await connectRaw(server.port)
    client.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.until(": \n\n")
    await say(server, "hello")
    await client.until("hello")
    client.reset()
    await eventually(async () => (await subscribers(server)) === 0)
  })

  it("ends when the client resets while nothing reads what it is sent", async () => {
    await using server = await start()
    using client = await connectRaw(server.port)
    client.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.until(": \n\n")
    client.socket.pause()
    for (let index = 0; index < 200; index++) await say(server, "x".repeat(100_000))
    client.reset()
    await eventually(async () => (await subscribers(server)) === 0)
  })

  it("ends with the answer to a HEAD request, which has no body", async () => {
    await using server = await start()
    const response = await fetch(`http://127.0.0.1:${server.port}/events`, { method: "HEAD" })
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream\b/)
    assert.strictEqual(await response.text(), "")
    await eventually(async () => (await subscribers(server)) === 0)
  })

  it("ends when the client has gone before the handler answers", async () => {
    const asked = signal()
    const gate = Deferred.makeUnsafe<void>()
    const slow = Effect.gen(function* () {
      const lines = yield* (yield* Chat).subscribe(general)
      asked.fire()
      yield* Deferred.await(gate)
      return EventSource.response(lines.stream)
    })
    await using server = await startServer({
      routes: HttpRouter.add("GET", "/events", Effect.uninterruptible(slow)),
      services: Chat.layer
    })
    using client = await connectRaw(server.port)
    const accepted = new Promise<void>((resolve) =>
      server.node.on("request", (_request, response) => response.on("close", resolve))
    )
    client.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asked.promise
    client.reset()
    await accepted
    assert.strictEqual(await subscribers(server), 1)
    Deferred.doneUnsafe(gate, Effect.void)
    await eventually(async () => (await subscribers(server)) === 0)
  })

  it("leaves none behind after many readers", async () => {
    await using server = await start()
    for (let round = 0; round < 5; round++) {
      const feeds = await Promise.all(Array.from({ length: 20 }, () => follow(server)))
      assert.strictEqual(await subscribers(server), 20)
      for (const feed of feeds) feed[Symbol.dispose]()
      await eventually(async () => (await subscribers(server)) === 0)
    }
  })
})

describe("a response ends", () => {
  it("when the stream ends, behind all of its events", async () => {
    await using server = await serve(Stream.make(1, 2, 3))
    using feed = await follow(server)
    assert.deepStrictEqual(await rest(feed), ["data: 1", "data: 2", "data: 3"])
  })

  it("cut off when the stream fails, so that it does not look complete", async () => {
    await using server = await serve(Stream.concat(Stream.make({ last: true }), Stream.fail("a failure")))
    using feed = await follow(server)
    assert.deepStrictEqual(await feed.next(), { last: true })
    const end = await rest(feed).catch((error: Error) => error)
    assert.instanceOf(end, TypeError)
  })

  it("when the server stops", async () => {
    await using server = await start()
    using feed = await follow(server)
    await say(server, "the last")
    assert.deepStrictEqual(await feed.next(), lineOf("the last"))
    const end = rest(feed).catch(() => [])
    await server.stop()
    assert.deepStrictEqual(await end, [])
  })
})
