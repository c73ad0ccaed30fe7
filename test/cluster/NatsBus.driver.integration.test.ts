/**
 * What the NATS driver promises, against a private server.
 */
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Nats from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { vi } from "vitest"
import * as NatsDriver from "../../src/cluster/internal/nats/driver.ts"
import { configOf } from "../../src/cluster/internal/nats/config.ts"
import type { NatsOptions } from "../../src/cluster/internal/nats/options.ts"
import { skipWhere } from "../support/broker.ts"
import { makeCertificate } from "../support/certificate.ts"
import { carriesPayloads, Link, refusalOf, separatesTopics, took, visible } from "../support/driverLink.ts"
import { missing, type NatsServer, startNats } from "../support/natsServer.ts"

skipWhere(missing)

const server = (config?: string) =>
  Effect.acquireRelease(
    Effect.promise(() => startNats(config)),
    (nats) => Effect.promise(() => nats[Symbol.asyncDispose]())
  )

const driver = (options: NatsOptions) => NatsDriver.make(configOf(Nats, options))

const open = (nats: Pick<NatsServer, "servers">, options?: Partial<NatsOptions>) =>
  Link.open(driver({ servers: nats.servers, ...options }))

const sockets = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length

const canary = "canary-7f3a9c"

/** Bob may not publish to `quiet`, nor subscribe to `deaf`. */
const permissions = `authorization { users = [ { user: "bob", password: "${canary}", permissions: {
  publish: { deny: ["er1.quiet"] }, subscribe: { deny: ["er1.deaf"] } } } ] }`
const bob: Partial<NatsOptions> = { username: "bob", password: Redacted.make(canary) }

describe("NATS driver", () => {
  it.live("delivers in order, to others and to whoever published", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const [one, two] = [yield* open(nats), yield* open(nats)]
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

  it.live("keeps the order of publishes that are awaited one by one and all at once", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      yield* link.subscribe("a")
      const expected: Array<string> = []
      for (let round = 0; round < 50; round++) {
        const numbers = Array.from({ length: 10 }, (_, index) => `${round}.${index}`)
        expected.push(...numbers, `${round}.last`)
        yield* Effect.forEach(numbers, (number) => link.publish("a", number), { concurrency: "unbounded" })
        yield* link.publish("a", `${round}.last`)
      }
      assert.deepStrictEqual(yield* link.hears("a", expected.length), expected)
    })
  )

  it.live("SEC14: names of topics never reach the syntax of subjects", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      yield* separatesTopics(yield* open(nats), yield* open(nats))
    })
  )

  it.live("carries any text, a byte order mark and an empty payload among them", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      yield* carriesPayloads(yield* open(nats), yield* open(nats))
    })
  )

  it.live("delivers the same payload twice when it is published twice", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      yield* link.subscribe("a")
      yield* Effect.all([link.publish("a", "same"), link.publish("a", "same"), link.publish("a", "end")], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(yield* link.hears("a", 3), ["same", "same", "end"])
    })
  )

  it.live("takes payloads up to what the server takes, counted in bytes", () =>
    Effect.gen(function* () {
      const nats = yield* server("max_payload: 4096")
      const fresh = driver({ servers: nats.servers })
      assert.strictEqual(fresh.maxPayload, 1024 * 1024)
      const link = yield* Link.open(fresh)
      assert.strictEqual(fresh.maxPayload, 4096)
      yield* link.subscribe("a")
      const most = ["x".repeat(4096), `${"日".repeat(1365)}x`, "🎈".repeat(1024)]
      yield* Effect.forEach(most, (payload) => link.publish("a", payload))
      for (const payload of ["x".repeat(4097), "日".repeat(1366), `${"🎈".repeat(1024)}x`]) {
        const error = yield* Effect.flip(link.publish("a", payload))
        assert.deepInclude(error.reason, { _tag: "PayloadTooLarge", maxPayload: 4096 })
      }
      yield* link.publish("a", "end")
      assert.deepStrictEqual(yield* link.hears("a", 4), [...most, "end"])
    })
  )

  it.live("carries 1 MiB by default", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      yield* link.subscribe("a")
      const large = "0123456789abcdef".repeat(65_536)
      yield* link.publish("a", large)
      const [heard] = yield* link.hears("a", 1)
      assert.isTrue(heard === large)
    })
  )

  it.live("publishing what is not permitted fails, beside publishes that succeed", () =>
    Effect.gen(function* () {
      const nats = yield* server(permissions)
      const link = yield* open(nats, bob)
      yield* link.subscribe("loud", "quiet")
      for (let round = 0; round < 20; round++) {
        const exits = yield* Effect.forEach(
          ["loud", "quiet", "loud", "quiet"],
          (topic) => Effect.exit(link.publish(topic, String(round))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, false])
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(link.publish("loud", "alone"))))
      }
      assert.strictEqual(yield* refusalOf(link.publish("quiet", "")), "BusRefused")
      assert.lengthOf(yield* link.hears("loud", 60), 60)
      assert.lengthOf(link.heard("quiet"), 0)
    })
  )

  it.live("a refused subscribe fails, leaves nothing behind, and fails again", () =>
    Effect.gen(function* () {
      const nats = yield* server(permissions)
      const link = yield* open(nats, bob)
      for (let round = 0; round < 3; round++) {
        assert.strictEqual(yield* refusalOf(link.subscribe("a", "deaf", "b")), "BusRefused")
      }
      yield* link.publish("a", "nobody listens")
      yield* link.subscribe("a")
      yield* link.subscribe("b")
      yield* link.publish("a", "1")
      yield* link.publish("b", "1")
      assert.deepStrictEqual(yield* link.hears("a", 1), ["1"])
      assert.deepStrictEqual(yield* link.hears("b", 1), ["1"])
    })
  )

  it.live("a refused subscribe nobody waits for any more does not count as one that succeeded", () =>
    Effect.gen(function* () {
      const nats = yield* server(permissions)
      const link = yield* open(nats, bob)
      const subscribing = yield* Effect.forkChild(link.subscribe("deaf"), { startImmediately: true })
      yield* Fiber.interrupt(subscribing)
      assert.strictEqual(yield* refusalOf(link.subscribe("deaf")), "BusRefused")
      assert.strictEqual(yield* refusalOf(link.subscribe("deaf")), "BusRefused")
    })
  )

  it.live("a server that has enough subscriptions refuses the next", () =>
    Effect.gen(function* () {
      const nats = yield* server("max_subscriptions: 2")
      const link = yield* open(nats)
      yield* link.subscribe("a", "b")
      assert.strictEqual(yield* refusalOf(link.subscribe("c")), "BusRefused")
      yield* link.unsubscribe("a")
      yield* link.subscribe("c")
      yield* link.publish("c", "1")
      assert.deepStrictEqual(yield* link.hears("c", 1), ["1"])
    })
  )

  it.live("SEC27: refuses wrong credentials and repeats none", () =>
    Effect.gen(function* () {
      const nats = yield* server(permissions)
      const wrong = `${canary}-wrong`
      const attempts: ReadonlyArray<Partial<NatsOptions>> = [
        { username: "bob", password: Redacted.make(wrong) },
        { token: Redacted.make(wrong) },
        { credentials: Redacted.make(wrong) },
        { seed: Redacted.make(wrong) },
        {}
      ]
      for (const attempt of attempts) {
        const error = yield* Effect.flip(open(nats, attempt))
        assert.include(["BusRefused", "BusUnreachable"], error.reason._tag)
        assert.notInclude(visible(inspect, error), canary)
      }
      const link = yield* open(nats, bob)
      const error = yield* Effect.flip(link.publish("quiet", ""))
      assert.notInclude(visible(inspect, error), canary)
    })
  )

  it.live("TRAP6: after kill -9 publishing fails, and the loss is noticed at once", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      yield* link.subscribe("a")
      nats.broker.stall()
      const inFlight = yield* Effect.forkChild(refusalOf(link.publish("a", "")), { startImmediately: true })
      yield* Effect.promise(() => nats.broker.kill())
      const [why, time] = yield* took(link.whyLost)
      assert.strictEqual(why.reason._tag, "BusUnreachable")
      assert.isBelow(time, 100)
      assert.strictEqual(yield* Fiber.join(inFlight), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.subscribe("b")), "BusUnreachable")
      // BUG1: refused twice, then up.
      assert.strictEqual(yield* refusalOf(Effect.scoped(open(nats))), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(Effect.scoped(open(nats))), "BusUnreachable")
      yield* Effect.promise(() => nats.broker.start())
      const next = yield* open(nats)
      yield* next.subscribe("a")
      yield* next.publish("a", "again")
      assert.deepStrictEqual(yield* next.hears("a", 1), ["again"])
      assert.lengthOf(link.heard("a"), 0)
    })
  )

  it.live("K7: a server that stops answering is noticed, and closing does not wait for it", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const scope = yield* Scope.make()
      const link = yield* Scope.provide(open(nats), scope)
      nats.broker.stall()
      const published = yield* Effect.forkChild(refusalOf(link.publish("a", "stale")), { startImmediately: true })
      const [, noticed] = yield* took(link.whyLost)
      assert.isBelow(noticed, 3_500)
      assert.strictEqual(yield* Fiber.join(published), "BusUnreachable")
      const [, closing] = yield* took(Scope.close(scope, Exit.void))
      assert.isBelow(closing, 1_000)
      nats.broker.resume()
    })
  )

  it.live("a stopped server costs no socket per attempt to connect", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      nats.broker.stall()
      const before = sockets()
      for (let attempt = 0; attempt < 5; attempt++) {
        const exit = yield* Effect.exit(Effect.timeout(Effect.scoped(open(nats)), "50 millis"))
        assert.isTrue(Exit.isFailure(exit))
      }
      // The client's own deadline comes to the same.
      const [tag, time] = yield* took(refusalOf(Effect.scoped(open(nats))))
      assert.strictEqual(tag, "BusUnreachable")
      assert.isBelow(time, 3_000)
      yield* Effect.sleep(Duration.millis(50))
      assert.strictEqual(sockets(), before)
      nats.broker.resume()
    })
  )

  it.live("says when the server closes the connection", () =>
    Effect.gen(function* () {
      const nats = yield* server(`lame_duck_grace_period: "100ms"\nlame_duck_duration: "30s"`)
      const link = yield* open(nats)
      nats.retire()
      const [why, time] = yield* took(link.whyLost)
      assert.strictEqual(why.reason._tag, "BusUnreachable")
      assert.isBelow(time, 5_000)
      assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
    })
  )

  it.live("leaves a server that is about to stop when there is another", () =>
    Effect.gen(function* () {
      const lameDuck = `lame_duck_grace_period: "20s"\nlame_duck_duration: "30s"`
      const [one, two] = [yield* server(lameDuck), yield* server(lameDuck)]
      const servers = `${one.servers},${two.servers}`
      const link = yield* open({ servers })
      one.retire()
      two.retire()
      const [why, time] = yield* took(link.whyLost)
      assert.include(why.message, "about to stop")
      assert.isBelow(time, 1_000)
    })
  )

  it.live("speaks TLS where it is asked to, and with nobody it cannot verify", () =>
    Effect.gen(function* () {
      const { ca, cert, key } = makeCertificate()
      const folder = mkdtempSync(path.join(tmpdir(), "nats-tls-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
      writeFileSync(path.join(folder, "cert.pem"), cert)
      writeFileSync(path.join(folder, "key.pem"), key)
      const nats = yield* server(`tls { cert_file: "${folder}/cert.pem", key_file: "${folder}/key.pem" }`)
      const link = yield* open(nats, { tls: { ca } })
      yield* link.subscribe("a")
      yield* link.publish("a", "1")
      assert.deepStrictEqual(yield* link.hears("a", 1), ["1"])
      for (const options of [{}, { tls: {} }]) {
        assert.strictEqual(yield* refusalOf(Effect.scoped(open(nats, options))), "BusUnreachable")
      }
      const before = sockets()
      nats.broker.stall()
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.timeout(Effect.scoped(open(nats)), "50 millis"))))
      yield* Effect.promise(() => nats.broker.kill())
      assert.strictEqual((yield* link.whyLost).reason._tag, "BusUnreachable")
      yield* Effect.sleep("20 millis")
      assert.isBelow(sockets(), before)
      const plain = yield* server()
      assert.strictEqual(yield* refusalOf(Effect.scoped(open(plain, { tls: { ca } }))), "BusUnreachable")
    })
  )

  it.live("what is published in one turn leaves in one write", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      yield* link.subscribe("a")
      const writes = vi.spyOn(Net.Socket.prototype, "write")
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.restoreAllMocks()))
      const numbers = Array.from({ length: 100 }, (_, index) => String(index))
      yield* Effect.forEach(numbers, (number) => link.publish("a", number), { concurrency: "unbounded", discard: true })
      assert.strictEqual(writes.mock.calls.length, 1)
      assert.deepStrictEqual(yield* link.hears("a", numbers.length), numbers)
    })
  )

  it.live("BUG16, BUG17: unsubscribed is silent, and subscribed again hears each message once", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      const other = yield* open(nats)
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

  it.live("subscribes 512 topics at once", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const link = yield* open(nats)
      const topics = Array.from({ length: 512 }, (_, index) => `topic ${index}`)
      yield* link.subscribe(...topics)
      yield* Effect.forEach(topics, (topic) => link.publish(topic, topic), { concurrency: "unbounded" })
      for (const topic of topics) assert.deepStrictEqual(yield* link.hears(topic, 1), [topic])
    })
  )

  it.live("BUG20: 20 connections one after the other leave one handler", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const same = driver({ servers: nats.servers })
      for (let round = 0; round < 20; round++) {
        yield* Effect.scoped(Effect.flatMap(Link.open(same), (link) => link.subscribe("a")))
      }
      const link = yield* Link.open(same)
      yield* link.subscribe("a")
      yield* link.publish("a", "1")
      yield* link.publish("a", "2")
      assert.deepStrictEqual(yield* link.hears("a", 2), ["1", "2"])
    })
  )

  it.live("with echo off a node hears others and not itself", () =>
    Effect.gen(function* () {
      const nats = yield* server()
      const [silent, other] = [yield* open(nats, { echo: false }), yield* open(nats)]
      yield* silent.subscribe("a")
      yield* silent.publish("a", "own")
      yield* other.publish("a", "other")
      assert.deepStrictEqual(yield* silent.hears("a", 1), ["other"])
    })
  )

  it.live(
    "BUG14: whatever a server does to a connection that is being made, connecting fails and the process lives",
    () =>
      Effect.gen(function* () {
        const info =
          'INFO {"server_id":"x","version":"2.9.0","go":"x","host":"x","port":1,"proto":1,"max_payload":1024}\r\n'
        const tricks: ReadonlyArray<(socket: Net.Socket) => void> = [
          (socket) => socket.resetAndDestroy(),
          (socket) => socket.end(),
          (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
          (socket) => socket.write("INFO {}\r\n", () => socket.resetAndDestroy()),
          (socket) => socket.write(info, () => socket.resetAndDestroy()),
          (socket) => socket.write(info, () => socket.end("-ERR 'Authorization Violation'\r\n")),
          (socket) => {
            socket.write(info)
            socket.once("data", () => socket.resetAndDestroy())
          }
        ]
        for (const trick of tricks) {
          const fake = Net.createServer((socket) => {
            socket.on("error", () => {}).resume()
            trick(socket)
          })
          fake.listen(0, "127.0.0.1")
          yield* Effect.promise(() => once(fake, "listening"))
          const { port } = fake.address() as Net.AddressInfo
          const error = yield* Effect.flip(Effect.scoped(open({ servers: `127.0.0.1:${port}` })))
          assert.include(["BusRefused", "BusUnreachable"], error.reason._tag)
          yield* Effect.promise(() => new Promise((resolve) => fake.close(resolve)))
        }
      })
  )
})
