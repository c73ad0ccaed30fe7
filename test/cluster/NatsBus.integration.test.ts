/**
 * The event bus over NATS as an application has it: the layer, against a private server that dies and stalls.
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
import * as NatsBus from "../../src/cluster/NatsBus.ts"
import { skipWhere } from "../support/broker.ts"
import { Listener, whenDegraded, whenUp } from "../support/busListener.ts"
import { DialProxy } from "../support/dialProxy.ts"
import { refusalOf, took, visible } from "../support/driverLink.ts"
import { missing, type NatsServer, startNats } from "../support/natsServer.ts"

skipWhere(missing)

const server = (config?: string) =>
  Effect.acquireRelease(
    Effect.promise(() => startNats(config)),
    (nats) => Effect.promise(() => nats[Symbol.asyncDispose]())
  )

/** A node of its own: the layer is not shared. What it logs is printed nowhere. */
const node = <E>(layer: Layer.Layer<EventBus, E>, loggers: ReadonlyArray<Logger.Logger<unknown, void>> = []) =>
  Layer.build(Layer.fresh(layer)).pipe(
    Effect.map((services) => Context.get(services, EventBus)),
    Effect.provide(Logger.layer(loggers))
  )

const open = (nats: Pick<NatsServer, "servers">, options?: Partial<NatsBus.Options>) =>
  node(NatsBus.layer({ servers: nats.servers, ...options }))

const canary = "canary-7f3a9c"

/** A way through which a node reaches a server, to be shut. */
const way = (nats: NatsServer) =>
  Effect.acquireRelease(
    Effect.promise(() => DialProxy.to(nats.broker.port)),
    (proxy) => Effect.promise(() => proxy[Symbol.asyncDispose]())
  )

describe("NatsBus", () => {
  it.live("nodes hear each other and themselves", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const configured = NatsBus.layerConfig({ servers: Config.String("NATS"), prefix: Config.succeed("app") })
      const provider = ConfigProvider.fromUnknown({ NATS: `nats://${nats.servers}, ${nats.servers}` })
      const one = yield* node(configured.pipe(Layer.provide(ConfigProvider.layer(provider))))
      const two = yield* open(nats, { prefix: "app" })
      const other = yield* Listener.open(yield* open(nats), "a")
      const [first, second] = [yield* Listener.open(one, "a"), yield* Listener.open(two, "a")]
      yield* one.publish("a", "1")
      yield* two.publish("a", "2")
      for (const listener of [first, second]) assert.deepStrictEqual(yield* listener.hears(2), ["1", "2"])
      yield* whenUp(one)
      assert.lengthOf(other.payloads, 0)
    })
  )

  it.live("P12: after kill -9 and restart everybody is told of the gap and hears again", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const [one, two] = [yield* open(nats), yield* open(nats)]
      const listeners = [yield* Listener.open(one, "a"), yield* Listener.open(two, "a"), yield* Listener.open(two, "b")]
      yield* whenUp(one)
      yield* Effect.promise(() => nats.broker.kill())
      const [, noticed] = yield* took(Effect.forEach(listeners, (listener) => listener.sees("unreachable")))
      assert.isBelow(noticed, 250)
      yield* whenDegraded(one)
      assert.strictEqual(yield* refusalOf(one.publish("a", "lost")), "BusUnreachable")
      // A topic of a node without a connection.
      const late = yield* Listener.open(one, "late")
      assert.deepStrictEqual(late.seen, ["unreachable"])
      yield* Effect.sleep("300 millis")
      yield* Effect.promise(() => nats.broker.start())
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

  it.live("K7, BUG18: a stopped NATS is noticed within 3.5 s, and 6 s of it cost a gap", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const [one, two] = [yield* open(nats), yield* open(nats)]
      const listener = yield* Listener.open(two, "a")
      yield* Effect.all([whenUp(one), whenUp(two)])
      nats.broker.stall()
      const stalled = performance.now()
      const [, noticed] = yield* took(Effect.all([listener.sees("unreachable"), whenDegraded(two), whenDegraded(one)]))
      assert.isBelow(noticed, 3_600)
      yield* Effect.sleep(6_000 - (performance.now() - stalled))
      assert.strictEqual(yield* refusalOf(one.publish("a", "lost")), "BusUnreachable")
      assert.deepStrictEqual(listener.seen, ["unreachable"])
      nats.broker.resume()
      const [, back] = yield* took(listener.sees("reconnected"))
      assert.isBelow(back, 2_500)
      yield* Effect.all([whenUp(one), whenUp(two)])
      yield* one.publish("a", "again")
      assert.deepStrictEqual(yield* listener.hears(1), ["again"])
    })
  )

  it.live("BUG20: connections that are cut leave one handler, also where dialling is refused twice", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const proxy = yield* way(nats)
      const bus = yield* open({ servers: `127.0.0.1:${proxy.port}` })
      const listener = yield* Listener.open(bus, "a")
      for (let round = 1; round <= 3; round++) {
        yield* whenUp(bus)
        proxy.refuse(round === 2 ? 2 : 0)
        yield* listener.sees("reconnected", round)
        yield* whenUp(bus)
        yield* bus.publish("a", String(round))
        yield* listener.hears(round)
      }
      assert.strictEqual(proxy.refused, 2)
      assert.deepStrictEqual(listener.payloads, ["1", "2", "3"])
      assert.lengthOf(listener.seen, 6)
    })
  )

  it.live("a server in lame duck mode costs a gap and no more", () =>
    Effect.gen(function* () {
      const nats = yield* server(`lame_duck_grace_period: "100ms"\nlame_duck_duration: "30s"`)
      const bus = yield* open(nats)
      const listener = yield* Listener.open(bus, "a")
      nats.retire()
      yield* listener.sees("unreachable")
      yield* Effect.promise(() => nats.broker.restart())
      yield* listener.sees("reconnected")
      yield* bus.publish("a", "again")
      assert.deepStrictEqual(yield* listener.hears(1), ["again"])
    })
  )

  it.live("BUG1: a node that starts before NATS does begins degraded, and works once NATS is there", () =>
    Effect.gen(function* () {
      const nats = yield* server("max_payload: 4096")
      yield* Effect.promise(() => nats.broker.kill())
      const [bus, started] = yield* took(open(nats, { startTimeout: "300 millis" }))
      assert.isAtLeast(started, 290)
      assert.isBelow(started, 1_000)
      assert.deepInclude(yield* bus.health, { _tag: "Degraded", why: "NATS: connection refused" })
      const listener = yield* Listener.open(bus, "a")
      yield* Effect.promise(() => nats.broker.start())
      const [, up] = yield* took(whenUp(bus))
      assert.isBelow(up, 2_500)
      yield* listener.sees("reconnected")
      assert.strictEqual(yield* refusalOf(bus.publish("a", "x".repeat(4_097))), "PayloadTooLarge")
      yield* bus.publish("a", "1")
      assert.deepStrictEqual(yield* listener.hears(1), ["1"])
    })
  )

  it.live("TRAP3: a refused subscribe fails, and the other topics of the node do not suffer", () =>
    Effect.gen(function* () {
      const nats = yield* server(`authorization { users = [ { user: "bob", password: "${canary}", permissions: {
        publish: { deny: ["er1.other"] }, subscribe: { deny: ["er1.other"] } } } ] }`)
      const bus = yield* open(nats, { username: "bob", password: Redacted.make(canary) })
      const subscribes = ["a", "other", "b", "other"].map((topic) => Effect.exit(Listener.open(bus, topic)))
      const exits = yield* Effect.all(subscribes, { concurrency: "unbounded" })
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, false])
      assert.strictEqual(yield* refusalOf(bus.publish("other", "")), "BusRefused")
      assert.strictEqual(yield* refusalOf(Effect.scoped(Listener.open(bus, "other"))), "BusRefused")
      const listener = yield* Listener.open(bus, "a")
      yield* bus.publish("a", "1")
      assert.deepStrictEqual(yield* listener.hears(1), ["1"])
      assert.deepStrictEqual((yield* bus.health)._tag, "Up")
    })
  )

  it.live("BUG5: 5,000 topics come back after a restart", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const bus = yield* open(nats)
      const topics = Array.from({ length: 5_000 }, (_, index) => `room ${index}`)
      const listeners = yield* Effect.forEach(topics, (topic) => Listener.open(bus, topic), {
        concurrency: "unbounded"
      })
      yield* Effect.promise(() => nats.broker.restart())
      const [, back] = yield* took(Effect.forEach(listeners, (listener) => listener.sees("reconnected")))
      assert.isBelow(back, 2_500)
      yield* Effect.forEach(topics, (topic) => bus.publish(topic, topic), { concurrency: "unbounded" })
      for (const listener of listeners) assert.deepStrictEqual(yield* listener.hears(1), [listener.topic])
    })
  )

  it.live("BUG16: the last topic of a node leaves NATS after its last listener, and comes back", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const bus = yield* open(nats, { releaseAfter: "20 millis" })
      for (let round = 0; round < 3; round++) {
        const scope = yield* Scope.make()
        const listener = yield* Scope.provide(Listener.open(bus, "a"), scope)
        yield* bus.publish("a", "1")
        yield* listener.hears(1)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.sleep("60 millis")
        assert.deepStrictEqual(listener.payloads, ["1"])
      }
    })
  )

  it.live("without echo the bus is up when it can publish, and a node hears others only", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const [silent, other] = [yield* open(nats, { echo: false }), yield* open(nats)]
      yield* whenUp(silent)
      const listener = yield* Listener.open(silent, "a")
      yield* silent.publish("a", "own")
      yield* other.publish("a", "other")
      assert.deepStrictEqual(yield* listener.hears(1), ["other"])
    })
  )

  it.live("SEC27: neither logs nor errors nor health name user or password, whatever goes wrong", () =>
    Effect.gen(function* () {
      const nats = yield* server(`authorization { user: "${canary}-user", password: "${canary}" }`)
      const logged: Array<string> = []
      const logger = Logger.make((entry) => {
        logged.push(visible(inspect, entry.message), Cause.pretty(entry.cause))
      })
      const shown: Array<string> = []
      const life = Effect.fnUntraced(function* (options: Partial<NatsBus.Options>) {
        const layer = NatsBus.layer({ servers: nats.servers, startTimeout: "200 millis", ...options })
        const bus = yield* node(layer, [logger])
        yield* Effect.sleep("50 millis")
        for (const what of [yield* bus.health, bus, yield* Effect.exit(bus.publish("a", "1"))]) {
          shown.push(visible(inspect, what))
        }
      }, Effect.scoped)
      const secret = Redacted.make(`${canary}-wrong`)
      const lives = [
        life({ username: `${canary}-user`, password: Redacted.make(canary) }),
        life({ username: `${canary}-user`, password: secret }),
        life({ token: secret }),
        life({ seed: secret }),
        life({ credentials: secret })
      ]
      yield* Effect.all(lives, { concurrency: "unbounded" })
      yield* Effect.promise(() => nats.broker.kill())
      yield* Effect.all(lives, { concurrency: "unbounded" })
      assert.isAtLeast(logged.length, 5)
      assert.include(logged.join(), "Authorization Violation")
      assert.notInclude(logged.join(), canary)
      assert.notInclude(shown.join(), canary)
    })
  )

  it.live("options that cannot be right are defects, which quote nothing secret", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<NatsBus.Options> = [
        { servers: `nats://user:${canary}@localhost` },
        { servers: ["localhost", `${canary}@localhost`] },
        { servers: "" },
        { servers: [] },
        { servers: "localhost," },
        { servers: "localhost", prefix: "a.b" },
        { servers: "localhost", prefix: "" },
        { servers: "localhost", prefix: ">" },
        { servers: "localhost", connectTimeout: 0 }
      ]
      for (const options of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(node(NatsBus.layer(options))))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.notInclude(visible(inspect, exit), canary)
      }
    })
  )
})
