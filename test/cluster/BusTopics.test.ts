/**
 * Typed topics of the application: who hears what, the same on a bus that echoes and on one that does not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { expectTypeOf } from "vitest"
import * as BusTopics from "../../src/cluster/BusTopics.ts"
import type { EventBusError } from "../../src/cluster/EventBusError.ts"
import { PlainNetwork } from "../support/topicNetwork.ts"

class Meeting extends Schema.Class<Meeting>("Meeting")({ room: Schema.String, at: Schema.Date }) {}

const topics = {
  "room.message": Schema.Struct({ room: Schema.String, text: Schema.String }),
  "room.count": Schema.Int,
  meeting: Meeting,
  tick: Schema.Void
}

const two = Effect.fnUntraced(function* (echo: boolean) {
  const network = new PlainNetwork(echo)
  const [a, b] = yield* Effect.all([BusTopics.make(network.node(), topics), BusTopics.make(network.node(), topics)])
  return { network, a, b }
})

/** What can be read now; `rest` is what the reader would wait for. */
const drain = <A>(messages: BusTopics.TopicMessages<A>) =>
  Effect.gen(function* () {
    const all: Array<BusTopics.TopicEvent<A>> = []
    const read = messages.events.runForEach((event) => Effect.sync(() => all.push(event)))
    yield* Effect.raceFirst(read, Effect.yieldNow)
    return all
  })
const payloads = <A>(messages: BusTopics.TopicMessages<A>) =>
  Effect.map(drain(messages), (events) => events.map((event) => (event._tag === "Gap" ? event.reason : event.payload)))

const hello = { room: "general", text: "hello" }

describe.each([
  ["a bus that echoes", true],
  ["a silent bus", false]
])("typed topics on %s", (_, echo) => {
  it.effect("J6: what a node emits is heard by the others and not by itself, unless it asks for its own", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two(echo)
      const [atA, ownAtA, atB, ownAtB] = yield* Effect.all([
        a.on("room.message"),
        a.on("room.message", { own: true }),
        b.on("room.message"),
        b.on("room.message", { own: true })
      ])
      yield* a.emit("room.message", hello)
      assert.deepStrictEqual(yield* payloads(atA), [])
      assert.deepStrictEqual(yield* payloads(ownAtA), [hello])
      assert.deepStrictEqual(yield* payloads(atB), [hello])
      assert.deepStrictEqual(yield* payloads(ownAtB), [hello])
    })
  )

  it.effect("equal payloads of two nodes are two messages", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* two(echo)
      const c = yield* BusTopics.make(network.node(), topics)
      const [atA, atC] = yield* Effect.all([a.on("room.count", { own: true }), c.on("room.count")])
      yield* a.emit("room.count", 1)
      yield* b.emit("room.count", 1)
      assert.deepStrictEqual(yield* payloads(atA), [1, 1])
      assert.deepStrictEqual(yield* payloads(atC), [1, 1])
    })
  )

  it.effect("a failing bus fails emit, and those who asked for their own have it all the same", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* two(echo)
      const [own, other] = yield* Effect.all([a.on("room.count", { own: true }), b.on("room.count")])
      network.reachable = false
      const error = yield* Effect.flip(a.emit("room.count", 1))
      assert.strictEqual(error.reason._tag, "BusUnreachable")
      assert.deepStrictEqual(yield* payloads(own), [1])
      assert.deepStrictEqual(yield* payloads(other), [])
    })
  )
})

describe("payloads", () => {
  it.effect("travel by their schemas: dates, classes, nothing at all", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two(true)
      const [meetings, ticks] = yield* Effect.all([b.on("meeting"), b.on("tick")])
      const meeting = new Meeting({ room: "general", at: new Date(1_000) })
      yield* a.emit("meeting", meeting)
      yield* a.emit("tick", undefined)
      const heard = yield* meetings.take
      assert.instanceOf(heard, Meeting)
      assert.deepStrictEqual(heard, meeting)
      assert.strictEqual(yield* ticks.take, undefined)
    })
  )

  it.effect("that are not what the schema says kill emit and go nowhere", () =>
    Effect.gen(function* () {
      const { a, network } = yield* two(true)
      const own = yield* a.on("room.count", { own: true })
      const exit = yield* Effect.exit(a.emit("room.count", 1.5))
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(network.published, [])
      assert.deepStrictEqual(yield* payloads(own), [])
    })
  )

  it.effect(
    "that make no sense are dropped and counted, and logged once for many in a row, without what they say",
    () => {
      const log: Array<string> = []
      const logger = Logger.make(({ message }) => void log.push(String(message)))
      return Effect.gen(function* () {
        const { a, b, network } = yield* two(true)
        const counts = yield* b.on("room.count")
        const bad = [
          "not JSON",
          "null",
          "[]",
          '{"v":2,"from":"x","data":1}',
          '{"v":1,"from":"x"}',
          '{"v":1,"from":"x","data":"secret"}'
        ]
        const events = bad.map((payload) => ({ _tag: "Message", payload }) as const)
        for (const event of events) network.tell("events:room.count", event)
        yield* a.emit("room.count", 1)
        for (const event of events.toReversed()) network.tell("events:room.count", event)
        yield* a.emit("room.count", 2)
        assert.deepStrictEqual(yield* payloads(counts), [1, 2])
        assert.deepStrictEqual(log, [
          "what arrived on the topic room.count was dropped: it is not of this library",
          "what arrived on the topic room.count was dropped: Expected number"
        ])
        const metrics = yield* Metric.snapshot
        const counted = metrics.filter(({ id }) => id === "effect_rooms_bus_events_dropped")
        assert.deepStrictEqual(
          counted.map(({ attributes, state }) => [attributes, state]),
          [
            [
              { topic: "room.count", why: "undecodable" },
              { count: 2 * bad.length, incremental: true }
            ]
          ]
        )
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
    }
  )
})

describe("reading", () => {
  it.effect("works with for await, as a stream, one at a time; gaps are in events only", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* two(true)
      const counts = yield* b.on("room.count")
      network.tell("events:room.count", { _tag: "Gap", reason: "reconnected" })
      for (const count of [1, 2, 3, 4]) yield* a.emit("room.count", count)
      network.tell("events:room.count", { _tag: "Gap", reason: "unreachable" })
      assert.strictEqual(yield* counts.take, 1)
      const awaited = yield* Effect.promise(async () => {
        for await (const count of counts) return count
        return undefined
      })
      assert.strictEqual(awaited, 2)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(counts.stream, 1)), [3])
      assert.deepStrictEqual(yield* payloads(counts), [4, "unreachable"])
    })
  )

  it.effect("of gaps with nothing between them the last is told", () =>
    Effect.gen(function* () {
      const { b, network } = yield* two(true)
      const counts = yield* b.on("room.count")
      for (const reason of ["unreachable", "reconnected", "unreachable", "reconnected"] as const)
        network.tell("events:room.count", { _tag: "Gap", reason })
      assert.deepStrictEqual(yield* payloads(counts), ["reconnected"])
    })
  )

  it.effect("slower than the capacity loses the oldest, says so where it was, and counts", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* two(true)
      const counts = yield* b.on("room.count", { capacity: 3 })
      const emitAll = (...all: ReadonlyArray<number>) => Effect.forEach(all, (count) => a.emit("room.count", count))
      yield* emitAll(1, 2)
      network.tell("events:room.count", { _tag: "Gap", reason: "reconnected" })
      yield* emitAll(3, 4)
      assert.strictEqual(counts.dropped, 1)
      assert.deepStrictEqual(yield* payloads(counts), ["overflow", 2, "reconnected", 3, 4])
      yield* emitAll(1, 2)
      network.tell("events:room.count", { _tag: "Gap", reason: "reconnected" })
      yield* emitAll(3, 4, 5, 6, 7)
      assert.strictEqual(counts.dropped, 5)
      assert.deepStrictEqual(yield* payloads(counts), ["overflow", 5, 6, 7])
    })
  )

  it.effect("ends with the scope: loops end, the bus is left, nothing unread is kept", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* two(true)
      const scope = yield* Scope.make()
      const counts = yield* Scope.provide(b.on("room.count", { own: true }), scope)
      assert.deepStrictEqual(network.subscribed, ["events:room.count"])
      const waiting = yield* Effect.forkChild(
        counts.runForEach(() => Effect.void),
        { startImmediately: true }
      )
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiting)))
      assert.deepStrictEqual(network.subscribed, [])
      yield* a.emit("room.count", 1)
      yield* b.emit("room.count", 2)
      assert.isTrue(Cause.isDone(yield* Effect.flip(counts.take)))
    })
  )

  it.effect("TRAP3: a topic the bus refuses fails on and leaves nothing that hears its own", () =>
    Effect.gen(function* () {
      const { a, network } = yield* two(true)
      network.refuses = "events:room.count"
      const error: EventBusError = yield* Effect.flip(a.on("room.count", { own: true }))
      assert.strictEqual(error.reason._tag, "BusRefused")
      network.refuses = undefined
      const counts = yield* a.on("room.count", { own: true })
      yield* a.emit("room.count", 1)
      assert.deepStrictEqual(yield* payloads(counts), [1])
    })
  )
})

describe("topics", () => {
  it.effect("keep applications apart by their prefix", () =>
    Effect.gen(function* () {
      const network = new PlainNetwork(true)
      const [shop, forum] = yield* Effect.all([
        BusTopics.make(network.node(), topics, { prefix: "shop:" }),
        BusTopics.make(network.node(), topics, { prefix: "forum:" })
      ])
      const [atShop, atForum] = yield* Effect.all([
        shop.on("room.count", { own: true }),
        forum.on("room.count", { own: true })
      ])
      yield* shop.emit("room.count", 1)
      assert.deepStrictEqual(network.subscribed, ["shop:room.count", "forum:room.count"])
      assert.deepStrictEqual(yield* payloads(atShop), [1])
      assert.deepStrictEqual(yield* payloads(atForum), [])
    })
  )

  it.effect("die with a sentence when a name is too long or unknown, or a capacity is none", () =>
    Effect.gen(function* () {
      const { a, network } = yield* two(true)
      const defects: ReadonlyArray<Effect.Effect<unknown, unknown, Scope.Scope>> = [
        BusTopics.make(network.node(), { ["x".repeat(194)]: Schema.String }),
        a.on("room.count", { capacity: 0 }),
        // @ts-expect-error not a topic
        a.emit("nothing", 1),
        // @ts-expect-error not its payload
        a.emit("room.message", 1)
      ]
      const exits = yield* Effect.forEach(defects, (defect) => Effect.exit(defect))
      const sentences = exits.map((exit) => (Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "success"))
      assert.include(sentences[0], "RangeError: a topic has 1 to 200 characters with its prefix, not 201")
      assert.include(sentences[1], "RangeError: capacity must be a whole number of at least 1, not 0")
      assert.include(sentences[2], "no topic is called nothing")
      assert.include(sentences[3], "Expected")
    })
  )

  it("have types", () => {
    const made = BusTopics.make(new PlainNetwork(true).node(), topics)
    type Made = Effect.Success<typeof made>
    const listen = (events: Made) => events.on("meeting")
    expectTypeOf<Effect.Success<ReturnType<typeof listen>>>().toEqualTypeOf<BusTopics.TopicMessages<Meeting>>()
  })
})
