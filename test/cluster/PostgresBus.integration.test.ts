/**
 * The event bus over PostgreSQL as an application has it: the layer, against a private server that dies and stalls.
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
import { afterAll, beforeAll } from "vitest"
import { EventBus } from "../../src/cluster/EventBus.ts"
import { channelOf } from "../../src/cluster/internal/postgres/channel.ts"
import * as PostgresBus from "../../src/cluster/PostgresBus.ts"
import { skipWhere } from "../support/broker.ts"
import { Listener, whenDegraded, whenUp } from "../support/busListener.ts"
import { DialProxy } from "../support/dialProxy.ts"
import { refusalOf, took, visible } from "../support/driverLink.ts"
import { missing, password, type PostgresServer, startPostgres } from "../support/postgresServer.ts"

skipWhere(missing)

let server: PostgresServer

beforeAll(async () => {
  if (missing === undefined) server = await startPostgres()
})
afterAll(() => server?.[Symbol.asyncDispose]())

const admin = (sql: string) => Effect.promise(() => server.admin(sql))
const kill = Effect.promise(() => server.broker.kill())
const start = Effect.promise(() => server.broker.start({ keep: true }))

/** A node of its own: the layer is not shared. What it logs is printed nowhere. */
const node = <E>(layer: Layer.Layer<EventBus, E>, loggers: ReadonlyArray<Logger.Logger<unknown, void>> = []) =>
  Layer.build(Layer.fresh(layer)).pipe(
    Effect.map((services) => Context.get(services, EventBus)),
    Effect.provide(Logger.layer(loggers))
  )

const login = (): PostgresBus.Options => ({
  host: "127.0.0.1",
  port: server.broker.port,
  username: "postgres",
  database: "postgres",
  password: Redacted.make(password)
})

const open = (options?: PostgresBus.Options) =>
  Effect.suspend(() => node(PostgresBus.layer({ ...login(), ...options })))

describe("PostgresBus", () => {
  it.live("nodes hear each other and themselves", () =>
    Effect.gen(function* () {
      const configured = PostgresBus.layerConfig({ url: Config.Redacted("DATABASE_URL") })
      const provider = ConfigProvider.fromUnknown({
        DATABASE_URL: `postgresql://postgres:${encodeURIComponent(password)}@127.0.0.1:${server.broker.port}/postgres`
      })
      const one = yield* node(configured.pipe(Layer.provide(ConfigProvider.layer(provider))))
      const two = yield* open()
      const [first, second] = [yield* Listener.open(one, "a"), yield* Listener.open(two, "a")]
      const large = "x".repeat(100_000)
      for (const payload of ["1", large, "2"]) yield* one.publish("a", payload)
      yield* two.publish("a", "3")
      for (const listener of [first, second]) {
        assert.deepStrictEqual(
          (yield* listener.hears(4)).map((payload) => payload.length),
          [1, 100_000, 1, 1]
        )
      }
      assert.strictEqual(yield* refusalOf(one.publish("a", "x".repeat(1024 * 1024 + 1))), "PayloadTooLarge")
      yield* whenUp(one)
    })
  )

  it.live("P12: after kill -9 and restart everybody is told of the gap and hears again", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* open(), yield* open()]
      const listeners = [yield* Listener.open(one, "a"), yield* Listener.open(two, "a"), yield* Listener.open(two, "b")]
      yield* whenUp(one)
      yield* kill
      const [, noticed] = yield* took(Effect.forEach(listeners, (listener) => listener.sees("unreachable")))
      assert.isBelow(noticed, 250)
      yield* whenDegraded(one)
      assert.strictEqual(yield* refusalOf(one.publish("a", "lost")), "BusUnreachable")
      // A topic of a node without a connection.
      const late = yield* Listener.open(one, "late")
      assert.deepStrictEqual(late.seen, ["unreachable"])
      yield* Effect.sleep("300 millis")
      yield* start
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

  it.live("K7, BUG18: a stopped PostgreSQL is noticed within 3.5 s, and 6 s of it cost a gap", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* open(), yield* open()]
      const listener = yield* Listener.open(two, "a")
      yield* Effect.all([whenUp(one), whenUp(two)])
      server.broker.stall()
      const stalled = performance.now()
      const [, noticed] = yield* took(Effect.all([listener.sees("unreachable"), whenDegraded(two), whenDegraded(one)]))
      assert.isBelow(noticed, 3_600)
      yield* Effect.sleep(6_000 - (performance.now() - stalled))
      assert.strictEqual(yield* refusalOf(one.publish("a", "lost")), "BusUnreachable")
      assert.deepStrictEqual(listener.seen, ["unreachable"])
      server.broker.resume()
      const [, back] = yield* took(listener.sees("reconnected"))
      assert.isBelow(back, 2_500)
      yield* Effect.all([whenUp(one), whenUp(two)])
      yield* one.publish("a", "again")
      assert.deepStrictEqual(yield* listener.hears(1), ["again"])
    })
  )

  it.live("K6: a session that an operator ends costs a gap, whichever of the two it is", () =>
    Effect.gen(function* () {
      const bus = yield* open({ name: "ended" })
      const listener = yield* Listener.open(bus, "a")
      for (const [index, which] of ["min", "max"].entries()) {
        yield* whenUp(bus)
        yield* admin(`SELECT pg_terminate_backend((
          SELECT ${which}(pid) FROM pg_stat_activity WHERE application_name = 'ended'))`)
        yield* listener.sees("reconnected", index + 1)
        yield* whenUp(bus)
        yield* bus.publish("a", which)
        yield* listener.hears(index + 1)
      }
      assert.deepStrictEqual(listener.payloads, ["min", "max"])
      assert.lengthOf(listener.seen, 4)
    })
  )

  it.live("BUG20: connections that are cut leave one handler, also where dialling is refused twice", () =>
    Effect.gen(function* () {
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => DialProxy.to(server.broker.port)),
        (opened) => Effect.promise(() => opened[Symbol.asyncDispose]())
      )
      const bus = yield* open({ port: proxy.port })
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

  it.live("BUG1: a node that starts before PostgreSQL does begins degraded, and works once it is there", () =>
    Effect.gen(function* () {
      yield* kill
      const [bus, started] = yield* took(open({ startTimeout: "300 millis" }))
      assert.isAtLeast(started, 290)
      assert.isBelow(started, 1_000)
      assert.deepInclude(yield* bus.health, { _tag: "Degraded", why: "PostgreSQL: ECONNREFUSED" })
      const listener = yield* Listener.open(bus, "a")
      yield* start
      const [, up] = yield* took(whenUp(bus))
      assert.isBelow(up, 2_500)
      yield* listener.sees("reconnected")
      yield* bus.publish("a", "1")
      assert.deepStrictEqual(yield* listener.hears(1), ["1"])
    })
  )

  it.live("who may not notify is told so, and hears all the same", () =>
    Effect.gen(function* () {
      yield* admin("CREATE ROLE mute LOGIN PASSWORD 'mute'")
      yield* admin("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
      const bus = yield* open({ username: "mute", password: Redacted.make("mute") })
      const listener = yield* Listener.open(bus, "a")
      assert.strictEqual(yield* refusalOf(bus.publish("a", "own")), "BusRefused")
      yield* whenDegraded(bus)
      yield* admin(`SELECT pg_notify('${channelOf("a")}', 't0:other')`)
      assert.deepStrictEqual(yield* listener.hears(1), ["other"])
      yield* admin("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC")
      yield* whenUp(bus)
    })
  )

  it.live("BUG5: 5,000 topics come back after a restart", () =>
    Effect.gen(function* () {
      const bus = yield* open()
      const topics = Array.from({ length: 5_000 }, (_, index) => `room ${index}`)
      const listeners = yield* Effect.forEach(topics, (topic) => Listener.open(bus, topic), {
        concurrency: "unbounded"
      })
      yield* kill
      yield* start
      const [, back] = yield* took(Effect.forEach(listeners, (listener) => listener.sees("reconnected")))
      assert.isBelow(back, 2_500)
      yield* Effect.forEach(topics, (topic) => bus.publish(topic, topic), { concurrency: "unbounded" })
      for (const listener of listeners) assert.deepStrictEqual(yield* listener.hears(1), [listener.topic])
    })
  )

  it.live("BUG16: the last topic of a node leaves PostgreSQL after its last listener, and comes back", () =>
    Effect.gen(function* () {
      const bus = yield* open({ releaseAfter: "20 millis" })
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

  it.live("SEC27: neither logs nor errors nor health name user or password, whatever goes wrong", () =>
    Effect.gen(function* () {
      yield* admin(`CREATE ROLE "${password}-user" LOGIN PASSWORD '${password}'`)
      yield* admin("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
      const logged: Array<string> = []
      const logger = Logger.make((entry) => {
        logged.push(visible(inspect, entry.message), Cause.pretty(entry.cause))
      })
      const shown: Array<string> = []
      const life = Effect.fnUntraced(function* (options: PostgresBus.Options) {
        const bus = yield* node(PostgresBus.layer({ ...login(), startTimeout: "200 millis", ...options }), [logger])
        yield* Effect.sleep("50 millis")
        const exits = [
          yield* Effect.exit(bus.publish("a", "1")),
          yield* Effect.exit(bus.publish("a", "x".repeat(9_000)))
        ]
        for (const what of [yield* bus.health, bus, ...exits]) shown.push(visible(inspect, what))
      }, Effect.scoped)
      const username = `${password}-user`
      const lives = [
        life({ username, password: Redacted.make(password), table: "not_permitted" }),
        life({ username, password: Redacted.make(`${password}-wrong`) }),
        life({ username: `${password}-nobody` }),
        life({ database: "nowhere" })
      ]
      yield* Effect.all(lives, { concurrency: "unbounded" })
      yield* admin("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC")
      yield* kill
      yield* Effect.all(lives, { concurrency: "unbounded" })
      yield* start
      assert.isAtLeast(logged.length, 5)
      assert.include(logged.join(), "28P01")
      assert.include(logged.join(), "not_permitted")
      assert.notInclude(logged.join(), password)
      assert.notInclude(shown.join(), password)
    })
  )

  it.live("options that cannot be right are defects, which quote nothing secret", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<PostgresBus.Options> = [
        { url: `postgres://user:${password}@localhost` },
        { url: `postgres://${password}@localhost` },
        { url: Redacted.make(`http://user:${password}@localhost`) },
        { url: Redacted.make(`postgres://user:${password}%@localhost`) },
        { url: Redacted.make(`postgres://user:${password}@localhost:x`) },
        { url: Redacted.make(`postgres://user:${password}@localhost?port=0`) },
        { url: Redacted.make(`postgres://user:${password}@localhost?sslmode=${password}`) },
        { url: password },
        { table: "a.b.c" },
        { table: 'a"b' },
        { table: "" },
        { port: 0 },
        { maxPayload: 0 },
        { maxPayload: 16 * 1024 * 1024 },
        { connectTimeout: 0 }
      ]
      for (const options of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(node(PostgresBus.layer(options))))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.notInclude(visible(inspect, exit), password)
      }
    })
  )
})
