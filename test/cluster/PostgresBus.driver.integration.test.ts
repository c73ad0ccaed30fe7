/**
 * What the PostgreSQL driver promises, against a private server.
 */
import { once } from "node:events"
import * as Net from "node:net"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { afterAll, beforeAll } from "vitest"
import type { EventBusError } from "../../src/cluster/EventBusError.ts"
import { channelOf } from "../../src/cluster/internal/postgres/channel.ts"
import * as PostgresDriver from "../../src/cluster/internal/postgres/driver.ts"
import { LargePayloads } from "../../src/cluster/internal/postgres/large.ts"
import { configOf, type PostgresOptions } from "../../src/cluster/internal/postgres/options.ts"
import * as PostgresSession from "../../src/cluster/internal/postgres/session.ts"
import { skipWhere } from "../support/broker.ts"
import { makeCertificate } from "../support/certificate.ts"
import { carriesPayloads, Link, refusalOf, separatesTopics, took, visible } from "../support/driverLink.ts"
import { missing, password, type PostgresServer, startPostgres } from "../support/postgresServer.ts"

skipWhere(missing)

let server: PostgresServer

beforeAll(async () => {
  if (missing === undefined) server = await startPostgres()
})
afterAll(() => server?.[Symbol.asyncDispose]())

const admin = (sql: string) => Effect.promise(() => server.admin(sql))

const login = (): PostgresOptions => ({
  host: "127.0.0.1",
  port: server.broker.port,
  username: "postgres",
  database: "postgres",
  password: Redacted.make(password)
})

const open = (options?: PostgresOptions) =>
  Effect.suspend(() => Link.open(PostgresDriver.make(configOf({ ...login(), ...options }))))

const sockets = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length

/** A row as of a large payload; has its number. */
const insertLarge = Effect.suspend(() =>
  Effect.map(admin("INSERT INTO effect_rooms_bus (body) VALUES ('large') RETURNING id::text"), (rows) =>
    String(rows[0]![0])
  )
)

describe("PostgreSQL driver", () => {
  it.live("delivers in order, to others and to whoever published", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* open(), yield* open()]
      yield* one.subscribe("a", "b")
      yield* two.subscribe("a")
      const numbers = Array.from({ length: 2_000 }, (_, index) => String(index))
      yield* Effect.forEach(
        numbers,
        (number) =>
          Effect.andThen(one.publish("a", number), Number(number) % 2 === 0 ? one.publish("b", number) : Effect.void),
        { concurrency: "unbounded", discard: true }
      )
      assert.deepStrictEqual(yield* two.hears("a", numbers.length), numbers)
      assert.deepStrictEqual(yield* one.hears("a", numbers.length), numbers)
      assert.lengthOf(yield* one.hears("b", numbers.length / 2), numbers.length / 2)
    })
  )

  it.live("keeps the order of small and large payloads, awaited one by one and all at once", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* open(), yield* open()]
      yield* two.subscribe("a", "b")
      const large = "x".repeat(20_000)
      const expected: Array<string> = []
      for (let round = 0; round < 30; round++) {
        const some = Array.from({ length: 10 }, (_, index) => `${round}.${index}${index % 4 === 1 ? large : ""}`)
        expected.push(...some, `${round}.last`)
        yield* Effect.forEach(some, (payload) => one.publish("a", payload), { concurrency: "unbounded" })
        yield* one.publish("a", `${round}.last`)
      }
      assert.isTrue((yield* two.hears("a", expected.length)).every((payload, index) => payload === expected[index]))
    })
  )

  it.live("a large payload holds up its own topic only", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* open(), yield* open()]
      yield* two.subscribe("a", "b")
      const id = yield* insertLarge
      const session = yield* server.session
      yield* session.query("BEGIN")
      yield* session.query("LOCK TABLE effect_rooms_bus")
      yield* admin(`SELECT pg_notify('${channelOf("a")}', 'T0:${id}')`)
      yield* one.publish("a", "after")
      yield* one.publish("b", "1")
      assert.deepStrictEqual(yield* two.hears("b", 1), ["1"])
      assert.deepStrictEqual(two.heard("a"), [])
      yield* session.query("COMMIT")
      assert.deepStrictEqual(yield* two.hears("a", 2), ["large", "after"])
    })
  )

  it.live("bounds what waits for large payloads, and says where it dropped something", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* open(), yield* open()]
      yield* two.subscribe("a", "b")
      const id = yield* insertLarge
      const session = yield* server.session
      yield* session.query("BEGIN")
      yield* session.query("LOCK TABLE effect_rooms_bus")
      yield* admin(`SELECT pg_notify('${channelOf("a")}', 'T0:${id}')`)
      const numbers = Array.from({ length: 2_000 }, (_, index) => String(index))
      yield* Effect.forEach(numbers, (number) => one.publish("a", number), { concurrency: "unbounded" })
      yield* one.publish("b", "1")
      yield* two.hears("b", 1)
      yield* session.query("COMMIT")
      yield* two.hears("a", 1_024)
      yield* one.publish("a", "after")
      assert.deepStrictEqual(yield* two.hears("a", 1_025), ["large", ...numbers.slice(0, 1_023), "after"])
      assert.deepStrictEqual(two.overflows, ["a"])
    })
  )

  it.live("SEC14, TRAP18: names of topics never mix, long ones that differ at the end among them", () =>
    Effect.gen(function* () {
      yield* separatesTopics(yield* open(), yield* open())
    })
  )

  it.live("carries any text: zero bytes, quotes, newlines, emoji, nothing at all", () =>
    Effect.gen(function* () {
      yield* carriesPayloads(yield* open(), yield* open())
    })
  )

  it.live("K8: delivers the same payload twice when it is published twice", () =>
    Effect.gen(function* () {
      const link = yield* open()
      yield* link.subscribe("a")
      const payloads = ["same", "same", "other", "same", "", ""]
      yield* Effect.forEach(payloads, (payload) => link.publish("a", payload), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* link.hears("a", payloads.length), payloads)
    })
  )

  it.live("TRAP17: counts bytes, and carries payloads on both sides of what a notification takes", () =>
    Effect.gen(function* () {
      const link = yield* open()
      yield* link.subscribe("a")
      const payloads = [7_980, 7_994, 7_995, 7_996, 7_997, 7_998, 7_999, 8_000, 8_001].flatMap((bytes) => [
        "x".repeat(bytes),
        `${"日".repeat(Math.floor(bytes / 3))}${"x".repeat(bytes % 3)}`,
        `${"🎈".repeat(Math.floor(bytes / 4))}${"x".repeat(bytes % 4)}`,
        `\0${"x".repeat(bytes - 1)}`,
        `\0${"日".repeat(Math.floor(bytes / 3))}`
      ])
      yield* Effect.forEach(payloads, (payload) => link.publish("a", payload), { concurrency: "unbounded" })
      const heard = yield* link.hears("a", payloads.length)
      assert.isTrue(heard.every((payload, index) => payload === payloads[index]))
    })
  )

  it.live("carries 1 MiB, of zero bytes if need be", () =>
    Effect.gen(function* () {
      const link = yield* open()
      yield* link.subscribe("a")
      const payloads = ["0123456789abcdef".repeat(65_536), "\0".repeat(1024 * 1024), "end"]
      yield* Effect.forEach(payloads, (payload) => link.publish("a", payload), { concurrency: "unbounded" })
      const heard = yield* link.hears("a", 3)
      assert.isTrue(heard.every((payload, index) => payload === payloads[index]))
    })
  )

  it.effect("deletes rows of more than a minute while it writes rows itself", () =>
    Effect.gen(function* () {
      const lost = yield* Deferred.make<never, EventBusError>()
      const large = new LargePayloads(yield* PostgresSession.open(configOf(login()).login, lost), "swept")
      yield* large.prepare()
      yield* Effect.forkScoped(large.clean(), { startImmediately: true })
      yield* large.publish("er1_nobody", "T0:", "new")
      yield* admin(`INSERT INTO swept (body, created_at)
        SELECT 'old', now() - interval '61 seconds' FROM generate_series(1, 1200)`)
      const bodies = Effect.map(admin("SELECT body FROM swept ORDER BY id"), (rows) => rows.flat())
      yield* TestClock.adjust("20 seconds")
      while ((yield* bodies).length > 1) yield* Effect.yieldNow
      assert.deepStrictEqual(yield* bodies, ["new"])
      // A node that has written none for two minutes leaves it to others.
      yield* TestClock.adjust("2 minutes")
      yield* admin("INSERT INTO swept (body, created_at) VALUES ('old', now() - interval '61 seconds')")
      yield* TestClock.adjust("2 minutes")
      yield* large.read("1")
      assert.deepStrictEqual(yield* bodies, ["new", "old"])
    })
  )

  it.live("a payload whose row is gone leaves a gap, and the topic goes on", () =>
    Effect.gen(function* () {
      const link = yield* open()
      yield* link.subscribe("a")
      yield* admin(`SELECT pg_notify('${channelOf("a")}', 'T0:999999999')`)
      yield* link.publish("a", "after")
      assert.deepStrictEqual(yield* link.hears("a", 1), ["after"])
      assert.deepStrictEqual(link.overflows, ["a"])
    })
  )

  it.live("what others notify on a channel is a payload as it stands", () =>
    Effect.gen(function* () {
      const link = yield* open()
      yield* link.subscribe("a")
      for (const text of ["", "hello", "x1:y", "t", "t:"])
        yield* admin(`SELECT pg_notify('${channelOf("a")}', '${text}')`)
      assert.deepStrictEqual(yield* link.hears("a", 5), ["", "hello", "x1:y", "t", "t:"])
    })
  )

  it.live("publishing what is not permitted fails, and a retry after the grant works", () =>
    Effect.gen(function* () {
      yield* admin("CREATE ROLE bob LOGIN PASSWORD 'bob'")
      yield* admin("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
      const bob = yield* open({ username: "bob", password: Redacted.make("bob") })
      yield* bob.subscribe("a")
      assert.deepStrictEqual(
        yield* Effect.all([refusalOf(bob.publish("a", "1")), refusalOf(bob.publish("a", "2"))], {
          concurrency: "unbounded"
        }),
        ["BusRefused", "BusRefused"]
      )
      yield* admin("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC")
      yield* bob.publish("a", "3")
      // Who may create no table publishes what fits into a notification.
      yield* admin("REVOKE ALL ON TABLE effect_rooms_bus FROM PUBLIC")
      assert.strictEqual(yield* refusalOf(bob.publish("a", "x".repeat(8_000))), "BusRefused")
      const elsewhere = yield* open({ username: "bob", password: Redacted.make("bob"), table: "not_there" })
      const error = yield* Effect.flip(elsewhere.publish("a", "x".repeat(8_000)))
      assert.include(error.message, "not_there")
      yield* elsewhere.publish("a", "4")
      assert.deepStrictEqual(yield* bob.hears("a", 2), ["3", "4"])
    })
  )

  it.live("where there can be no table, or no right to it, says how little a payload may have, and carries that", () =>
    Effect.gen(function* () {
      yield* admin("CREATE ROLE carol LOGIN PASSWORD 'carol'")
      yield* admin("CREATE TABLE locked (id bigint, created_at timestamptz, body text)")
      for (const table of ["nowhere", "locked"]) {
        const options = { ...login(), username: "carol", password: Redacted.make("carol"), table }
        const driver = PostgresDriver.make(configOf(options))
        const link = yield* Link.open(driver)
        assert.isBelow(driver.maxPayload, 8_000)
        yield* link.subscribe(table)
        const longest = "x".repeat(driver.maxPayload)
        yield* link.publish(table, longest)
        assert.deepStrictEqual(yield* link.hears(table, 1), [longest])
      }
    })
  )

  it.live("one that cannot be published does not cost those beside it", () =>
    Effect.gen(function* () {
      yield* admin("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").pipe(Effect.exit)
      const link = yield* open({ database: "latin" })
      yield* link.subscribe("a")
      const exits = yield* Effect.forEach(
        ["1", "ä", "日本語", "2", "3"],
        (payload) => Effect.exit(link.publish("a", payload)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, true, false, true, true])
      assert.deepStrictEqual(yield* link.hears("a", 4), ["1", "ä", "2", "3"])
    })
  )

  it.live("SEC27: refuses wrong credentials and repeats none", () =>
    Effect.gen(function* () {
      const attempts: ReadonlyArray<PostgresOptions> = [
        { password: Redacted.make(`${password}-wrong`) },
        { username: `${password}-nobody` },
        { database: "nowhere" },
        { password: undefined }
      ]
      for (const attempt of attempts) {
        const error = yield* Effect.flip(open(attempt))
        assert.strictEqual(error.reason._tag, "BusRefused", error.message)
        assert.notInclude(visible(inspect, error), password)
      }
    })
  )

  it.live("logs in with what a URL says", () =>
    Effect.gen(function* () {
      const { port } = server.broker
      const url = Redacted.make(`postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`)
      const links = [
        yield* Link.open(PostgresDriver.make(configOf({ url }))),
        yield* Link.open(PostgresDriver.make(configOf({ url: Redacted.make(`${Redacted.value(url)}?sslmode=prefer`) })))
      ]
      for (const link of links) {
        yield* link.subscribe("a")
        yield* link.publish("a", "1")
      }
      assert.deepStrictEqual(yield* links[0]!.hears("a", 2), ["1", "1"])
      const insists = Redacted.make(`${Redacted.value(url)}?sslmode=require`)
      assert.strictEqual(
        yield* refusalOf(Effect.scoped(Link.open(PostgresDriver.make(configOf({ url: insists }))))),
        "BusRefused"
      )
    })
  )

  it.live("speaks TLS where it is asked to, and with nobody it cannot verify", () =>
    Effect.gen(function* () {
      const { ca, cert, key } = makeCertificate()
      const secure = yield* Effect.acquireRelease(
        Effect.promise(() => startPostgres({ cert, key })),
        (opened) => Effect.promise(() => opened[Symbol.asyncDispose]())
      )
      const { port } = secure.broker
      const url = (query: string) =>
        Redacted.make(`postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres?${query}`)
      const link = yield* open({ port, tls: { ca } })
      yield* link.subscribe("a")
      yield* link.publish("a", "x".repeat(100_000))
      yield* link.publish("a", "1")
      assert.strictEqual((yield* link.hears("a", 2))[1], "1")
      const encrypted =
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'effect-rooms'"
      assert.deepStrictEqual(yield* Effect.promise(() => secure.admin(encrypted)), [[true], [true]])
      const refusals = [
        { port, tls: {} },
        { port, tls: { ca, servername: "elsewhere" } },
        { url: url("sslmode=require"), port },
        { url: url("sslmode=prefer"), port }
      ].map((options) => refusalOf(Effect.scoped(open(options))))
      assert.deepStrictEqual(
        yield* Effect.all(refusals),
        Array.from(refusals, () => "BusUnreachable")
      )
      const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'effect-rooms'"
      yield* Effect.promise(() => secure.admin(end))
      assert.strictEqual((yield* link.whyLost).reason._tag, "BusUnreachable")
    })
  )

  it.live("BUG16, BUG17: unsubscribed is silent, and subscribed again hears each message once", () =>
    Effect.gen(function* () {
      const [link, other] = [yield* open(), yield* open()]
      for (let round = 0; round < 20; round++) {
        yield* link.subscribe("a")
        yield* other.publish("a", String(round))
        yield* link.hears("a", round + 1)
        yield* link.unsubscribe("a")
        yield* other.publish("a", "nobody listens")
      }
      yield* Effect.all([link.subscribe("a"), link.unsubscribe("a"), link.subscribe("a")], {
        concurrency: "unbounded"
      })
      yield* other.publish("a", "end")
      const expected = Array.from({ length: 20 }, (_, round) => String(round))
      assert.deepStrictEqual(yield* link.hears("a", 21), [...expected, "end"])
    })
  )

  it.live("BUG5: subscribes 10,000 topics in batches of 512", () =>
    Effect.gen(function* () {
      const [link, other] = [yield* open(), yield* open()]
      const topics = Array.from({ length: 10_000 }, (_, index) => `topic ${index}`)
      for (let start = 0; start < topics.length; start += 512)
        yield* link.subscribe(...topics.slice(start, start + 512))
      yield* Effect.forEach([0, 511, 512, 9_999], (index) => other.publish(topics[index]!, "1"))
      yield* Effect.forEach([0, 511, 512, 9_999], (index) => link.hears(topics[index]!, 1))
    })
  )

  it.live("a session that an operator ends is noticed, whichever of the two it is", () =>
    Effect.gen(function* () {
      for (const which of ["min", "max"]) {
        const name = `ended-${which}`
        const scope = yield* Scope.make()
        const link = yield* Scope.provide(open({ name }), scope)
        yield* link.subscribe("a")
        const killed = yield* admin(`SELECT pg_terminate_backend((
          SELECT ${which}(pid) FROM pg_stat_activity WHERE application_name = '${name}'))`)
        assert.deepStrictEqual(killed, [[true]])
        const [why, time] = yield* took(link.whyLost)
        assert.strictEqual(why.reason._tag, "BusUnreachable")
        assert.isBelow(time, 100)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
      }
    })
  )

  it.live("leaves no session behind", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 5; round++) {
        yield* Effect.scoped(Effect.flatMap(open({ name: "short" }), (link) => link.subscribe("a")))
      }
      const count = "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'short'"
      while ((yield* admin(count))[0]![0] !== 0) yield* Effect.sleep("10 millis")
    })
  )

  it.live("K7: closing does not wait for a server that stops answering, and neither does giving up", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const link = yield* Scope.provide(open(), scope)
      yield* link.subscribe("a")
      server.broker.stall()
      const before = sockets()
      const waits = yield* Effect.forEach(
        [link.publish("a", "1"), link.publish("a", "x".repeat(10_000)), link.subscribe("b"), link.unsubscribe("a")],
        (effect) => Effect.forkChild(Effect.exit(effect), { startImmediately: true })
      )
      yield* Effect.sleep("20 millis")
      const [, interrupting] = yield* took(Fiber.interrupt(waits[2]!))
      const [, closing] = yield* took(Scope.close(scope, Exit.void))
      assert.isBelow(interrupting + closing, 500)
      for (const index of [0, 1, 3]) assert.isTrue(Exit.isFailure(yield* Fiber.join(waits[index]!)))
      for (let attempt = 0; attempt < 3; attempt++) {
        const exit = yield* Effect.exit(Effect.timeout(Effect.scoped(open()), "50 millis"))
        assert.isTrue(Exit.isFailure(exit))
      }
      assert.strictEqual(yield* refusalOf(Effect.scoped(open({ connectTimeout: "50 millis" }))), "BusUnreachable")
      yield* Effect.sleep("50 millis")
      assert.strictEqual(sockets(), before - 2)
      server.broker.resume()
    })
  )

  it.live("TRAP6: after kill -9 publishing fails, and the loss is noticed at once", () =>
    Effect.gen(function* () {
      const link = yield* open()
      yield* link.subscribe("a")
      server.broker.stall()
      const inFlight = yield* Effect.forkChild(refusalOf(link.publish("a", "")), { startImmediately: true })
      yield* Effect.promise(() => server.broker.kill())
      const [why, time] = yield* took(link.whyLost)
      assert.strictEqual(why.reason._tag, "BusUnreachable")
      assert.isBelow(time, 100)
      assert.strictEqual(yield* Fiber.join(inFlight), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.subscribe("b")), "BusUnreachable")
      // BUG1: refused twice, then up.
      assert.strictEqual(yield* refusalOf(Effect.scoped(open())), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(Effect.scoped(open())), "BusUnreachable")
      yield* Effect.promise(() => server.broker.start({ keep: true }))
      const next = yield* open()
      yield* next.subscribe("a")
      yield* next.publish("a", "x".repeat(10_000))
      yield* next.publish("a", "again")
      assert.strictEqual((yield* next.hears("a", 2))[1], "again")
      assert.lengthOf(link.heard("a"), 0)
    })
  )

  it.live(
    "BUG14: whatever a server does to a connection that is being made, connecting fails and the process lives",
    () =>
      Effect.gen(function* () {
        const tricks: ReadonlyArray<(socket: Net.Socket) => void> = [
          (socket) => socket.resetAndDestroy(),
          (socket) => socket.end(),
          (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
          (socket) => socket.once("data", () => socket.resetAndDestroy()),
          (socket) => socket.once("data", () => socket.end(Buffer.from("5200000008000000000000000000", "hex"))),
          (socket) => socket.once("data", () => socket.end("S")),
          (socket) => socket.once("data", () => socket.end("SN"))
        ]
        for (const trick of tricks) {
          for (const tls of [undefined, {}]) {
            const fake = Net.createServer((socket) => {
              socket.on("error", () => {}).resume()
              trick(socket)
            })
            fake.listen(0, "127.0.0.1")
            yield* Effect.promise(() => once(fake, "listening"))
            const { port } = fake.address() as Net.AddressInfo
            const error = yield* Effect.flip(Effect.scoped(open({ port, tls })))
            assert.strictEqual(error.reason._tag, "BusUnreachable")
            yield* Effect.promise(() => new Promise((resolve) => fake.close(resolve)))
          }
        }
      })
  )
})
