/**
 * What is left of what a node, or a service of it, has said when that ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Envelope, Presence, Ref, Rooms } from "effect-rooms"
import { Cluster, MemoryBus } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { somebody } from "../support/boardNodes.ts"
import { BoardApi, type BoardRooms, Place } from "../support/rooms.ts"

class Room extends Ref.Entity<Room>()("Room") {}
class User extends Ref.Entity<User>()("User") {}
class Chat extends Channels.Service<Chat>()("ends/Chat", { key: Room, message: Schema.String }) {}

const cluster = (node: string) => Cluster.layer({ namespace: "ends", node })
const layer = (node: string) => Chat.layer.pipe(Layer.provideMerge(cluster(node)))
const red = Room.ref`red`
const say = (text: string) => Effect.flatMap(Chat, (chat) => chat.publish(red, text))

const textOf = (item: Envelope.Envelope<string> | Envelope.Gap) =>
  item._tag === "Gap" ? `gap ${item.missed}` : item.message

/** What a node hears of the key from now on. */
const listen = Effect.fnUntraced(function* (node: TestCluster.Node<Chat>) {
  const seen: Array<string> = []
  const lines = yield* node.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
  const read = Effect.map(lines.envelopes.take, (item) => void seen.push(textOf(item)))
  yield* node.fork(Effect.ignore(Effect.forever(read)))
  return seen
})

describe("an orderly stop", () => {
  it.effect("tells how far the node was: a last message that was lost is a gap", () =>
    Effect.gen(function* () {
      const sim = yield* TestCluster.make({ nodes: 2, layer })
      const [a, b] = sim.nodes
      const seen = yield* listen(b!)
      yield* a!.run(say("first"))
      yield* sim.pass("5 seconds")
      yield* sim.network.partition("a", "b")
      yield* a!.run(say("lost"))
      yield* sim.pass("20 millis")
      yield* sim.heal
      yield* a!.stop
      yield* sim.pass("20 seconds")
      assert.deepStrictEqual(seen, ["first", "gap 1"])
    })
  )

  it.live("sends what was published in its last turn", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make({})
      const start = Effect.fnUntraced(function* (name: string) {
        const scope = yield* Effect.acquireRelease(Effect.sync(Scope.makeUnsafe), (made) =>
          Scope.close(made, Exit.void)
        )
        const built = Layer.build(Layer.fresh(Layer.provide(layer(name), network.layer(name))))
        return { scope, context: yield* Scope.provide(built, scope) }
      })
      const [a, b] = [yield* start("a"), yield* start("b")]
      const lines = yield* Context.get(b.context, Chat).subscribe(red)
      const seen: Array<string> = []
      yield* Effect.forkScoped(Effect.forever(Effect.map(lines.envelopes.take, (item) => void seen.push(textOf(item)))))
      yield* Effect.sleep("200 millis")
      yield* Effect.andThen(Context.get(a.context, Chat).publish(red, "last"), Scope.close(a.scope, Exit.void))
      yield* Effect.sleep("200 millis")
      assert.deepStrictEqual(seen, ["last"])
    }).pipe(Effect.scoped)
  )
})

describe("a service that ends before its node", () => {
  it.effect("a presence leaves nobody behind on other nodes once the grace period is over", () =>
    Effect.gen(function* () {
      const sim = yield* TestCluster.make({ nodes: 2, layer: cluster })
      const [a, b] = sim.nodes
      const make = Presence.make({ room: Room, user: User, gracePeriod: "2 seconds", timeToLive: "5 seconds" })
      const scope = Scope.makeUnsafe()
      const here = yield* a!.run(Scope.provide(make, scope))
      const there = yield* b!.run(make)
      yield* a!.run(here.set(red, User.ref`alice`, {}))
      yield* sim.pass("1 second")
      yield* a!.run(Scope.close(scope, Exit.void))
      yield* sim.pass("1 second")
      assert.strictEqual((yield* b!.run(there.list(red))).users, 1)
      yield* sim.pass("3 seconds")
      assert.strictEqual((yield* b!.run(there.list(red))).users, 0)
    })
  )

  it.effect("a channel that is made anew before it has ended goes on hearing", () =>
    Effect.gen(function* () {
      const sim = yield* TestCluster.make({ nodes: 2, layer: cluster })
      const [a, b] = sim.nodes
      const make = Channels.make({ key: Room, message: Schema.String, name: "chat" })
      const scope = Scope.makeUnsafe()
      const old = yield* b!.run(Scope.provide(make, scope))
      yield* b!.run(Scope.provide(old.subscribe(red), scope))
      const lines = yield* b!.run(Effect.flatMap(make, ({ subscribe }) => subscribe(red)))
      yield* b!.run(Scope.close(scope, Exit.void))
      yield* sim.pass("1 second")
      yield* a!.run(Effect.flatMap(make, ({ publish }) => publish(red, "hello")))
      yield* sim.pass("1 second")
      assert.strictEqual(lines.pending, 1)
    })
  )

  it.effect("a channel that is made anew publishes under ids of its own", () =>
    Effect.gen(function* () {
      const sim = yield* TestCluster.make({ nodes: 2, layer: cluster })
      const [a, b] = sim.nodes
      const make = Channels.make({ key: Room, message: Schema.String, name: "chat" })
      const there = yield* b!.run(make)
      const lines = yield* b!.run(there.subscribe(red))
      const ids: Array<string> = []
      for (const text of ["one", "two"]) {
        const scope = Scope.makeUnsafe()
        const here = yield* a!.run(Scope.provide(make, scope))
        yield* a!.run(here.publish(red, text))
        yield* sim.pass("2 seconds")
        const item = yield* b!.run(lines.envelopes.take)
        if (item._tag === "Message") ids.push(item.id.replace(here.epoch, "epoch"))
        yield* a!.run(Scope.close(scope, Exit.void))
      }
      assert.deepStrictEqual(ids, ["epoch-1", "epoch-1"])
    })
  )
})

class Boards extends Context.Service<Boards, BoardRooms>()("ends/Boards") {
  static readonly layer = Layer.effect(Boards, Rooms.make(BoardApi))
}

describe("nodes that slept for long", () => {
  it.effect("at the same time, count nobody twice when they wake", () =>
    Effect.gen(function* () {
      const sim = yield* TestCluster.make({
        nodes: 2,
        layer: (node) => Boards.layer.pipe(Layer.provideMerge(cluster(node)))
      })
      const [a, b] = sim.nodes
      const place = Place.ref`red`
      yield* b!.run(Effect.flatMap(Boards, (rooms) => rooms.get(place).open("first", somebody("bob"))))
      yield* sim.pass("2 seconds")
      for (const node of sim.nodes) yield* node.freeze("60 seconds")
      yield* sim.pass("60 seconds")
      const counted = new Set<number>()
      for (let n = 0; n < 20; n++) {
        yield* sim.pass("500 millis")
        for (const node of sim.nodes) {
          const count = Effect.flatMap(Boards, (rooms) => rooms.get(place).count)
          counted.add((yield* node.run(count)).members)
        }
      }
      assert.isAtMost(Math.max(...counted), 1)
      const last = yield* a!.run(Effect.flatMap(Boards, (rooms) => rooms.get(place).everyone))
      assert.deepStrictEqual(
        last.map(({ id }) => id),
        ["bob"]
      )
    })
  )
})

describe("channels of other names", () => {
  it.effect("do not mix, whatever letters tell them apart", () =>
    Effect.gen(function* () {
      class One extends Channels.Service<One>()("x/y", { key: Room, message: Schema.String }) {}
      class Two extends Channels.Service<Two>()("x:y", { key: Room, message: Schema.String }) {}
      const sim = yield* TestCluster.make({
        nodes: 2,
        layer: (node) => Layer.merge(One.layer, Two.layer).pipe(Layer.provideMerge(cluster(node)))
      })
      const [a, b] = sim.nodes
      const lines = yield* b!.run(Effect.flatMap(Two, (two) => two.subscribe(red)))
      yield* a!.run(Effect.flatMap(One, (one) => one.publish(red, "of one")))
      yield* sim.pass("3 seconds")
      assert.strictEqual(lines.pending, 0)
    })
  )
})
