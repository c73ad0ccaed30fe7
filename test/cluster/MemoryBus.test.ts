/**
 * The simulated network: what arrives, when, in which order, and the same each time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import { EventBus, type EventBusService } from "../../src/cluster/EventBus.ts"
import * as MemoryBus from "../../src/cluster/MemoryBus.ts"
import { Ear } from "../support/fakeDriver.ts"

const listen = Effect.fnUntraced(function* (bus: EventBusService, topic = "a") {
  const ear = new Ear()
  yield* bus.subscribe(topic, ear.onEvent)
  return ear
})

class Sender extends Context.Service<Sender, EventBusService>()("test/Sender") {}
class Receiver extends Context.Service<Receiver, EventBusService>()("test/Receiver") {}

/** Nodes `a`, `b`, `c` that work; `ears` of the topic `a` on each. */
const makeNodes = Effect.fnUntraced(function* (options?: MemoryBus.Options) {
  const network = yield* MemoryBus.make(options)
  const [a, b, c] = [yield* network.bus("a"), yield* network.bus("b"), yield* network.bus("c")]
  yield* TestClock.adjust(1)
  const ears = { a: yield* listen(a), b: yield* listen(b), c: yield* listen(c) }
  const heard = () => [ears.a.heard, ears.b.heard, ears.c.heard].map((each) => each.join(" "))
  return { network, a, b, c, ears, heard }
})

describe("a network without faults", () => {
  it.effect("delivers at the end of the turn, to every node that subscribes, and back", () =>
    Effect.gen(function* () {
      const { a, heard, network } = yield* makeNodes()
      yield* a.publish("a", "1")
      yield* a.publish("b", "2")
      yield* Effect.yieldNow
      assert.deepStrictEqual(heard(), ["1", "1", "1"])
      assert.deepStrictEqual(
        [yield* network.published("a"), yield* network.published("b"), yield* network.published("c")],
        [1, 1, 0]
      )
    })
  )

  it.effect("does not deliver within the publish", () =>
    Effect.gen(function* () {
      const { a, heard } = yield* makeNodes()
      Effect.runSync(a.publish("a", "1"))
      assert.deepStrictEqual(heard(), ["", "", ""])
    })
  )

  it.effect("gives nothing back where nothing echoes", () =>
    Effect.gen(function* () {
      const { a, heard } = yield* makeNodes({ echo: false })
      assert.isFalse(a.echo)
      yield* a.publish("a", "1")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(heard(), ["", "1", "1"])
      assert.strictEqual((yield* a.health)._tag, "Up")
    })
  )

  it.effect("knows what the broker delivers to a node, and counts what it was told, without probes", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* makeNodes()
      yield* listen(a, "x")
      yield* TestClock.adjust("1 minute")
      yield* b.publish("x", "1")
      assert.deepStrictEqual((yield* network.subscribed("a")).toSorted(), ["a", "x"])
      assert.deepStrictEqual(yield* network.subscribed("nobody"), [])
      assert.deepInclude(yield* network.counts, { published: 1, overflows: 0, dials: 3 })
    })
  )

  it.effect("says what its options say, and dies of those that are not possible", () =>
    Effect.gen(function* () {
      const { a } = yield* makeNodes({ maxPayload: 5, ordered: false })
      assert.deepInclude(a, { kind: "memory", maxPayload: 5, ordered: false, echo: true })
      assert.strictEqual((yield* Effect.flip(a.publish("a", "123456"))).reason._tag, "PayloadTooLarge")
      for (const options of [
        { maxPayload: 0 },
        { maxInFlight: 1.5 },
        { loss: 1.1 },
        { duplication: -1 },
        { reorder: Number.NaN },
        { latency: { min: 2, max: 1 } },
        { answer: "Infinity" as const }
      ]) {
        const exit = yield* Effect.exit(MemoryBus.make(options))
        assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("RangeError"), JSON.stringify(options))
      }
    })
  )

  it.effect("provides a bus for each layer of a node, and one for all who share a layer", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make()
      const layer = network.layer("a")
      const both = Effect.all([EventBus, EventBus])
      const [first, second] = yield* Effect.provide(both, layer)
      assert.strictEqual(first, second)
      const other = yield* Effect.provide(EventBus, Layer.fresh(layer))
      assert.notStrictEqual(first, other)
      assert.strictEqual((yield* network.counts).dials, 2)
    })
  )
})

const record = (seed: number) =>
  Effect.gen(function* () {
    const { a, b, c, ears, heard } = yield* makeNodes({
      latency: { min: 0, max: 9 },
      loss: 0.2,
      duplication: 0.2,
      reorder: 0.2
    })
    for (let n = 0; n < 50; n++) {
      yield* [a, b, c][n % 3]!.publish("a", `${n}`)
      yield* TestClock.adjust(n % 4)
    }
    yield* TestClock.adjust(100)
    assert.isAbove(ears.a.heard.length, 20)
    return heard()
  }).pipe(Effect.scoped, Random.withSeed(seed))

describe("time", () => {
  it.effect("messages take a time of the range, those of one node in order", () =>
    Effect.gen(function* () {
      const { a, ears, network } = yield* makeNodes({ latency: { min: 10, max: 50 } })
      for (let n = 0; n < 20; n++) yield* a.publish("a", `${n}`)
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(ears.b.heard, [])
      yield* TestClock.adjust(41)
      const all = Array.from({ length: 20 }, (_, n) => `${n}`)
      assert.deepStrictEqual([ears.a.heard, ears.b.heard, ears.c.heard], [all, all, all])
      yield* network.set({ latency: 0 })
      yield* a.publish("a", "now")
      yield* Effect.yieldNow
      assert.strictEqual(ears.b.heard.at(-1), "now")
    })
  )

  it.effect("what takes no time does not overtake what was sent before", () =>
    Effect.gen(function* () {
      const { a, ears, network } = yield* makeNodes({ latency: 10 })
      yield* a.publish("a", "1")
      yield* network.set({ latency: 0 })
      yield* a.publish("a", "2")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(ears.b.heard, ["1", "2"])
    })
  )

  it.effect("what takes no time does not overtake what arrives in the same moment", () =>
    Effect.gen(function* () {
      const { a, ears, network } = yield* makeNodes()
      // Wakes before the network does.
      yield* Effect.forkChild(Effect.delay(a.publish("a", "2"), 10), { startImmediately: true })
      yield* network.set({ latency: 10 })
      yield* a.publish("a", "1")
      yield* network.set({ latency: 0 })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(ears.b.heard, ["1", "2"])
    })
  )

  it.effect("publishes of a node are carried out in their order, however long each takes", () =>
    Effect.gen(function* () {
      const { a, ears, network } = yield* makeNodes()
      yield* network.set({ answer: { min: 0, max: 30 } })
      const all = Array.from({ length: 20 }, (_, n) => `${n}`)
      yield* Effect.forkChild(
        Effect.forEach(all, (n) => a.publish("a", n), { concurrency: "unbounded" }),
        {
          startImmediately: true
        }
      )
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(ears.b.heard, all)
    })
  )

  it.effect("answers take the time they are told to", () =>
    Effect.gen(function* () {
      const { a, network } = yield* makeNodes()
      yield* network.set({ answer: 20 })
      const publishing = yield* Effect.forkChild(a.publish("a", "1"), { startImmediately: true })
      const subscribing = yield* Effect.forkChild(listen(a, "x"), { startImmediately: true })
      yield* TestClock.adjust(19)
      assert.deepStrictEqual([publishing.pollUnsafe(), subscribing.pollUnsafe()], [undefined, undefined])
      yield* TestClock.adjust(1)
      assert.isDefined(publishing.pollUnsafe())
      assert.isDefined(subscribing.pollUnsafe())
    })
  )

  it.effect("is the same each time for the same seed, and another for another", () => {
    return Effect.gen(function* () {
      const [first, second, third] = [yield* record(1), yield* record(1), yield* record(2)]
      assert.deepStrictEqual(first, second)
      assert.notDeepEqual(first, third)
    })
  })
})

describe("a bus without a network", () => {
  it.effect("is shared by those who share its layer, and by nobody else", () =>
    Effect.gen(function* () {
      const layer = MemoryBus.layer()
      const context = yield* Layer.build(
        Layer.mergeAll(Layer.effect(Sender, EventBus), Layer.effect(Receiver, EventBus)).pipe(Layer.provide(layer))
      )
      const [sender, receiver] = [Context.get(context, Sender), Context.get(context, Receiver)]
      const ear = yield* listen(receiver)
      const other = yield* listen(Context.get(yield* Layer.build(Layer.fresh(layer)), EventBus))
      yield* sender.publish("a", "1")
      yield* Effect.yieldNow
      assert.deepStrictEqual([ear.heard, other.heard.includes("1")], [["1"], false])
    })
  )
})

describe("messages under way", () => {
  it.effect("are bounded; what comes above is dropped, counted, and told to who did not get it", () =>
    Effect.gen(function* () {
      const { a, heard, network } = yield* makeNodes({ latency: 10, maxInFlight: 5 })
      yield* TestClock.adjust(100)
      const exits = [0, 1, 2].map((n) => Effect.exit(a.publish("a", `${n}`)))
      // The second does not reach everybody any more, and the third does not reach the broker.
      assert.deepStrictEqual((yield* Effect.all(exits)).map(Exit.isSuccess), [true, true, false])
      assert.deepInclude(yield* network.counts, { inFlight: 5, overflows: 2 })
      yield* TestClock.adjust(10)
      assert.deepInclude(yield* network.counts, { inFlight: 0 })
      yield* a.publish("a", "3")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(heard(), ["0 1 3", "0 1 3", "0 (overflow) 3"])
    })
  )

  it.effect("that are dropped one after the other are one gap", () =>
    Effect.gen(function* () {
      const { a, heard, network } = yield* makeNodes({ maxInFlight: 4 })
      yield* network.stall("c")
      for (let n = 0; n < 5; n++) {
        yield* a.publish("a", `${n}`)
        yield* TestClock.adjust(1)
      }
      yield* network.resume("c")
      assert.deepStrictEqual(heard(), ["0 1 2 3 4", "0 1 2 3 4", "0 1 (overflow)"])
      assert.strictEqual((yield* network.counts).overflows, 3)
    })
  )

  it.effect("are gone when the nodes they are for have gone, and nothing is counted for ever", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make({ latency: 10 })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const a = yield* network.bus("a")
          yield* listen(a)
          yield* a.publish("a", "1")
        })
      )
      yield* TestClock.adjust(20)
      assert.deepInclude(yield* network.counts, { inFlight: 0 })
      assert.deepStrictEqual(yield* network.subscribed("a"), [])
    })
  )

  it.effect("100,000 are delivered in order without a fiber for each", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make({ latency: { min: 1, max: 100 } })
      const [a, b] = [yield* network.bus("a"), yield* network.bus("b")]
      yield* TestClock.adjust(200)
      let last = -1
      let count = 0
      yield* b.subscribe("a", (event) => {
        if (event._tag !== "Message") return
        count++
        if (Number(event.payload) < last) last = Number.POSITIVE_INFINITY
        else last = Number(event.payload)
      })
      for (let n = 0; n < 100_000; n++) yield* a.publish("a", `${n}`)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([count, last], [100_000, 99_999])
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
