/**
 * What the simulation has found, each as the shortest schedule that shows it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Envelope, Ref } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { CurrentPeers, type Shared, type Table } from "../../src/internal/peers.ts"

class Room extends Ref.Entity<Room>()("Room") {}
class Chat extends Channels.Service<Chat>()("bugs/Chat", { key: Room, message: Schema.String }) {}

/** A table of this node, and what it was told of others. */
class Board extends Context.Service<Board, { readonly table: Table; readonly told: Array<string> }>()("bugs/Board") {
  static readonly layer = Layer.effect(
    Board,
    Effect.gen(function* () {
      const told: Array<string> = []
      const tell = (changes: ReadonlyArray<Shared>) =>
        changes.forEach(({ key, value }) => told.push(`${key} ${JSON.stringify(value)}`))
      const table = yield* (yield* CurrentPeers)!.table("board", tell)
      return { table, told }
    })
  )
}

const layer = (node: string) =>
  Layer.merge(Chat.layer, Board.layer).pipe(Layer.provideMerge(Cluster.layer({ namespace: "bugs", node })))

const red = Room.ref`red`
const make = (nodes = 2, seed = 0) => TestCluster.make({ nodes, layer, seed })
type Node = TestCluster.Node<Chat | Board | Cluster.Cluster>

/** Reads a key of a node from now on. */
const listen = Effect.fnUntraced(function* (node: Node) {
  const seen: Array<string> = []
  const read = (item: Envelope.Envelope<string> | Envelope.Gap) =>
    Effect.sync(() => void seen.push(item._tag === "Gap" ? `gap ${item.missed}` : item.message))
  const lines = yield* node.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
  yield* node.fork(Effect.ignore(Effect.forever(Effect.flatMap(lines.envelopes.take, read))))
  return seen
})

const publish = (node: Node, text: string) => node.run(Effect.flatMap(Chat, (chat) => chat.publish(red, text)))

/** Where chance decides which of two things comes first. */
const eachSeed = (test: (seed: number) => Generator<Effect.Effect<unknown, unknown, Scope.Scope>, void>) =>
  Effect.forEach(
    Array.from({ length: 20 }, (_, seed) => seed),
    (seed) => Effect.scoped(Effect.gen(() => test(seed))),
    { discard: true }
  )

describe("found by the simulation", () => {
  it.effect("an entry that is set and taken out at once is not told to go to those who never knew it", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      yield* a!.run(Effect.map(Board, ({ table }) => (table.set("key", 1), table.delete("key"))))
      yield* cluster.settle
      assert.deepStrictEqual(yield* b!.run(Effect.map(Board, ({ told }) => told)), [])
    })
  )

  it.effect("K6: a message published while the bus is away is missed, though its node hears last of all", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      const seen = yield* listen(a!)
      yield* cluster.network.crash
      yield* cluster.pass("100 millis")
      yield* publish(b!, "lost")
      yield* cluster.network.late("b", "1.7 seconds")
      yield* cluster.pass("3 seconds")
      yield* cluster.network.restart
      yield* cluster.pass("10 seconds")
      assert.deepStrictEqual(seen, ["gap 1"])
    })
  )

  it.effect("a key that is left and listened to again at once misses nothing, whatever the others hear first", () =>
    eachSeed(function* (seed) {
      const cluster = yield* make(3, seed)
      const [a, b] = cluster.nodes
      const listening = Effect.andThen(
        Effect.flatMap(Chat, (chat) => chat.subscribe(red)),
        Effect.never
      )
      const glance = yield* a!.fork(Effect.scoped(listening))
      yield* cluster.pass(4 + (seed % 4))
      yield* Fiber.interrupt(glance)
      yield* publish(b!, "before")
      const seen = yield* listen(a!)
      yield* publish(b!, "hello")
      yield* cluster.pass("4 seconds")
      yield* publish(b!, "again")
      yield* cluster.pass("4 seconds")
      assert.deepStrictEqual(seen.slice(-2), ["hello", "again"])
      assert.isEmpty(seen.filter((line) => line.startsWith("gap")))
    })
  )

  it.effect("what a node does not listen to any more does not overtake that it does again", () =>
    eachSeed(function* (seed) {
      const cluster = yield* make(3, seed)
      const [a, b] = cluster.nodes
      yield* cluster.network.set({ reorder: 1, latency: 20 })
      yield* a!.run(Effect.scoped(Effect.flatMap(Chat, (chat) => chat.subscribe(red))))
      yield* cluster.pass("1 millis")
      const seen = yield* listen(a!)
      yield* cluster.network.set({ reorder: 0, latency: 0 })
      yield* cluster.pass("1 second")
      yield* publish(b!, "hello")
      yield* cluster.pass("100 millis")
      assert.deepStrictEqual(seen, ["hello"])
    })
  )

  it.effect("what was published before is not counted as missed, where its node was held up and is heard late", () =>
    eachSeed(function* (seed) {
      const cluster = yield* make(2, seed)
      const [a, b] = cluster.nodes
      yield* cluster.pass(seed * 50)
      yield* publish(a!, "first")
      yield* cluster.network.stall("a")
      yield* cluster.pass("1.5 seconds")
      yield* publish(a!, "second")
      yield* cluster.pass("500 millis")
      yield* publish(a!, "third")
      const seen = yield* listen(b!)
      yield* cluster.pass("400 millis")
      yield* cluster.network.resume("a")
      yield* cluster.pass("5 seconds")
      assert.isEmpty(seen.filter((line) => line !== "gap 0"))
      // By now it has been told how far the node is.
      yield* cluster.network.partition("a", "b")
      yield* publish(a!, "lost")
      yield* cluster.pass("100 millis")
      yield* cluster.heal
      yield* cluster.pass("5 seconds")
      assert.strictEqual(seen.at(-1), "gap 1")
    })
  )

  for (const seconds of [2.5, 5, 8.5]) {
    it.effect(`a last message that a cut of ${seconds} s in one direction has cost is missed when it is over`, () =>
      Effect.gen(function* () {
        const cluster = yield* make()
        const [a, b] = cluster.nodes
        const seen = yield* listen(b!)
        yield* cluster.network.partition("a", "b")
        yield* publish(a!, "lost")
        yield* cluster.pass(seconds * 1_000)
        yield* cluster.heal
        // A heartbeat, and the time in which it may still be on its way.
        yield* cluster.pass("4.5 seconds")
        assert.deepStrictEqual(seen, ["gap 1"])
      })
    )
  }

  it.effect("a node that was not heard for long, and heard all the time, is sent messages again", () =>
    Effect.gen(function* () {
      const cluster = yield* make(3)
      const [a, b, c] = cluster.nodes
      const seen = yield* listen(b!)
      const others = yield* listen(c!)
      yield* cluster.network.partition("b", "a")
      yield* cluster.pass("12 seconds")
      yield* cluster.heal
      yield* cluster.settle
      yield* publish(a!, "again")
      yield* cluster.pass("1 second")
      assert.deepStrictEqual([seen, others], [["again"], ["again"]])
    })
  )

  it.effect("a node that subscribes while the bus is away is sent messages when it is back", () =>
    Effect.gen(function* () {
      const cluster = yield* make(3)
      const [a, b, c] = cluster.nodes
      yield* cluster.network.crash
      yield* cluster.pass("1 second")
      const seen = yield* listen(b!)
      yield* cluster.pass("3 seconds")
      yield* cluster.heal
      yield* cluster.settle
      seen.length = 0
      yield* publish(a!, "one")
      yield* publish(c!, "two")
      yield* cluster.pass("1 second")
      assert.deepStrictEqual(seen.toSorted(), ["one", "two"])
    })
  )

  it.effect("a node that cannot say that it listens learns that something is missing", () =>
    Effect.gen(function* () {
      const cluster = yield* make(2)
      const [a, b] = cluster.nodes
      yield* cluster.network.partition("b", "a")
      const seen = yield* listen(b!)
      yield* cluster.pass("1 second")
      yield* publish(a!, "lost")
      yield* cluster.pass("3 seconds")
      assert.deepStrictEqual(seen, ["gap 0"])
      yield* cluster.heal
      yield* cluster.settle
      yield* publish(a!, "again")
      yield* cluster.pass("1 second")
      assert.deepStrictEqual(seen, ["gap 0", "again"])
    })
  )

  it.effect("the first message of a node that could not say how far it was may not be its first", () =>
    Effect.gen(function* () {
      const cluster = yield* make(2)
      const [a, b] = cluster.nodes
      yield* cluster.network.partition("a", "b")
      const seen = yield* listen(b!)
      yield* publish(a!, "lost")
      yield* cluster.pass("10 millis")
      yield* cluster.heal
      yield* publish(a!, "heard")
      yield* cluster.settle
      assert.deepStrictEqual(seen, ["gap 0", "heard"])
    })
  )

  it.effect("what was published before a subscription is not counted as missing, however slow the network is", () =>
    eachSeed(function* (seed) {
      const cluster = yield* make(4, seed)
      yield* cluster.network.set({ latency: 400 })
      const [, b, , d] = cluster.nodes
      yield* cluster.pass(990 - cluster.now)
      for (const wait of [188, 2]) {
        for (const text of ["1", "2", "3", "4", "5"]) yield* publish(b!, text)
        yield* cluster.pass(wait)
      }
      const seen = yield* listen(d!)
      yield* cluster.settle
      assert.deepStrictEqual(
        seen.filter((item) => item !== "gap 0"),
        []
      )
    })
  )

  it.effect("a node that slept for long and has a new name knows its own words", () =>
    eachSeed(function* (seed) {
      const cluster = yield* make(2, seed)
      const [a, b] = cluster.nodes
      const [seen, others] = [yield* listen(a!), yield* listen(b!)]
      // While what it says of itself is on its way.
      yield* cluster.pass(4_005 + seed - cluster.now)
      yield* a!.fork(Effect.flatMap(Chat, (chat) => chat.publish(red, "once")))
      yield* a!.freeze("15 seconds")
      yield* cluster.settle
      assert.deepStrictEqual([seen, others], [["once"], ["once"]])
      const nodes = yield* a!.run(Effect.flatMap(Cluster.Cluster, (service) => service.nodes))
      assert.deepStrictEqual(
        nodes.map(({ name, status }) => `${name} ${status}`),
        ["a up", "b up"]
      )
    })
  )

  it.effect("a node that slept for long tells what was lost of its words before", () =>
    Effect.gen(function* () {
      const cluster = yield* make(2)
      const [a, b] = cluster.nodes
      const seen = yield* listen(b!)
      yield* cluster.network.partition("a", "b")
      yield* publish(a!, "lost")
      yield* cluster.pass("10 millis")
      yield* cluster.heal
      yield* a!.freeze("15 seconds")
      yield* cluster.settle
      assert.deepStrictEqual(seen, ["gap 1"])
      yield* publish(a!, "heard")
      yield* cluster.settle
      assert.deepStrictEqual(seen, ["gap 1", "heard"])
    })
  )

  it.effect("whatever swallows a message and all that is told of it is noticed, be it ever so short", () =>
    Effect.gen(function* () {
      const cluster = yield* make(2)
      const [a, b] = cluster.nodes
      const seen = yield* listen(b!)
      yield* cluster.network.partition("a", "b")
      yield* publish(a!, "lost")
      yield* cluster.pass("10 millis")
      yield* cluster.heal
      // Nothing but what is told of lost messages goes from one to the other at the beginning of a second.
      for (let second = 1; second <= 6; second++) {
        yield* cluster.pass(950 - (cluster.now % 1_000))
        yield* cluster.network.partition("a", "b")
        yield* cluster.pass("100 millis")
        yield* cluster.heal
      }
      yield* cluster.settle
      assert.deepStrictEqual(seen, ["gap 1"])
    })
  )
})
