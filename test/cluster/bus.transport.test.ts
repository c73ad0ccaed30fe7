/**
 * Event buses from three functions of a user, and the one for a node that is alone.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as EventBus from "../../src/cluster/EventBus.ts"
import { BusUnreachable, EventBusError } from "../../src/cluster/EventBusError.ts"
import { Ear } from "../support/fakeDriver.ts"

type Handler = (payload: string) => void

/** A client as users have them: keeps what it is subscribed to, calls every handler it was ever given for a topic. */
class Client {
  readonly handlers = new Map<string, Array<Handler>>()
  readonly calls: Array<string> = []
  readonly echo: boolean
  /** Thrown or failed with by what it names. */
  broken: { publish?: unknown; subscribe?: unknown; unsubscribe?: unknown } = {}

  constructor(echo = true) {
    this.echo = echo
  }

  get topics(): ReadonlyArray<string> {
    return Array.from(this.handlers.keys())
      .filter((topic) => !topic.startsWith("effect-rooms.probe."))
      .toSorted()
  }

  call(what: "publish" | "subscribe" | "unsubscribe", topic: string): void {
    if (!topic.startsWith("effect-rooms.probe.")) this.calls.push(`${what} ${topic}`)
    if (this.broken[what] !== undefined) throw this.broken[what]
  }

  arrives(topic: string, payload: string): void {
    for (const handler of this.handlers.get(topic) ?? []) handler(payload)
  }

  publish(topic: string, payload: string): void {
    this.call("publish", topic)
    if (this.echo) this.arrives(topic, payload)
  }

  subscribe(topic: string, handler: Handler): void {
    this.call("subscribe", topic)
    this.handlers.set(topic, [...(this.handlers.get(topic) ?? []), handler])
  }

  unsubscribe(topic: string): void {
    this.call("unsubscribe", topic)
    this.handlers.delete(topic)
  }
}

const attempt = (call: () => void): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(call())
    } catch (thrown) {
      return Effect.fail(thrown)
    }
  })

/** The three functions, in each of the ways they can answer. */
const transports: Record<string, (client: Client) => EventBus.Transport> = {
  "that answer at once, and throw": (client) => ({
    publish: (topic, payload) => client.publish(topic, payload),
    subscribe: (topic, onMessage) => client.subscribe(topic, onMessage),
    unsubscribe: (topic) => client.unsubscribe(topic)
  }),
  "that answer with promises": (client) => ({
    publish: async (topic, payload) => client.publish(topic, payload),
    subscribe: async (topic, onMessage) => client.subscribe(topic, onMessage),
    unsubscribe: async (topic) => client.unsubscribe(topic)
  }),
  "that answer with effects": (client) => {
    return {
      publish: (topic, payload) => attempt(() => client.publish(topic, payload)),
      subscribe: (topic, onMessage) => attempt(() => client.subscribe(topic, onMessage)),
      unsubscribe: (topic) => attempt(() => client.unsubscribe(topic))
    }
  }
}

/** Time passes, and promises are through before it does. */
const pass = (millis: number) =>
  Effect.gen(function* () {
    for (let passed = 0; passed < millis; passed += 50) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust(Math.min(50, millis - passed))
    }
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  })

const makeBus = (client: Client, transport: EventBus.Transport, options?: EventBus.TransportOptions) =>
  Effect.tap(EventBus.fromTransport(transport, { echo: client.echo, ...options }), pass(1))

describe.each(Object.entries(transports))("M6: a bus from functions %s", (_, transportOf) => {
  it.effect("subscribes to a topic while it has listeners, once however many, and delivers to them", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* makeBus(client, transportOf(client))
      const scope = yield* Scope.make()
      const ears = [new Ear(), new Ear()]
      for (const ear of ears) yield* Scope.provide(bus.subscribe("room/general", ear.onEvent), scope)
      yield* bus.publish("room/general", "hello")
      assert.deepStrictEqual(
        ears.map(({ heard }) => heard),
        [["hello"], ["hello"]]
      )
      yield* Scope.close(scope, Exit.void)
      yield* pass(1_050)
      assert.deepStrictEqual(client.topics, [])
      assert.deepStrictEqual(client.calls, [
        "subscribe room/general",
        "publish room/general",
        "unsubscribe room/general"
      ])
    })
  )

  it.effect(
    "TRAP3: a subscribe that fails is refused, leaves nothing, costs others nothing, and can be tried again",
    () =>
      Effect.gen(function* () {
        const client = new Client()
        const bus = yield* makeBus(client, transportOf(client))
        yield* bus.subscribe("a", () => {})
        client.broken.subscribe = new Error("no permission for redis://user:secret@host/0")
        const error = yield* Effect.flip(bus.subscribe("b", () => {}))
        assert.deepInclude(error.reason, { _tag: "BusRefused", detail: "no permission for redis://host/0" })
        client.broken = {}
        const ear = new Ear()
        yield* bus.subscribe("b", ear.onEvent)
        yield* bus.publish("b", "1")
        assert.deepStrictEqual([ear.heard, client.topics], [["1"], ["a", "b"]])
        assert.strictEqual((yield* bus.health)._tag, "Up")
      })
  )

  it.effect("TRAP6: a publish that fails is unreachable", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* makeBus(client, transportOf(client))
      client.broken.publish = new Error("not connected")
      const error = yield* Effect.flip(bus.publish("a", "1"))
      assert.deepInclude(error.reason, { _tag: "BusUnreachable", detail: "not connected" })
    })
  )

  it.effect("BUG17, BUG20: after an outage all is subscribed anew, once, whatever the client has restored itself", () =>
    Effect.gen(function* () {
      for (const unsubscribes of [true, false]) {
        const client = new Client()
        const bus = yield* makeBus(client, transportOf(client))
        const [stays, goes] = [new Ear(), new Ear()]
        const scope = yield* Scope.make()
        yield* bus.subscribe("a", stays.onEvent)
        yield* Scope.provide(bus.subscribe("b", goes.onEvent), scope)
        client.broken.publish = new Error("gone")
        if (!unsubscribes) client.broken.unsubscribe = new Error("gone")
        yield* pass(3_100)
        assert.strictEqual((yield* bus.health)._tag, "Degraded")
        assert.deepStrictEqual(stays.heard, ["(unreachable)"])
        yield* Scope.close(scope, Exit.void)
        yield* pass(10_000)
        client.broken = {}
        yield* pass(2_500)
        assert.strictEqual((yield* bus.health)._tag, "Up")
        client.arrives("a", "1")
        assert.deepStrictEqual(stays.heard, ["(unreachable)", "(reconnected)", "1"])
        assert.deepStrictEqual(client.topics, ["a"])
      }
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("unsubscribes everything when it closes", () =>
    Effect.gen(function* () {
      const client = new Client()
      const scope = yield* Scope.make()
      const bus = yield* Scope.provide(makeBus(client, transportOf(client)), scope)
      for (const topic of ["a", "b", "c"]) yield* bus.subscribe(topic, () => {})
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(Array.from(client.handlers.keys()), [])
    })
  )
})

const never = () => new Promise<void>(() => {})

describe("M6: a bus from functions", () => {
  const transportOf = transports["that answer at once, and throw"]!

  it.effect("takes nothing for granted that it was not told", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* EventBus.fromTransport(transportOf(client))
      assert.deepInclude(bus, { kind: "transport", maxPayload: 65_536, echo: false, ordered: false })
      assert.deepStrictEqual(Array.from(client.handlers), [])
      const exit = yield* Effect.exit(EventBus.fromTransport(transportOf(client), { maxPayload: 0 }))
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("RangeError"))
    })
  )

  it.effect("without an echo tells by its publishes whether it works", () =>
    Effect.gen(function* () {
      const client = new Client(false)
      const bus = yield* makeBus(client, transportOf(client))
      assert.strictEqual((yield* bus.health)._tag, "Up")
      yield* pass(10_000)
      assert.strictEqual((yield* bus.health)._tag, "Up")
      client.broken.publish = new Error("gone")
      yield* pass(3_100)
      assert.deepInclude(yield* bus.health, { _tag: "Degraded", why: "gone" })
    })
  )

  it.effect("with an echo notices that it hears nothing any more", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* makeBus(client, transportOf(client))
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      // The client has lost its subscriptions and knows nothing of it.
      client.handlers.clear()
      yield* pass(3_500)
      client.arrives("a", "1")
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)", "1"])
    })
  )

  it.effect("BUG2: functions that never answer hold up nobody for more than their time", () =>
    Effect.gen(function* () {
      const client = new Client()
      const scope = yield* Scope.make()
      const hangs = { publish: false, subscribe: false }
      const bus = yield* Scope.provide(
        makeBus(client, {
          publish: (topic, payload) => (hangs.publish ? never() : client.publish(topic, payload)),
          subscribe: (topic, onMessage) => (hangs.subscribe ? never() : client.subscribe(topic, onMessage)),
          unsubscribe: never
        }),
        scope
      )
      hangs.subscribe = true
      const ear = new Ear()
      const subscribing = yield* Effect.forkChild(bus.subscribe("a", ear.onEvent), { startImmediately: true })
      yield* pass(5_100)
      assert.deepStrictEqual([subscribing.pollUnsafe(), ear.heard], [Exit.void, ["(unreachable)"]])
      hangs.subscribe = false
      yield* pass(5_000)
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)"])
      hangs.publish = true
      const publishing = yield* Effect.forkChild(Effect.flip(bus.publish("a", "1")), { startImmediately: true })
      yield* pass(3_100)
      assert.strictEqual((yield* Fiber.join(publishing)).reason._tag, "BusUnreachable")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass(2_100)
      assert.isDefined(closing.pollUnsafe())
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("takes an error of event buses as it is", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* makeBus(client, transportOf(client))
      client.broken.subscribe = new EventBusError({ reason: new BusUnreachable({ detail: "gone" }) })
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      assert.deepStrictEqual(ear.heard, ["(unreachable)"])
      client.broken = {}
      yield* pass(1_000)
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)"])
    })
  )

  it.effect("refuses together what was subscribed together only where it has to", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* makeBus(client, {
        ...transportOf(client),
        subscribe: (topic, onMessage) => {
          if (topic.startsWith("bad")) throw new Error("a name I do not take")
          client.subscribe(topic, onMessage)
        }
      })
      const topics = Array.from({ length: 40 }, (_, n) => (n === 11 ? "bad" : `t${n}`))
      const exits = yield* Effect.forEach(topics, (topic) => Effect.exit(bus.subscribe(topic, () => {})), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        topics.filter((_, n) => Exit.isFailure(exits[n]!)),
        ["bad"]
      )
      assert.strictEqual(client.topics.length, 39)
      for (const handlers of client.handlers.values()) assert.strictEqual(handlers.length, 1)
    })
  )

  it.effect("BUG20: a client that keeps its handlers delivers nothing twice", () =>
    Effect.gen(function* () {
      const client = new Client()
      const bus = yield* makeBus(client, { ...transportOf(client), unsubscribe: () => {} })
      const ear = new Ear()
      for (let n = 0; n < 3; n++) {
        yield* Effect.scoped(bus.subscribe("a", ear.onEvent))
        yield* pass(1_050)
      }
      yield* bus.subscribe("a", ear.onEvent)
      assert.strictEqual(client.handlers.get("a")!.length, 4)
      client.arrives("a", "1")
      assert.deepStrictEqual(ear.heard, ["1"])
    })
  )

  it.effect("BUG17: nothing is subscribed anew before everything is unsubscribed", () =>
    Effect.gen(function* () {
      let slow = 500
      const client = new Client(false)
      const bus = yield* makeBus(client, {
        ...transportOf(client),
        unsubscribe: (topic) =>
          Effect.andThen(
            Effect.suspend(() => Effect.sleep(slow)),
            Effect.sync(() => client.unsubscribe(topic))
          )
      })
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      client.broken.publish = new Error("gone")
      yield* pass(3_050)
      client.broken = {}
      yield* pass(3_000)
      client.arrives("a", "1")
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)", "1"])
      slow = 0
    })
  )

  it.effect("unsubscribes nothing it is not subscribed to", () =>
    Effect.gen(function* () {
      const client = new Client()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const bus = yield* makeBus(client, transportOf(client))
          client.broken.subscribe = new Error("no")
          yield* Effect.exit(bus.subscribe("a", () => {}))
        })
      )
      assert.deepStrictEqual(client.calls, ["subscribe a"])
    })
  )

  it.effect("is a layer, too", () =>
    Effect.gen(function* () {
      const client = new Client()
      const { kind } = yield* Effect.provide(
        EventBus.EventBus,
        EventBus.layerTransport(transportOf(client), { kind: "mine", echo: true })
      )
      assert.strictEqual(kind, "mine")
    })
  )
})

describe("the bus of a node that is alone", () => {
  it.effect("takes everything, delivers nothing, and is up", () =>
    Effect.gen(function* () {
      const bus = yield* EventBus.EventBus
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      yield* bus.publish("a", "x".repeat(1_000_000))
      assert.deepStrictEqual(ear.heard, [])
      assert.deepStrictEqual(yield* bus.health, { _tag: "Up" })
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(bus.healthChanges, 1)), [{ _tag: "Up" }])
    }).pipe(Effect.provide(EventBus.layerNoop))
  )
})
