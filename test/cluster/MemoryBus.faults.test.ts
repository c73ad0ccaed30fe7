/**
 * The faults of the simulated network, and what nodes make of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import type { EventBusService } from "../../src/cluster/EventBus.ts"
import * as MemoryBus from "../../src/cluster/MemoryBus.ts"
import { Ear } from "../support/fakeDriver.ts"

const makeNodes = Effect.fnUntraced(function* (options?: MemoryBus.Options) {
  const network = yield* MemoryBus.make(options)
  const node = Effect.fnUntraced(function* (name: string) {
    const bus = yield* network.bus(name)
    const ear = new Ear()
    yield* bus.subscribe("a", ear.onEvent)
    return { bus, ear }
  })
  const nodes = { a: yield* node("a"), b: yield* node("b"), c: yield* node("c") }
  yield* TestClock.adjust(1_500)
  const heard = () => [nodes.a, nodes.b, nodes.c].map(({ ear }) => ear.heard.splice(0).join(" "))
  /** Publishes, and answers what a, b and c heard since last asked. */
  const say = (from: EventBusService, payload: string) =>
    Effect.map(Effect.andThen(Effect.exit(from.publish("a", payload)), TestClock.adjust(1)), heard)
  const health = Effect.map(Effect.all([nodes.a.bus.health, nodes.b.bus.health, nodes.c.bus.health]), (all) =>
    all.map(({ _tag }) => _tag).join(" ")
  )
  return { network, ...nodes, node, say, heard, health }
})

const tagOf = (effect: ReturnType<EventBusService["publish"]>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

describe("partitions", () => {
  it.effect("lose what goes one way, and nothing else, until they are healed", () =>
    Effect.gen(function* () {
      const { a, b, health, network, say } = yield* makeNodes()
      yield* network.partition("a", "b")
      assert.deepStrictEqual(yield* say(a.bus, "1"), ["1", "", "1"])
      assert.deepStrictEqual(yield* say(b.bus, "2"), ["2", "2", "2"])
      yield* network.partition("a", "c")
      yield* network.heal("a", "b")
      assert.deepStrictEqual(yield* say(a.bus, "3"), ["3", "3", ""])
      yield* network.partition("b", "a")
      yield* network.heal("a")
      assert.deepStrictEqual(
        [yield* say(a.bus, "4"), yield* say(b.bus, "5")],
        [
          ["4", "4", "4"],
          ["", "5", "5"]
        ]
      )
      yield* network.heal()
      assert.deepStrictEqual(yield* say(b.bus, "6"), ["6", "6", "6"])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* health, "Up Up Up")
    })
  )

  it.effect("let through what is under way", () =>
    Effect.gen(function* () {
      const { a, heard, network } = yield* makeNodes({ latency: 10 })
      yield* a.bus.publish("a", "1")
      yield* network.partition("a", "b")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(heard(), ["1", "1", "1"])
    })
  )
})

describe("messages that are lost, doubled and overtaken", () => {
  it.effect("are as many as the probabilities say", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* makeNodes()
      const count = Effect.fnUntraced(function* (faults: MemoryBus.Faults) {
        yield* network.set({ loss: 0, duplication: 0, reorder: 0, ...faults })
        b.ear.heard.length = 0
        for (let n = 0; n < 1_000; n++) {
          yield* a.bus.publish("a", `${n}`)
          if (n % 10 === 0) yield* TestClock.adjust(1)
        }
        yield* TestClock.adjust(100)
        const numbers = b.ear.heard.map(Number)
        return {
          arrived: new Set(numbers).size,
          doubled: numbers.length - new Set(numbers).size,
          early: numbers.filter((n, index) => index > 0 && n < numbers[index - 1]!).length
        }
      })
      assert.deepStrictEqual(yield* count({}), { arrived: 1_000, doubled: 0, early: 0 })
      const lossy = yield* count({ loss: 0.25 })
      assert.isTrue(lossy.arrived > 650 && lossy.arrived < 850 && lossy.early === 0, JSON.stringify(lossy))
      const doubling = yield* count({ duplication: 0.25 })
      assert.isTrue(doubling.arrived === 1_000 && doubling.doubled > 150 && doubling.doubled < 350)
      const shuffled = yield* count({ reorder: 0.25 })
      assert.isTrue(shuffled.arrived === 1_000 && shuffled.doubled === 0 && shuffled.early > 50)
      assert.deepStrictEqual(yield* count({}), { arrived: 1_000, doubled: 0, early: 0 })
    })
  )
})

describe("brokers", () => {
  it.effect(
    "BUG1, BUG19: a crash loses every connection and what was under way, and nobody connects until it is back",
    () =>
      Effect.gen(function* () {
        const { a, health, heard, network, say } = yield* makeNodes({ latency: 10 })
        yield* a.bus.publish("a", "under way")
        yield* network.crash
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual(heard(), ["(unreachable)", "(unreachable)", "(unreachable)"])
        assert.strictEqual(yield* health, "Degraded Degraded Degraded")
        assert.strictEqual((yield* Effect.flip(a.bus.publish("a", "1"))).reason._tag, "BusUnreachable")
        yield* network.restart
        yield* TestClock.adjust(2_500)
        assert.deepStrictEqual(heard(), ["(reconnected)", "(reconnected)", "(reconnected)"])
        assert.strictEqual(yield* health, "Up Up Up")
        yield* network.set({ latency: 0 })
        assert.deepStrictEqual(yield* say(a.bus, "2"), ["2", "2", "2"])
      })
  )

  it.effect("K7: a broker that stands still lets nothing through and tells nobody; a short stall only delays", () =>
    Effect.gen(function* () {
      const { a, health, heard, network } = yield* makeNodes()
      yield* network.stall()
      const publishing = yield* Effect.forkChild(a.bus.publish("a", "1"), { startImmediately: true })
      yield* TestClock.adjust(1_500)
      assert.deepStrictEqual([publishing.pollUnsafe(), yield* health], [undefined, "Up Up Up"])
      yield* network.resume()
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([publishing.pollUnsafe(), heard()], [Exit.void, ["1", "1", "1"]])
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual([yield* health, heard()], ["Up Up Up", ["", "", ""]])
    })
  )

  it.effect("K7, P12: a long stall is noticed by all within 3.5 s, and nothing old arrives after it", () =>
    Effect.gen(function* () {
      const { a, health, heard, network, say } = yield* makeNodes()
      yield* network.stall()
      const publishing = yield* Effect.forkChild(Effect.flip(a.bus.publish("a", "old")), { startImmediately: true })
      yield* TestClock.adjust(3_500)
      assert.strictEqual(yield* health, "Degraded Degraded Degraded")
      assert.isDefined(publishing.pollUnsafe())
      assert.deepInclude(yield* network.counts, { inFlight: 0 })
      yield* TestClock.adjust(20_000)
      yield* network.resume()
      yield* TestClock.adjust(5_000)
      assert.deepStrictEqual(
        heard(),
        Array.from({ length: 3 }, () => "(unreachable) (reconnected)")
      )
      assert.deepStrictEqual(yield* say(a.bus, "new"), ["new", "new", "new"])
      assert.deepInclude(yield* network.counts, { inFlight: 0 })
    })
  )

  it.effect("one that stands still and is ended then does not stand still when it is back", () =>
    Effect.gen(function* () {
      const { a, health, heard, network, say } = yield* makeNodes()
      yield* network.stall()
      yield* TestClock.adjust(3_500)
      yield* network.crash
      const { dials } = yield* network.counts
      yield* TestClock.adjust(3_000)
      assert.isAbove((yield* network.counts).dials, dials)
      yield* network.restart
      yield* TestClock.adjust(2_500)
      assert.strictEqual(yield* health, "Up Up Up")
      heard()
      assert.deepStrictEqual(yield* say(a.bus, "1"), ["1", "1", "1"])
    })
  )

  it.effect("BUG18: a node whose network stands still is alone with it", () =>
    Effect.gen(function* () {
      const { a, b, health, heard, network, say } = yield* makeNodes()
      yield* network.stall("b")
      assert.deepStrictEqual(yield* say(a.bus, "1"), ["1", "", "1"])
      assert.deepStrictEqual(yield* say(b.bus, "2").pipe(Effect.forkChild, Effect.as([])), [])
      yield* TestClock.adjust(3_500)
      assert.strictEqual(yield* health, "Up Degraded Up")
      yield* network.resume("b")
      yield* TestClock.adjust(7_000)
      assert.strictEqual(yield* health, "Up Up Up")
      heard()
      assert.deepStrictEqual(yield* say(a.bus, "3"), ["3", "3", "3"])
    })
  )

  it.effect("BUG19: a connection that is cut costs its node a gap, and the others nothing", () =>
    Effect.gen(function* () {
      const { a, heard, network, say } = yield* makeNodes()
      yield* network.cut("b")
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(heard(), ["", "(unreachable) (reconnected)", ""])
      yield* network.cut()
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(
        heard(),
        Array.from({ length: 3 }, () => "(unreachable) (reconnected)")
      )
      assert.deepStrictEqual(yield* say(a.bus, "1"), ["1", "1", "1"])
      // Nothing is sent to connections that are gone.
      yield* network.set({ latency: 10 })
      yield* a.bus.publish("a", "2")
      assert.deepInclude(yield* network.counts, { inFlight: 3 })
    })
  )

  it.effect("BUG17: a broker that refuses dials is dialled until it does not", () =>
    Effect.gen(function* () {
      const { health, network } = yield* makeNodes()
      const { dials } = yield* network.counts
      yield* network.refuseDials(7)
      yield* network.cut()
      yield* TestClock.adjust(10_000)
      assert.strictEqual(yield* health, "Up Up Up")
      assert.strictEqual((yield* network.counts).dials - dials, 10)
    })
  )

  it.effect("TRAP3: what is refused is refused to those who do it, until it is allowed", () =>
    Effect.gen(function* () {
      const { a, b, network } = yield* makeNodes()
      const subscribe = Effect.scoped(a.bus.subscribe("x", () => {}))
      yield* network.refuse("x")
      assert.deepStrictEqual(
        [yield* tagOf(subscribe), yield* tagOf(b.bus.publish("x", "1"))],
        ["BusRefused", "BusRefused"]
      )
      yield* network.allow("x")
      yield* network.refuse("x", "subscribe")
      assert.strictEqual(yield* tagOf(subscribe), "BusRefused")
      yield* b.bus.publish("x", "1")
      yield* network.allow("x")
      yield* subscribe
    })
  )

  it.effect("K6: a node whose subscriptions are late publishes before it hears, and hears from the second gap on", () =>
    Effect.gen(function* () {
      const { a, b, heard, network, say } = yield* makeNodes()
      yield* network.late("b", 1_700)
      yield* network.cut("b")
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(heard(), ["", "(unreachable)", ""])
      assert.deepStrictEqual(yield* say(b.bus, "1"), ["1", "", "1"])
      assert.deepStrictEqual(yield* say(a.bus, "2"), ["2", "", "2"])
      yield* TestClock.adjust(1_700)
      assert.deepStrictEqual(heard(), ["", "(reconnected)", ""])
      assert.deepStrictEqual(yield* say(a.bus, "3"), ["3", "3", "3"])
    })
  )
})

describe("nodes", () => {
  it.effect("one that crashes is never heard again, and another may take its name", () =>
    Effect.gen(function* () {
      const { a, c, heard, network, node, say } = yield* makeNodes()
      yield* network.crashNode("b")
      assert.deepStrictEqual(yield* network.subscribed("b"), [])
      assert.deepStrictEqual(yield* say(a.bus, "1"), ["1", "", "1"])
      const again = yield* node("b")
      yield* TestClock.adjust(10_000)
      heard()
      assert.deepStrictEqual(yield* say(c.bus, "2"), ["2", "", "2"])
      assert.deepStrictEqual(again.ear.heard, ["2"])
      assert.deepStrictEqual(yield* network.subscribed("b"), ["a"])
    })
  )

  it.effect("one that has crashed closes like any other", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make()
      const scope = yield* Scope.make()
      const bus = yield* Scope.provide(network.bus("a"), scope)
      yield* network.crashNode("a")
      yield* Effect.forkChild(Effect.exit(bus.publish("a", "1")))
      yield* TestClock.adjust(60_000)
      assert.strictEqual((yield* bus.health)._tag, "Degraded")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* network.counts).inFlight, 0)
    })
  )

  it.effect("two of one name are two, each with all that is sent", () =>
    Effect.gen(function* () {
      const { a, node, say } = yield* makeNodes()
      const other = yield* node("a")
      assert.deepStrictEqual(yield* say(a.bus, "1"), ["1", "1", "1"])
      assert.deepStrictEqual(other.ear.heard, ["1"])
    })
  )
})

describe("echo", () => {
  it.effect("a broker that stops giving back what a node publishes is given up by nodes that rely on it", () =>
    Effect.gen(function* () {
      const { health, network } = yield* makeNodes()
      yield* network.set({ echo: false })
      yield* TestClock.adjust(3_500)
      assert.strictEqual(yield* health, "Degraded Degraded Degraded")
      yield* network.set({ echo: true })
      yield* TestClock.adjust(5_000)
      assert.strictEqual(yield* health, "Up Up Up")
    })
  )
})
