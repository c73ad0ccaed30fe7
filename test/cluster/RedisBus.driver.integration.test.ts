/**
 * What the Redis driver promises, against a private server.
 */
import { once } from "node:events"
import * as Net from "node:net"
import * as path from "node:path"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as redis from "redis"
import { vi } from "vitest"
import { configOf } from "../../src/cluster/internal/redis/config.ts"
import type { RedisOptions } from "../../src/cluster/internal/redis/options.ts"
import * as RedisDriver from "../../src/cluster/internal/redis/driver.ts"
import { type Broker, skipWhere } from "../support/broker.ts"
import { makeCertificate } from "../support/certificate.ts"
import { carriesPayloads, Link, refusalOf, separatesTopics, took, visible } from "../support/driverLink.ts"
import { connectAdmin, missing, startRedis, startTlsRedis } from "../support/redisServer.ts"

skipWhere(missing)

const owned = (start: () => Promise<Broker>) =>
  Effect.acquireRelease(Effect.promise(start), (broker) => Effect.promise(() => broker[Symbol.asyncDispose]()))

const server = (...options: ReadonlyArray<string>) => owned(() => startRedis(options))

/** Gives orders to a server. */
const admin = Effect.fnUntraced(function* (broker: Broker) {
  const operator = yield* Effect.acquireRelease(
    Effect.promise(() => connectAdmin(broker)),
    (opened) => Effect.sync(() => opened[Symbol.dispose]())
  )
  return {
    ask: (command: string, ...args: ReadonlyArray<string>) => Effect.promise(() => operator.ask(command, ...args)),
    until: (command: string, isRight: (answer: unknown) => boolean) =>
      Effect.promise(() => operator.until(command, isRight))
  }
})

const driverOf = (broker: Pick<Broker, "port">, options: Partial<RedisOptions> = {}) =>
  RedisDriver.make(configOf(redis, { url: `redis://127.0.0.1:${broker.port}`, ...options }))

const open = (broker: Pick<Broker, "port">, options?: Partial<RedisOptions>) => Link.open(driverOf(broker, options))

const sockets = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length

/** Done when this process has no more sockets than that, which must not take a second. */
const untilSockets = (count: number) => {
  const look: Effect.Effect<void> = Effect.suspend(() =>
    sockets() <= count ? Effect.void : Effect.delay(look, "5 millis")
  )
  return Effect.timeout(look, "1 second")
}

/** Lets what was called reach the network. */
const settle = Effect.sleep("20 millis")

const concurrently = { concurrency: "unbounded", discard: true } as const

const canary = "canary-7f3a9c"

const userRules = (rules: string): ReadonlyArray<string> => ["--user", ...rules.split(" ")]

/** Bob has the channels that begin with `app:`. */
const bobsRules = userRules(`bob on >${canary} resetchannels &app:* +@all`)
const bob: Partial<RedisOptions> = { username: "bob", password: Redacted.make(canary) }

describe("Redis driver", () => {
  it.live("delivers in order, to others and to whoever published", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const [one, two] = [yield* open(broker), yield* open(broker)]
      yield* one.subscribe("a", "b")
      yield* two.subscribe("a")
      const numbers = Array.from({ length: 2_000 }, (_, index) => String(index))
      const odd = numbers.filter((number) => Number(number) % 2 === 1)
      yield* Effect.forEach(
        numbers,
        (number) =>
          Effect.all(
            [one.publish("a", number), odd.includes(number) ? one.publish("b", number) : Effect.void],
            concurrently
          ),
        concurrently
      )
      assert.deepStrictEqual(yield* two.hears("a", numbers.length), numbers)
      assert.deepStrictEqual(yield* one.hears("a", numbers.length), numbers)
      assert.deepStrictEqual(yield* one.hears("b", odd.length), odd)
    })
  )

  it.live("what is published in one turn leaves in one write", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const link = yield* open(broker)
      yield* link.subscribe("a")
      // The client corks its socket and writes each command: what leaves together is one call of `_writev`.
      const prototype = Net.Socket.prototype as unknown as Record<"_write" | "_writev", () => void>
      const one = vi.spyOn(prototype, "_write")
      const many = vi.spyOn(prototype, "_writev")
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.restoreAllMocks()))
      const numbers = Array.from({ length: 100 }, (_, index) => String(index))
      yield* Effect.forEach(numbers, (number) => link.publish("a", number), concurrently)
      assert.deepStrictEqual([one.mock.calls.length, many.mock.calls.length], [0, 1])
      assert.deepStrictEqual(yield* link.hears("a", numbers.length), numbers)
    })
  )

  it.live("SEC14: no two topics mix, whatever is in their names", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      yield* separatesTopics(yield* open(broker), yield* open(broker))
      const special = [
        "__redis__:invalidate",
        "__keyspace@0__:a",
        "_\uFFFD",
        "\uFFFD",
        "\uD83C",
        "\uDF88",
        "\uD83C\uDF88"
      ]
      const link = yield* open(broker, { prefix: "é:" })
      const unprefixed = yield* open(broker)
      yield* link.subscribe(...special)
      yield* unprefixed.subscribe(...special)
      yield* Effect.forEach(special, (topic) => link.publish(topic, `of ${topic}`), { discard: true })
      yield* Effect.forEach(special, (topic) => link.publish(topic, "end"), { discard: true })
      yield* Effect.forEach(special, (topic) => unprefixed.publish(topic, "unprefixed"), { discard: true })
      for (const topic of special) {
        assert.deepStrictEqual(yield* link.hears(topic, 2), [`of ${topic.toWellFormed()}`, "end"])
        assert.deepStrictEqual(yield* unprefixed.hears(topic, 1), ["unprefixed"])
      }
    })
  )

  it.live("carries any text, an empty payload and 1 MiB among them, and the same twice", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const [from, to] = [yield* open(broker), yield* open(broker)]
      yield* carriesPayloads(from, to)
      const large = "0123456789abcdé".repeat(65_536)
      yield* to.subscribe("large")
      yield* Effect.forEach(["", "same", "same", large, "end"], (text) => from.publish("large", text), concurrently)
      const heard = yield* to.hears("large", 5)
      assert.deepStrictEqual([...heard.slice(0, 3), heard[4]], ["", "same", "same", "end"])
      assert.isTrue(heard[3] === large)
    })
  )

  it.live("publishing what is not permitted fails, beside publishes that succeed", () =>
    Effect.gen(function* () {
      const broker = yield* server(...bobsRules)
      const link = yield* open(broker, bob)
      yield* link.subscribe("app:a")
      for (let round = 0; round < 20; round++) {
        const exits = yield* Effect.forEach(
          ["app:a", "other", "app:a", "other"],
          (topic) => Effect.exit(link.publish(topic, String(round))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, false])
      }
      assert.strictEqual(yield* refusalOf(link.publish("other", "")), "BusRefused")
      assert.lengthOf(yield* link.hears("app:a", 40), 40)
    })
  )

  it.live("a refused subscribe fails, leaves nothing behind, and works once it is permitted", () =>
    Effect.gen(function* () {
      const broker = yield* server(...bobsRules)
      const operator = yield* admin(broker)
      const link = yield* open(broker, bob)
      yield* link.subscribe("app:b")
      for (let round = 0; round < 3; round++) {
        assert.strictEqual(yield* refusalOf(link.subscribe("app:a", "other", "app:b")), "BusRefused")
      }
      const channels = yield* operator.ask("PUBSUB CHANNELS")
      assert.deepStrictEqual(channels, ["app:b"])
      yield* operator.ask("ACL SETUSER bob &other")
      yield* link.subscribe("app:a", "other", "app:b")
      yield* Effect.forEach(["app:a", "other", "app:b"], (topic) => link.publish(topic, "1"), concurrently)
      for (const topic of ["app:a", "other", "app:b"]) assert.deepStrictEqual(yield* link.hears(topic, 1), ["1"])
    })
  )

  it.live("with a prefix a node needs the channels that begin with it", () =>
    Effect.gen(function* () {
      const broker = yield* server(
        ...userRules(`node on >${canary} resetchannels &app:* +publish +subscribe +unsubscribe`)
      )
      const link = yield* open(broker, { username: "node", password: Redacted.make(canary), prefix: "app:" })
      yield* link.subscribe("a")
      yield* link.publish("a", "1")
      assert.deepStrictEqual(yield* link.hears("a", 1), ["1"])
      yield* link.unsubscribe("a")
    })
  )

  it.live("SEC27: refuses wrong credentials and repeats none", () =>
    Effect.gen(function* () {
      const broker = yield* server(...bobsRules, ...userRules("default off"))
      const wrong = `${canary}%2Fwrong`
      const url = `127.0.0.1:${broker.port}`
      const attempts: ReadonlyArray<Partial<RedisOptions>> = [
        { username: "bob", password: Redacted.make(wrong) },
        { username: canary, password: Redacted.make(canary) },
        { password: Redacted.make(canary) },
        { url: Redacted.make(`redis://bob:${wrong}@${url}`) },
        { url: Redacted.make(`redis://:${canary}@${url}`) },
        { url: Redacted.make(`redis://bob:${canary}@${url}/4711`) },
        {}
      ]
      for (const attempt of attempts) {
        const error = yield* Effect.flip(Effect.scoped(open(broker, attempt)))
        assert.strictEqual(error.reason._tag, "BusRefused", error.message)
        assert.notInclude(visible(inspect, error), canary)
      }
      const link = yield* open(broker, { url: Redacted.make(`redis://bob:${canary}@${url}/1`) })
      assert.notInclude(visible(inspect, yield* Effect.flip(link.publish("other", canary))), canary)
      // A server that does not know a command repeats its arguments.
      const fake = yield* fakeServer((socket) =>
        socket.once("data", (chunk) =>
          socket.write(`-ERR unknown command 'HELLO', with args: ${String(chunk.length)} '${canary}'\r\n`)
        )
      )
      const unknown = yield* Effect.flip(Effect.scoped(open(fake, bob)))
      assert.deepInclude(unknown.reason, { _tag: "BusRefused", detail: "Redis answered ERR unknown command" })
    })
  )

  it.live("a Redis that is still loading, or has too many clients, is out of reach", () =>
    Effect.gen(function* () {
      for (const answer of ["LOADING Redis is loading the dataset in memory", "ERR max number of clients reached"]) {
        const fake = yield* fakeServer((socket) => socket.once("data", () => socket.write(`-${answer}\r\n`)))
        assert.strictEqual(yield* refusalOf(Effect.scoped(open(fake))), "BusUnreachable")
      }
      const broker = yield* server("--maxclients", "1")
      const operator = yield* admin(broker)
      assert.strictEqual(yield* refusalOf(Effect.scoped(open(broker))), "BusUnreachable")
      yield* operator.ask("CONFIG SET maxclients 10")
      yield* open(broker)
    })
  )

  it.live("a replica is out of reach until it is a master: it would hear and not be heard", () =>
    Effect.gen(function* () {
      const master = yield* server()
      const broker = yield* server("--replicaof", "127.0.0.1", String(master.port))
      const operator = yield* admin(broker)
      const error = yield* Effect.flip(Effect.scoped(open(broker)))
      assert.deepInclude(error.reason, { _tag: "BusUnreachable", detail: "this Redis is a replica" })
      yield* operator.ask("REPLICAOF NO ONE")
      yield* open(broker)
    })
  )

  it.live("nodes of a Redis Cluster pass on what is published to any of them", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* server("--cluster-enabled", "yes"), yield* server("--cluster-enabled", "yes")]
      const operators = [yield* admin(one), yield* admin(two)]
      yield* operators[0]!.ask(`CLUSTER MEET 127.0.0.1 ${two.port}`)
      for (const operator of operators) {
        yield* operator.until("CLUSTER NODES", (nodes) => (nodes as string).match(/ connected/g)?.length === 2)
      }
      const links = [yield* open(one), yield* open(two)]
      for (const link of links) yield* link.subscribe("a")
      yield* links[0]!.publish("a", "1")
      for (const link of links) assert.deepStrictEqual(yield* link.hears("a", 1), ["1"])
      yield* links[1]!.publish("a", "2")
      for (const link of links) assert.deepStrictEqual(yield* link.hears("a", 2), ["1", "2"])
    })
  )

  it.live("TRAP6: after kill -9 publishing fails, and the loss is noticed at once", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const link = yield* open(broker)
      yield* link.subscribe("a")
      broker.stall()
      const inFlight = yield* Effect.forkChild(refusalOf(link.publish("a", "")), { startImmediately: true })
      yield* Effect.promise(() => broker.kill())
      const [why, time] = yield* took(link.whyLost)
      assert.strictEqual(why.reason._tag, "BusUnreachable")
      assert.isBelow(time, 250)
      assert.strictEqual(yield* Fiber.join(inFlight), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.subscribe("b")), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.unsubscribe("a")), "BusUnreachable")
      // BUG1: refused twice, then up.
      assert.strictEqual(yield* refusalOf(Effect.scoped(open(broker))), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(Effect.scoped(open(broker))), "BusUnreachable")
      yield* Effect.promise(() => broker.start())
      const next = yield* open(broker)
      yield* next.subscribe("a")
      yield* next.publish("a", "again")
      assert.deepStrictEqual(yield* next.hears("a", 1), ["again"])
      assert.lengthOf(link.heard("a"), 0)
    })
  )

  it.live.each(["pubsub", "normal"])("K6: CLIENT KILL TYPE %s loses the whole connection", (type) =>
    Effect.gen(function* () {
      const broker = yield* server()
      const operator = yield* admin(broker)
      const link = yield* open(broker)
      yield* link.subscribe("a")
      yield* operator.ask(`CLIENT KILL TYPE ${type}`)
      const [why, time] = yield* took(link.whyLost)
      assert.strictEqual(why.reason._tag, "BusUnreachable")
      assert.isBelow(time, 250)
      assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
    })
  )

  it.live("says when Redis drops it because it was behind", () =>
    Effect.gen(function* () {
      const broker = yield* server("--client-output-buffer-limit", "pubsub 1mb 0 0")
      const operator = yield* admin(broker)
      const link = yield* open(broker)
      yield* link.subscribe("a")
      // All of it in one step of Redis, in which nobody can read.
      const script = `for _ = 1, 100 do redis.call("PUBLISH", "a", string.rep("x", 100000)) end`
      yield* operator.ask("EVAL", script, "0")
      const [why, time] = yield* took(link.whyLost)
      assert.strictEqual(why.reason._tag, "BusUnreachable")
      assert.isBelow(time, 250)
    })
  )

  it.live("K7: closing does not wait for a server that does not answer, and what had not left yet never does", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const other = yield* open(broker)
      yield* other.subscribe("a")
      const scope = yield* Scope.make()
      const link = yield* Scope.provide(open(broker), scope)
      // More than the system takes for a server that does not read.
      const large = "x".repeat(1024 * 1024)
      broker.stall()
      const published = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 16 }), () => refusalOf(link.publish("a", large)), { concurrency: 16 }),
        { startImmediately: true }
      )
      const late = yield* Effect.forkChild(refusalOf(link.publish("a", "stale")), { startImmediately: true })
      yield* settle
      const [, time] = yield* took(Scope.close(scope, Exit.void))
      assert.isBelow(time, 250)
      assert.deepStrictEqual(new Set(yield* Fiber.join(published)), new Set(["BusUnreachable"]))
      assert.strictEqual(yield* Fiber.join(late), "BusUnreachable")
      assert.strictEqual(yield* refusalOf(link.publish("a", "")), "BusUnreachable")
      broker.resume()
      yield* other.publish("a", "end")
      const heard = yield* Effect.map(other.hears("a", 1), (all) => all.filter((payload) => payload.length < 10))
      assert.notInclude(heard, "stale")
    })
  )

  it.live("a stopped server costs no socket per attempt to connect, also where the system dials in vain", () =>
    Effect.gen(function* () {
      const broker = yield* server("--tcp-backlog", "1")
      broker.stall()
      const before = sockets()
      // The first of them fill what the system accepts in the server's name; dialling hangs from then on.
      for (let attempt = 0; attempt < 6; attempt++) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.timeout(Effect.scoped(open(broker)), "30 millis"))))
      }
      yield* untilSockets(before)
      broker.resume()
    })
  )

  it.live("leaves nothing on the server when it closes", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const operator = yield* admin(broker)
      // One line for each connection, the operator's among them.
      const clientsAre = (count: number) =>
        operator.until("CLIENT LIST", (list) => (list as string).trim().split("\n").length === count)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const link = yield* open(broker)
          yield* link.subscribe("a", "b")
          yield* clientsAre(3)
        })
      )
      yield* clientsAre(1)
      assert.deepStrictEqual(yield* operator.ask("PUBSUB CHANNELS"), [])
    })
  )

  it.live("too many publishes that wait for an answer fail at once, and the others arrive", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const link = yield* open(broker)
      yield* link.subscribe("a")
      broker.stall()
      const exits = Effect.forEach(Array.from({ length: 16_484 }), () => Effect.exit(link.publish("a", "x")), {
        concurrency: "unbounded"
      })
      const fiber = yield* Effect.forkChild(exits, { startImmediately: true })
      yield* settle
      broker.resume()
      const failed = (yield* Fiber.join(fiber)).filter(Exit.isFailure)
      assert.lengthOf(failed, 100)
      assert.lengthOf(yield* link.hears("a", 16_384), 16_384)
    })
  )

  it.live("BUG16, BUG17: unsubscribed is silent, and subscribed again hears each message once", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const [link, other] = [yield* open(broker), yield* open(broker)]
      for (let round = 0; round < 20; round++) {
        yield* link.subscribe("a")
        yield* other.publish("a", String(round))
        yield* link.hears("a", round + 1)
        yield* link.unsubscribe("a")
        yield* other.publish("a", "nobody listens")
      }
      const expected = Array.from({ length: 20 }, (_, round) => String(round))
      for (let round = 0; round < 250; round++) {
        const storm = [link.subscribe("a"), link.unsubscribe("a"), link.unsubscribe("a"), link.subscribe("a")]
        yield* Effect.all(storm.slice(round % 3), concurrently)
        yield* other.publish("a", `storm ${round}`)
        expected.push(`storm ${round}`)
      }
      yield* other.publish("a", "end")
      assert.deepStrictEqual(yield* link.hears("a", expected.length + 1), [...expected, "end"])
    })
  )

  it.live("subscribes 512 topics at once, and unsubscribes them", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const operator = yield* admin(broker)
      const link = yield* open(broker)
      const topics = Array.from({ length: 512 }, (_, index) => `topic ${index}`)
      yield* link.subscribe(...topics)
      yield* Effect.forEach(topics, (topic) => link.publish(topic, topic), concurrently)
      for (const topic of topics) assert.deepStrictEqual(yield* link.hears(topic, 1), [topic])
      yield* link.unsubscribe(...topics, "never subscribed")
      assert.deepStrictEqual(yield* operator.ask("PUBSUB CHANNELS"), [])
    })
  )

  it.live("BUG20: 20 connections one after the other leave one handler", () =>
    Effect.gen(function* () {
      const broker = yield* server()
      const driver = driverOf(broker)
      for (let round = 0; round < 20; round++) {
        yield* Effect.scoped(Effect.flatMap(Link.open(driver), (link) => link.subscribe("a")))
      }
      const link = yield* Link.open(driver)
      yield* link.subscribe("a")
      yield* link.publish("a", "1")
      yield* link.publish("a", "2")
      assert.deepStrictEqual(yield* link.hears("a", 2), ["1", "2"])
    })
  )

  it.live("connects over TLS, and only to who has the certificate", () =>
    Effect.gen(function* () {
      const { ca, cert, key } = makeCertificate()
      const broker = yield* owned(() => startTlsRedis({ cert, key }))
      const url = `rediss://127.0.0.1:${broker.port}`
      const link = yield* open(broker, { url, tls: { ca } })
      yield* link.subscribe("a")
      yield* link.publish("a", "1")
      assert.deepStrictEqual(yield* link.hears("a", 1), ["1"])
      const before = sockets()
      for (const tls of [undefined, { ca: makeCertificate().ca }]) {
        assert.strictEqual(yield* refusalOf(Effect.scoped(open(broker, { url, tls }))), "BusUnreachable")
      }
      // Closing while it shakes hands.
      broker.stall()
      const shaking = Effect.timeout(Effect.scoped(open(broker, { url, tls: { ca } })), "30 millis")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(shaking)))
      yield* untilSockets(before)
      broker.resume()
    })
  )

  it.live("connects over a socket of the file system", () =>
    Effect.gen(function* () {
      const broker = yield* server("--unixsocket", "redis.sock")
      const link = yield* open(broker, { url: `unix://${path.join(broker.directory, "redis.sock")}` })
      yield* link.subscribe("a")
      yield* link.publish("a", "1")
      assert.deepStrictEqual(yield* link.hears("a", 1), ["1"])
    })
  )

  it.live(
    "BUG14: whatever a server does to a connection that is being made, connecting fails and the process lives",
    () =>
      Effect.gen(function* () {
        const greeting = "%1\r\n$5\r\nproto\r\n:3\r\n+OK\r\n+OK\r\n"
        const tricks: ReadonlyArray<(socket: Net.Socket) => void> = [
          (socket) => socket.resetAndDestroy(),
          (socket) => socket.end(),
          (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
          (socket) => socket.write("+OK\r\n", () => socket.resetAndDestroy()),
          (socket) => socket.write("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"),
          (socket) => socket.once("data", () => socket.resetAndDestroy()),
          (socket) => socket.once("data", () => socket.end("*-1\r\n$-5\r\n?")),
          (socket) => socket.once("data", () => socket.write(greeting.slice(0, 20), () => socket.end()))
        ]
        for (const trick of tricks) {
          const fake = yield* fakeServer(trick)
          const exit = yield* Effect.exit(Effect.timeout(Effect.scoped(open(fake)), "100 millis"))
          assert.isTrue(Exit.isFailure(exit))
        }
        // What it says to a connection that is there ends that connection.
        for (const text of ["?\r\n", "+nobody asked\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "-ERR\r\n"]) {
          const fake = yield* fakeServer((socket) => socket.once("data", () => socket.write(greeting + text)))
          const loss = Effect.flatMap(open(fake), (link) => Effect.flatMap(link.whyLost, Effect.fail))
          const error = yield* Effect.flip(Effect.scoped(loss)).pipe(Effect.timeout("1 second"))
          assert.strictEqual(error.reason._tag, "BusUnreachable", text)
        }
      })
  )
})

/** A server that does one thing to every connection. */
function fakeServer(trick: (socket: Net.Socket) => void) {
  const listen = async () => {
    const accepted = new Set<Net.Socket>()
    const fake = Net.createServer((socket) => {
      accepted.add(socket)
      socket.on("error", () => {})
      trick(socket)
    })
    fake.listen(0, "127.0.0.1")
    await once(fake, "listening")
    const close = async () => {
      for (const socket of accepted) socket.destroy()
      await new Promise((resolve) => fake.close(resolve))
    }
    return { port: (fake.address() as Net.AddressInfo).port, close }
  }
  return Effect.acquireRelease(Effect.promise(listen), ({ close }) => Effect.promise(close))
}
