/**
 * Server-Sent Events as a sink of a channel or of rooms: what readers share, and what is left when they are gone.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels } from "effect-rooms"
import { EventSource } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import * as Schema from "effect/Schema"
import {
  counts,
  event,
  follow,
  hall,
  Halls,
  keys,
  marks,
  News,
  open,
  Paper,
  readers,
  say,
  startEvents,
  today
} from "../support/events.ts"
import { survivors } from "../support/memory.ts"
import { eventually } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

describe("EventSource.forward", () => {
  it("is an event stream that begins with a comment and carries what is published from then on, as JSON", async () => {
    await using server = await startEvents()
    await say(server, "before")
    using feed = await follow(server, "/news")
    assert.match(feed.response.headers.get("content-type") ?? "", /^text\/event-stream\b/)
    assert.strictEqual(feed.response.headers.get("cache-control"), "no-store")
    assert.strictEqual(await feed.block(), ": ")
    const texts = Array.from({ length: 100 }, (_, n) => `${n}\n"quoted" 🦊`)
    await say(server, ...texts)
    for (const text of texts) assert.strictEqual(await event(feed), `data: ${JSON.stringify(text)}`)
  })

  it("TRAP13: encodes once for all readers of an encoding, each of whom gets everything in order", async () => {
    await using server = await startEvents()
    counts.encoded = 0
    const texts = Array.from({ length: 30 }, (_, n) => `news ${n}`)
    const feeds = await Promise.all(Array.from({ length: 20 }, () => follow(server, "/counted")))
    using other = await follow(server, "/plain")
    await say(server, ...texts)
    for (const feed of feeds) {
      for (const text of texts) assert.strictEqual(await event(feed), `event: news\ndata: ${text}`)
      feed[Symbol.dispose]()
    }
    for (const text of texts) assert.strictEqual(await event(other), `data: ${text}`)
    assert.strictEqual(counts.encoded, texts.length)
    assert.strictEqual(server.metric("effect_rooms_deliveries", { route: "events" }), 21 * texts.length)
  })

  it("writes what is published in a turn at once", async () => {
    await using server = await startEvents()
    using client = await open(server, "/plain")
    const before = client.text.length
    await say(server, "one", "two", "three")
    await client.until("three")
    const chunk = "data: one\n\ndata: two\n\ndata: three\n\n"
    assert.strictEqual(client.text.slice(before), `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
  })

  it("carries what leaves receivers out, since its readers are none", async () => {
    await using server = await startEvents()
    using feed = await follow(server, "/plain")
    await server.run(
      Effect.scoped(
        Effect.gen(function* () {
          const news = yield* News
          const subscription = yield* news.subscribe(today)
          yield* news.publish(today, "not for the subscription", { except: subscription })
          assert.strictEqual(subscription.pending, 0)
        })
      )
    )
    assert.strictEqual(await event(feed), "data: not for the subscription")
  })

  it("carries the events of a room to readers who are no members", async () => {
    await using server = await startEvents()
    using feed = await follow(server, "/hall")
    const room = await server.run(Effect.map(Halls, (halls) => halls.get(hall)))
    assert.strictEqual(await server.run(room.size), 0)
    await server.run(room.broadcast("said", "hello"))
    await server.run(room.broadcast("counted", 7))
    assert.deepStrictEqual(await feed.next(), { event: "said", data: "hello" })
    assert.deepStrictEqual(await feed.next(), { event: "counted", data: 7 })
  })

  it("logs and counts a message that cannot be encoded, which nobody gets, and goes on", async () => {
    await using server = await startEvents()
    using feed = await follow(server, "/counted")
    using other = await follow(server, "/plain")
    await say(server, "one", "unspeakable", "two")
    for (const text of ["one", "two"]) assert.strictEqual(await event(feed), `event: news\ndata: ${text}`)
    for (const text of ["one", "unspeakable", "two"]) assert.strictEqual(await event(other), `data: ${text}`)
    assert.strictEqual(server.metric("effect_rooms_encode_failures", { route: "events" }), 1)
    assert.strictEqual(server.logs.length, 1)
  })

  it("sends a comment as often as asked for, whatever else comes", async () => {
    await using server = await startEvents({ testClock: true })
    using feed = await follow(server, "/news")
    assert.strictEqual(await feed.block(), ": ")
    for (let beat = 0; beat < 3; beat++) {
      await server.adjust("14999 millis")
      await say(server, "news")
      assert.strictEqual(await feed.block(), 'data: "news"')
      await server.adjust("1 milli")
      assert.strictEqual(await feed.block(), ": ")
    }
  })
})

describe("a reader of events that is gone", () => {
  it("leaves nothing behind, whether it aborts or resets", async () => {
    await using server = await startEvents()
    const feed = await follow(server, "/news")
    using client = await open(server, "/plain")
    assert.deepStrictEqual([await readers(server), await keys(server)], [2, 1])
    feed[Symbol.dispose]()
    await eventually(async () => (await readers(server)) === 1)
    client.reset()
    await eventually(async () => (await readers(server)) === 0)
    assert.strictEqual(await keys(server), 0)
  })

  it("leaves nothing behind that asked for the head alone", async () => {
    await using server = await startEvents()
    const response = await fetch(`http://127.0.0.1:${server.port}/news`, { method: "HEAD" })
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream\b/)
    assert.strictEqual(await response.text(), "")
    await eventually(async () => (await keys(server)) === 0)
  })

  it("leaves nothing behind that comes back again and again", async () => {
    await using server = await startEvents()
    for (let round = 0; round < 5; round++) {
      const feeds = await Promise.all(Array.from({ length: 20 }, () => follow(server, "/counted")))
      assert.strictEqual(await readers(server), 20)
      for (const feed of feeds) feed[Symbol.dispose]()
      await eventually(async () => (await keys(server)) === 0)
    }
  })

  it("leaves nothing behind of its request, though it was the first", async () => {
    await using server = await startEvents()
    marks.length = 0
    const first = await follow(server, "/news")
    using second = await follow(server, "/news")
    first[Symbol.dispose]()
    await eventually(async () => (await readers(server)) === 1)
    await eventually(async () => (await survivors(marks)).length === 1)
    await say(server, "still here")
    assert.strictEqual(await event(second), 'data: "still here"')
  })
})

describe("a response of EventSource.forward", () => {
  it("ends when the server stops", async () => {
    await using server = await startEvents()
    using feed = await follow(server, "/plain")
    using slow = await open(server, "/plain")
    slow.socket.pause()
    await say(server, "the last")
    assert.strictEqual(await event(feed), "data: the last")
    const end = event(feed).catch(() => undefined)
    await server.stop()
    assert.isUndefined(await end)
  })

  it("is none when the channel cannot be opened, and leaves nothing behind", async () => {
    class Shut extends Schema.TaggedError<Shut>()("Shut", {}) {}
    await using server = await startServer({
      routes: HttpRouter.add(
        "GET",
        "/shut",
        Effect.gen(function* () {
          const channel = yield* Channels.make({ key: Paper, message: Schema.String, onOpen: () => new Shut() })
          return yield* EventSource.forward(channel, today)
        }).pipe(Effect.catchTag("Shut", () => Effect.succeed(HttpServerResponse.empty({ status: 404 }))))
      )
    })
    const response = await fetch(`http://127.0.0.1:${server.port}/shut`)
    assert.strictEqual(response.status, 404)
  })
})
