/**
 * The event bus over Redis as an application has it: the layer, against a private server that dies and stalls.
 */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { EventBus } from "../../src/cluster/EventBus.ts"
import * as RedisBus from "../../src/cluster/RedisBus.ts"
import { type Broker, skipWhere } from "../support/broker.ts"
import { refusalOf, took, visible } from "../support/driverLink.ts"
import { Listener, whenDegraded, whenUp } from "../support/busListener.ts"
import { connectAdmin, missing, startRedis } from "../support/redisServer.ts"

skipWhere(missing)

const server = (...options: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(() => startRedis(options)),
    (broker) => Effect.promise(() => broker[Symbol.asyncDispose]())
  )

const url = (broker: Broker) => `redis://127.0.0.1:${broker.port}`

/** A node of its own: the layer is not shared. What it logs is printed nowhere. */
const node = <E>(layer: Layer.Layer<EventBus, E>, loggers: ReadonlyArray<Logger.Logger<unknown, void>> = []) =>
  Layer.build(Layer.fresh(layer)).pipe(
    Effect.map((services) => Context.get(services, EventBus)),
    Effect.provide(Logger.layer(loggers))
  )

const open = (broker: Broker, options?: Partial<RedisBus.Options>) =>
  node(RedisBus.layer({ url: url(broker), ...options }))

const canary = "canary-7f3a9c"

describe("RedisBus", () => {
  it.live("nodes hear each other and themselves", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const configured = RedisBus.layerConfig({ url: Config.Redacted("REDIS_URL"), prefix: Config.succeed("app:") })
      const provider = ConfigProvider.fromUnknown({ REDIS_URL: url(broker) })
      const one = yield* node(configured.pipe(Layer.provide(ConfigProvider.layer(provider))))
      const two = yield* open(broker, { prefix: "app:" })
      const [first, second] = [yield* Listener.open(one, "a"), yield* Listener.open(two, "a")]
      yield* one.publish("a", "1")
      yield* two.publish("a", "2")
      for (const listener of [first, second]) assert.deepStrictEqual(yield* listener.hears(2), ["1", "2"])
      yield* whenUp(one)
      assert.deepInclude(one, { kind: "redis", maxPayload: 1024 * 1024, echo: true, ordered: true })
      const small = yield* open(broker, { maxPayload: 4 })
      assert.strictEqual(yield* refusalOf(small.publish("a", "12345")), "PayloadTooLarge")
    })
  )

  it.live("P12: after kill -9 and restart everybody is told of the gap and hears again", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const [one, two] = [yield* open(broker), yield* open(broker)]
      const listeners = [yield* Listener.open(one, "a"), yield* Listener.open(two, "a"), yield* Listener.open(two, "b")]
      yield* whenUp(one)
      yield* Effect.promise(() => broker.kill())
      const [, noticed] = yield* took(Effect.forEach(listeners, (listener) => listener.sees("unreachable")))
      assert.isBelow(noticed, 250)
      yield* whenDegraded(one)
      assert.strictEqual(yield* refusalOf(one.publish("a", "lost")), "BusUnreachable")
      // A topic of a node without a connection.
      const late = yield* Listener.open(one, "late")
      assert.deepStrictEqual(late.seen, ["unreachable"])
      yield* Effect.sleep("300 millis")
      yield* Effect.promise(() => broker.start())
      const [, back] = yield* took(Effect.forEach([...listeners, late], (listener) => listener.sees("reconnected")))
      assert.isBelow(back, 2_500)
      yield* one.publish("a", "again")
      yield* two.publish("late", "again")
      for (const listener of [listeners[0]!, listeners[1]!, late]) {
        assert.deepStrictEqual(yield* listener.hears(1), ["again"])
        assert.deepStrictEqual(listener.seen, ["unreachable", "reconnected"])
      }
      yield* whenUp(one)
    })
  )

  it.live("K7, BUG18: a stopped Redis is noticed within 3.5 s, and 6 s of it cost a gap", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const [one, two] = [yield* open(broker), yield* open(broker)]
      const listener = yield* Listener.open(two, "a")
      yield* Effect.all([whenUp(one), whenUp(two)])
      broker.stall()
      const stalled = performance.now()
      const [, noticed] = yield* took(Effect.all([listener.sees("unreachable"), whenDegraded(two)]))
      assert.isBelow(noticed, 3_600)
      yield* Effect.sleep(6_000 - (performance.now() - stalled))
      assert.strictEqual(yield* refusalOf(one.publish("a", "lost")), "BusUnreachable")
      assert.deepStrictEqual(listener.seen, ["unreachable"])
      broker.resume()
      const [, back] = yield* took(listener.sees("reconnected"))
      assert.isBelow(back, 2_500)
      yield* Effect.all([whenUp(one), whenUp(two)])
      yield* one.publish("a", "again")
      assert.deepStrictEqual(yield* listener.hears(1), ["again"])
    })
  )

  it.live("K6: losing the socket that listens costs a gap, also where the other one is up", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      using operator = yield* Effect.promise(() => connectAdmin(broker))
      const [one, two] = [yield* open(broker), yield* open(broker)]
      const listener = yield* Listener.open(two, "a")
      for (let round = 1; round <= 3; round++) {
        yield* whenUp(one)
        yield* Effect.promise(() => operator.ask("CLIENT KILL TYPE pubsub"))
        yield* listener.sees("reconnected", round)
        yield* whenUp(one)
        yield* one.publish("a", String(round))
        yield* listener.hears(round)
      }
      assert.deepStrictEqual(listener.payloads, ["1", "2", "3"])
      assert.lengthOf(listener.seen, 6)
    })
  )

  it.live("BUG1: a node that starts before Redis does begins degraded, and works once Redis is there", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      yield* Effect.promise(() => broker.kill())
      const [bus, started] = yield* took(open(broker, { startTimeout: "300 millis" }))
      assert.isAtLeast(started, 290)
      assert.isBelow(started, 1_000)
      assert.deepInclude(yield* bus.health, { _tag: "Degraded", why: "no connection to Redis (ECONNREFUSED)" })
      const listener = yield* Listener.open(bus, "a")
      yield* Effect.promise(() => broker.start())
      const [, up] = yield* took(whenUp(bus))
      assert.isBelow(up, 2_500)
      yield* listener.sees("reconnected")
      yield* bus.publish("a", "1")
      assert.deepStrictEqual(yield* listener.hears(1), ["1"])
    })
  )

  it.live("TRAP3: a refused subscribe fails, and the other topics of the node do not suffer", () =>
    Effect.gen(function* () {
      const rules = `bob on >${canary} resetchannels &app:* &effect-rooms.* +@all`
      const broker = yield* server("--user", ...rules.split(" "))
      using operator = yield* Effect.promise(() => connectAdmin(broker))
      const bus = yield* open(broker, { username: "bob", password: Redacted.make(canary) })
      const subscribes = ["app:a", "other", "app:b", "other"].map((topic) => Effect.exit(Listener.open(bus, topic)))
      const exits = yield* Effect.all(subscribes, { concurrency: "unbounded" })
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, false])
      assert.strictEqual(yield* refusalOf(bus.publish("other", "")), "BusRefused")
      yield* Effect.promise(() => operator.ask("ACL SETUSER bob &other"))
      const listener = yield* Listener.open(bus, "other")
      yield* bus.publish("other", "1")
      assert.deepStrictEqual(yield* listener.hears(1), ["1"])
    })
  )

  it.live("BUG5: 5,000 topics come back after a restart", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const bus = yield* open(broker)
      const topics = Array.from({ length: 5_000 }, (_, index) => `room ${index}`)
      const listeners = yield* Effect.forEach(topics, (topic) => Listener.open(bus, topic), {
        concurrency: "unbounded"
      })
      yield* Effect.promise(() => broker.restart())
      const [, back] = yield* took(Effect.forEach(listeners, (listener) => listener.sees("reconnected")))
      assert.isBelow(back, 2_500)
      yield* Effect.forEach(topics, (topic) => bus.publish(topic, topic), { concurrency: "unbounded" })
      for (const listener of listeners) assert.deepStrictEqual(yield* listener.hears(1), [listener.topic])
    })
  )

  it.live("BUG16: the last topic of a node leaves Redis a while after its last listener, and comes back", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      using operator = yield* Effect.promise(() => connectAdmin(broker))
      const bus = yield* open(broker, { releaseAfter: "50 millis" })
      for (let round = 0; round < 3; round++) {
        const scope = yield* Scope.make()
        const listener = yield* Scope.provide(Listener.open(bus, "a"), scope)
        yield* bus.publish("a", "1")
        yield* listener.hears(1)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.promise(() =>
          operator.until("PUBSUB NUMSUB a", (counts) => (counts as ReadonlyArray<unknown>)[1] === 0)
        )
        assert.deepStrictEqual(listener.payloads, ["1"])
      }
    })
  )

  it.live("SEC27: neither logs nor errors nor health name user or password, whatever goes wrong", () =>
    Effect.gen(function* () {
      const broker = yield* server("--user", ...`${canary}-user on >${canary} allchannels +@all`.split(" "))
      const logged: Array<string> = []
      const logger = Logger.make((entry) => {
        logged.push(visible(inspect, entry.message), Cause.pretty(entry.cause))
      })
      const shown: Array<string> = []
      const life = Effect.fnUntraced(function* (options: Partial<RedisBus.Options>) {
        const bus = yield* node(RedisBus.layer({ url: url(broker), startTimeout: "200 millis", ...options }), [logger])
        yield* Effect.sleep("50 millis")
        for (const what of [yield* bus.health, bus, yield* Effect.exit(bus.publish("a", "1"))]) {
          shown.push(visible(inspect, what))
        }
      }, Effect.scoped)
      const good = Redacted.make(`redis://${canary}-user:${canary}@127.0.0.1:${broker.port}`)
      const bad = Redacted.make(`redis://${canary}-user:${canary}-wrong@127.0.0.1:${broker.port}`)
      const lives = [life({ url: good }), life({ url: bad }), life({ username: `${canary}-user`, password: bad })]
      yield* Effect.all(lives)
      yield* Effect.promise(() => broker.kill())
      yield* Effect.all(lives, { concurrency: "unbounded" })
      assert.isAtLeast(logged.length, 5)
      assert.include(logged.join(), "WRONGPASS")
      assert.notInclude(logged.join(), canary)
      assert.notInclude(shown.join(), canary)
    })
  )

  it.live("options that cannot be right are defects, which quote nothing secret", () =>
    Effect.gen(function* () {
      const password = Redacted.make(canary)
      const wrong: ReadonlyArray<RedisBus.Options> = [
        { url: `redis://user:${canary}@localhost` },
        { url: `redis://${canary}@localhost` },
        { url: Redacted.make(`http://user:${canary}@localhost`), password },
        { url: Redacted.make(`redis://user:${canary}%@localhost`) },
        { url: Redacted.make(`redis://user:${canary}@localhost:0x7`) },
        { url: Redacted.make(`redis://localhost/${canary}`) },
        { url: canary },
        { url: "" },
        { url: "redis://localhost", tls: { ca: canary } },
        { url: "redis://localhost", maxPayload: 0 },
        { url: "redis://localhost", maxPayload: Number.NaN }
      ]
      for (const options of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(node(RedisBus.layer(options))))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.notInclude(visible(inspect, exit), canary)
      }
    })
  )
})
