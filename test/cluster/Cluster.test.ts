/**
 * Channels over several nodes of one process: what is published on one is heard on all, once, in order, or told as
 * missing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Envelope, Ref, type Subscription } from "effect-rooms"
import { Cluster, EventBus } from "effect-rooms/cluster"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { hostOf, isLoopback } from "../../src/cluster/internal/bus/loopback.ts"
import * as SimpleBus from "../support/simpleBus.ts"
import { inVirtualTime } from "../support/virtual.ts"

class Room extends Ref.Entity<Room>()("Room") {}
class Chat extends Channels.Service<Chat>()("test/Chat", { key: Room, message: Schema.String }) {}
const red = Room.ref`red`

interface Options extends Partial<Cluster.Options> {
  readonly echo?: boolean
}

const node = Effect.fnUntraced(function* (
  bus: SimpleBus.SimpleBus,
  name: string,
  { echo = true, ...options }: Options = {}
) {
  const cluster = Cluster.layer({ namespace: "test", node: name, ...options })
  const layer = Chat.layer.pipe(Layer.provideMerge(cluster), Layer.provide(bus.node(name, { echo })))
  const scope = yield* Effect.acquireRelease(Scope.make(), (made) => Scope.close(made, Exit.void))
  const context = yield* Scope.provide(Layer.build(Layer.fresh(layer)), scope)
  return {
    name,
    chat: Context.get(context, Chat),
    cluster: Context.get(context, Cluster.Cluster),
    stop: Scope.close(scope, Exit.void)
  }
})

/** Messages of channels, to all who listen or to the one node that does. */
const carriesMessages = (topic: string): boolean => /\/(key|for)\//.test(topic)

const settle = Effect.sleep(5)

/** Everything a subscription has now. */
const drained = Effect.fnUntraced(function* (subscription: Subscription.Subscription<string>) {
  const seen: Array<string> = []
  const read = Effect.flatMap(subscription.envelopes.take, (item: Envelope.Envelope<string> | Envelope.Gap) =>
    Effect.sync(() => void seen.push(item._tag === "Gap" ? `gap ${item.missed} ${item.reason}` : item.message))
  )
  yield* Effect.timeoutOption(Effect.forever(read), 1)
  return seen
})

describe("channels over nodes", () => {
  for (const echo of [true, false]) {
    it.effect(`a publish reaches every node once and in order (echo: ${echo})`, () =>
      inVirtualTime(
        Effect.gen(function* () {
          const bus = SimpleBus.make()
          const nodes = yield* Effect.forEach(["a", "b", "c"], (name) => node(bus, name, { echo }))
          const lines = yield* Effect.forEach(nodes, ({ chat }) => chat.subscribe(red))
          for (const text of ["one", "two", "three"]) yield* nodes[0]!.chat.publish(red, text)
          yield* settle
          for (const line of lines) assert.deepStrictEqual(yield* drained(line), ["one", "two", "three"])
        })
      )
    )
  }

  it.effect("what is published to a key that only other nodes hear reaches them, and crosses the bus once", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        const line = yield* b.chat.subscribe(red)
        yield* a.chat.publish(red, "one")
        yield* settle
        yield* a.chat.publish(red, "two")
        yield* settle
        assert.deepStrictEqual(yield* drained(line), ["one", "two"])
        const packets = Array.from(bus.published).filter(([topic]) => carriesMessages(topic))
        assert.deepStrictEqual(
          packets.map(([, count]) => count),
          [2]
        )
      })
    )
  )

  it.effect("a message that was lost on the way is a gap at its place, with its exact size", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        const line = yield* b.chat.subscribe(red)
        yield* a.chat.publish(red, "one")
        yield* settle
        bus.lose = (_, to, topic) => to === "b" && carriesMessages(topic)
        for (const text of ["two", "three"]) yield* a.chat.publish(red, text)
        yield* settle
        bus.lose = () => false
        yield* a.chat.publish(red, "four")
        yield* settle
        assert.deepStrictEqual(yield* drained(line), ["one", "gap 2 network", "four"])
      })
    )
  )

  it.effect("a last message that was lost is found within three seconds", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        const line = yield* b.chat.subscribe(red)
        bus.lose = (_, to, topic) => to === "b" && carriesMessages(topic)
        yield* a.chat.publish(red, "one")
        yield* Effect.sleep(3_000)
        assert.deepStrictEqual(yield* drained(line), ["gap 1 network"])
      })
    )
  )

  it.effect("who subscribes late is owed nothing of what was before", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        for (const text of ["one", "two", "three"]) yield* a.chat.publish(red, text)
        yield* settle
        const line = yield* b.chat.subscribe(red)
        yield* Effect.sleep(5_000)
        yield* a.chat.publish(red, "four")
        yield* settle
        assert.deepStrictEqual(yield* drained(line), ["four"])
      })
    )
  )

  it.effect("the first message after a subscription is missed exactly, too", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        yield* a.chat.publish(red, "before")
        const line = yield* b.chat.subscribe(red)
        bus.lose = (_, to, topic) => to === "b" && carriesMessages(topic)
        yield* a.chat.publish(red, "one")
        yield* settle
        bus.lose = () => false
        yield* a.chat.publish(red, "two")
        yield* settle
        assert.deepStrictEqual(yield* drained(line), ["gap 1 network", "two"])
      })
    )
  )

  it.effect("`except` travels", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        const [left, right] = yield* Effect.all([b.chat.subscribe(red), b.chat.subscribe(red)])
        yield* a.chat.publish(red, "one", { except: { id: left.id } })
        yield* settle
        assert.deepStrictEqual([yield* drained(left), yield* drained(right)], [[], ["one"]])
      })
    )
  )

  it.effect("a publish has one id on every node", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        const line = yield* b.chat.subscribe(red)
        const ack = yield* a.chat.publishAck(red, "one")
        const item = yield* line.envelopes.take
        assert.strictEqual(ack.reached, "everyone")
        assert.strictEqual(item._tag === "Message" && item.id, ack.id)
      })
    )
  )

  it.effect("SEC15: packets with another secret, or none, are not taken", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const a = yield* node(bus, "a", { secret: Redacted.make("one") })
        const b = yield* node(bus, "b", { secret: Redacted.make("two") })
        const c = yield* node(bus, "c")
        const d = yield* node(bus, "d", { secret: Redacted.make("one") })
        const lines = yield* Effect.forEach([b, c, d], ({ chat }) => chat.subscribe(red))
        yield* a.chat.publish(red, "one")
        yield* settle
        assert.deepStrictEqual(yield* Effect.forEach(lines, drained), [[], [], ["one"]])
      })
    )
  )

  it.effect("SEC15: a node with another secret, or with none, is told of in the log, once a minute", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const log: Array<string> = []
        const collect = Logger.make(({ message }) => void log.push(String(message)))
        const bus = SimpleBus.make()
        yield* Effect.gen(function* () {
          yield* node(bus, "a", { secret: Redacted.make("one") })
          yield* node(bus, "b", { secret: Redacted.make("two") })
          yield* node(bus, "c")
          yield* Effect.sleep(30_000)
        }).pipe(Effect.provide(Logger.layer([collect])))
        const told = log.filter((line) => line.includes("is dropped"))
        assert.deepStrictEqual(
          told,
          Array.from({ length: 3 }).fill(
            'what others say in the namespace "test" is dropped: it is signed with another secret than that of this node, or only one of the two signs'
          )
        )
      })
    )
  )

  it.effect("SEC15: applications with other namespaces on one bus do not hear each other", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const a = yield* node(bus, "a", { namespace: "one" })
        const b = yield* node(bus, "b", { namespace: "two" })
        const line = yield* b.chat.subscribe(red)
        yield* a.chat.publish(red, "one")
        yield* Effect.sleep(5_000)
        assert.deepStrictEqual(yield* drained(line), [])
        assert.strictEqual((yield* b.cluster.nodes).length, 1)
      })
    )
  )

  it.effect("after a split each side is told exactly what it missed of the other", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b] = yield* Effect.all([node(bus, "a"), node(bus, "b")])
        const [left, right] = yield* Effect.all([a.chat.subscribe(red), b.chat.subscribe(red)])
        yield* a.chat.publish(red, "before")
        yield* settle
        bus.lose = () => true
        for (let n = 0; n < 7; n++) yield* a.chat.publish(red, `a${n}`)
        for (let n = 0; n < 3; n++) yield* b.chat.publish(red, `b${n}`)
        yield* Effect.sleep(20_000)
        assert.deepStrictEqual(
          (yield* a.cluster.nodes).map(({ status }) => status),
          ["up", "down"]
        )
        bus.lose = () => false
        yield* Effect.sleep(4_000)
        assert.deepStrictEqual(yield* drained(left), [
          "before",
          ...[0, 1, 2, 3, 4, 5, 6].map((n) => `a${n}`),
          "gap 3 network"
        ])
        assert.deepStrictEqual(yield* drained(right), ["before", "b0", "b1", "b2", "gap 7 network"])
        assert.deepStrictEqual(
          (yield* a.cluster.nodes).map(({ status }) => status),
          ["up", "up"]
        )
      }),
      20
    )
  )

  it.effect("a node that says nothing any more is down within ten seconds, one that stops says goodbye", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const [a, b, c] = yield* Effect.all([node(bus, "a"), node(bus, "b"), node(bus, "c")])
        yield* Effect.sleep(1_000)
        yield* b.stop
        yield* settle
        const statuses = Effect.map(a.cluster.nodes, (nodes) => nodes.map(({ name, status }) => `${name} ${status}`))
        assert.deepStrictEqual(yield* statuses, ["a up", "b leaving", "c up"])
        bus.lose = (from) => from === c.name
        yield* Effect.sleep(10_000)
        assert.deepStrictEqual(yield* statuses, ["a up", "b down", "c down"])
      }),
      50
    )
  )

  it.effect("the last reader of a key ends its subscription on the bus", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const bus = SimpleBus.make()
        const a = yield* node(bus, "a")
        const before = bus.listeners()
        yield* Effect.scoped(a.chat.subscribe(red))
        assert.strictEqual(bus.listeners(), before)
        assert.strictEqual((yield* a.cluster.links).keys, 0)
      })
    )
  )
})

const start = (isLocal: boolean | undefined, secret?: Redacted.Redacted | "unsigned") =>
  Layer.build(
    Cluster.layer({ namespace: "test", secret }).pipe(
      Layer.provide(
        Layer.effect(
          EventBus.EventBus,
          Effect.map(EventBus.EventBus, (bus) => ({ ...bus, isLocal }))
        ).pipe(Layer.provide(SimpleBus.make().node("a")))
      )
    )
  ).pipe(Effect.exit, inVirtualTime)

/** What is logged by an application within ten seconds, put together in a way. */
const logOf = (put: (cluster: Layer.Layer<Cluster.Cluster>) => Layer.Layer<Chat | Cluster.Cluster>) => {
  const log: Array<string> = []
  const collect = Logger.make(({ message }) => void log.push(String(message)))
  const cluster = Cluster.layer({ namespace: "test", secret: "unsigned" }).pipe(
    Layer.provide(SimpleBus.make().node("a"))
  )
  return Effect.andThen(Layer.build(put(cluster)), Effect.sleep(10_000)).pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([collect])),
    inVirtualTime,
    Effect.as(log)
  )
}

describe("a cluster layer", () => {
  it.effect("that stands beside the layers it should be under says so", () =>
    Effect.gen(function* () {
      const beside = yield* logOf((cluster) => Layer.merge(Chat.layer, cluster))
      assert.deepStrictEqual(
        beside.filter((line) => line.includes("nothing is built on")),
        [
          "nothing is built on this cluster: provide Cluster.layer to the layers of channels, presence, rooms and the server, with Layer.provide"
        ]
      )
      const under = yield* logOf((cluster) => Layer.provideMerge(Chat.layer, cluster))
      assert.isEmpty(under.filter((line) => line.includes("nothing is built on")))
    })
  )
})

describe("a secret", () => {
  it.effect("SEC15: is demanded where the bus leaves this machine, or may", () =>
    Effect.gen(function* () {
      for (const isLocal of [false, undefined]) {
        assert.include(String(yield* start(isLocal)), "give Cluster.layer a secret")
        assert.isTrue(Exit.isSuccess(yield* start(isLocal, Redacted.make("s"))))
        assert.isTrue(Exit.isSuccess(yield* start(isLocal, "unsigned")))
      }
      assert.isTrue(Exit.isSuccess(yield* start(true)))
    })
  )

  it.effect("SEC15: that is empty, or not Redacted, is refused at the start", () =>
    Effect.gen(function* () {
      assert.include(String(yield* start(false, Redacted.make(""))), "must not be empty")
      const plain = "plain" as unknown as Redacted.Redacted
      assert.include(String(yield* start(false, plain)), "is Redacted")
    })
  )

  it("SEC15: knows the addresses of this machine", () => {
    const local = [
      "redis://localhost:1",
      "127.0.0.1:4222",
      "nats://127.9.9.9",
      "rediss://u:p@[::1]:1/2",
      "unix:///tmp/s"
    ]
    const remote = ["redis://10.0.0.1", "redis.example.com:4222", "127.0.0.1.example.com", "localhost.example.com", ""]
    assert.deepStrictEqual(
      [...local, ...remote].map((address) => isLoopback(hostOf(address))),
      [...local.map(() => true), ...remote.map(() => false)]
    )
  })
})
