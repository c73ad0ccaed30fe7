/**
 * One presence on several nodes: who is present anywhere is shown everywhere, and every device is changed by the node
 * that owns it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Presence } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CurrentPeers } from "../../src/internal/peers.ts"
import { general, Room, takeNow, User } from "../support/channels.ts"
import { FakeConnection, watched } from "../support/rooms.ts"
import { entryOf, Nodes, start, tracked } from "./nodes.ts"
import { alice, bob, carol, end } from "./support.ts"

describe("presence on several nodes", () => {
  it.effect("TRAP22: get, list, changes and occupancy are of all nodes", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b", "c"])
      const [a, b, c] = places
      yield* tracked(a!, alice, { device: "tab", meta: "x" })
      yield* tracked(b!, bob, { device: "tab", status: "busy", meta: "y" })
      nodes.settle()
      yield* tracked(c!, alice, { device: "phone", status: "away", meta: "z" })
      nodes.settle()
      const expected = ["alice online x [phone away z, tab online x]", "bob busy y [tab busy y]"]
      for (const { chat, shown, told } of places) {
        assert.deepStrictEqual(shown(), expected)
        assert.strictEqual(entryOf(chat, bob), expected[1])
        assert.deepStrictEqual(told().toSorted(), ["+ alice online", "+ bob busy", "~ alice online"])
        const pull = yield* Stream.toPull(chat.occupancy(general))
        const first = takeNow({ take: pull })
        assert.deepInclude(first, { _tag: "Success", value: [{ users: 2, devices: 3 }] })
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a node that starts later shows everybody as soon as it knows them, in the order they entered", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a, b] = places
      for (const [place, user] of [
        [a, carol],
        [b, alice],
        [a, bob]
      ] as const) {
        yield* tracked(place!, user, { meta: "x", device: "tab" })
        nodes.settle()
      }
      const node = nodes.cluster.start("c")
      for (const other of places) nodes.cluster.deliver(other.node, node)
      const c = yield* nodes.on(node)
      assert.deepStrictEqual(c.shown(), [
        "carol online x [tab online x]",
        "alice online x [tab online x]",
        "bob online x [tab online x]"
      ])
      assert.deepStrictEqual(c.shown(), a!.shown())
    }).pipe(Effect.scoped)
  )

  it.effect("update and heartbeat of a device of another node are done there", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a, b] = places
      yield* a!.chat.set(general, alice, { device: "tab", meta: "x" })
      nodes.settle()
      assert.isTrue(yield* b!.chat.update(general, alice, { device: "tab", status: "away", meta: "y" }))
      // It is the owner who changes it.
      assert.strictEqual(entryOf(b!.chat, alice), "alice online x [tab online x]")
      nodes.settle()
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice away y [tab away y]"])
      nodes.pass(50_000)
      assert.isTrue(yield* b!.chat.heartbeat(general, alice, { device: "tab" }))
      nodes.cluster.settle()
      nodes.pass(50_000)
      nodes.settle()
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice away y [tab away y]"])
      nodes.pass(20_000)
      nodes.settle()
      for (const { shown, told } of places) {
        assert.deepStrictEqual(shown(), [])
        assert.deepStrictEqual(told(), ["+ alice online", "~ alice away", "- alice expired"])
      }
      assert.isFalse(yield* b!.chat.heartbeat(general, alice, { device: "tab" }))
      assert.isFalse(yield* b!.chat.update(general, alice, { device: "tab", meta: "x" }))
    }).pipe(Effect.scoped)
  )

  it.effect("what is refused is refused where it is asked for", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"], { maxMetaBytes: 4 })
      const [a, b] = places
      yield* a!.chat.set(general, alice, { meta: "x" })
      nodes.settle()
      const error = yield* Effect.flip(b!.chat.update(general, alice, { meta: "long" }))
      assert.strictEqual(error.reason, "metaTooLarge")
      assert.isEmpty(b!.node.letters)
    }).pipe(Effect.scoped)
  )

  it.effect("a letter that finds the device gone creates nothing", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a, b] = places
      const { close } = yield* tracked(a!, alice, { device: "tab", meta: "x" })
      nodes.settle()
      assert.isTrue(yield* b!.chat.update(general, alice, { device: "tab", meta: "y" }))
      yield* close
      nodes.settle()
      for (const { shown } of places) assert.deepStrictEqual(shown(), [])
      assert.deepStrictEqual(a!.entries(), [])
    }).pipe(Effect.scoped)
  )

  it.effect("remove takes the devices of a user from every node, and everybody is told that they were removed", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b", "c"])
      const [a, b, c] = places
      const { session } = yield* tracked(a!, alice, { device: "tab", meta: "x" })
      yield* b!.chat.set(general, alice, { device: "phone", meta: "x" })
      yield* c!.chat.set(general, alice, { device: "tv", meta: "x" })
      nodes.settle()
      for (const { told } of places) told()
      assert.isTrue(yield* c!.chat.remove(general, alice, { device: "phone" }))
      nodes.settle()
      for (const { shown, told } of places) {
        assert.deepStrictEqual(shown(), ["alice online x [tv online x, tab online x]"])
        assert.deepStrictEqual(told(), ["~ alice online"])
      }
      assert.isTrue(yield* b!.chat.remove(general, alice))
      nodes.settle()
      for (const { shown, told } of places) {
        assert.deepStrictEqual(shown(), [])
        assert.deepStrictEqual(told(), ["- alice removed"])
      }
      assert.isFalse(yield* session.heartbeat)
      assert.isFalse(yield* b!.chat.remove(general, alice))
      // Why they went is remembered for a while, and then nothing is left.
      nodes.live(25)
      for (const { entries } of places) assert.deepStrictEqual(entries(), [])
    }).pipe(Effect.scoped)
  )

  it.effect("each way to go has its reason on every node", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a] = places
      const connection = new FakeConnection("1")
      const { close } = yield* tracked(a!, alice, { meta: "x" })
      yield* tracked(a!, bob, { meta: "x", as: connection })
      yield* a!.chat.set(general, carol, { meta: "x" })
      nodes.settle()
      yield* close
      yield* end(connection, "lost")
      nodes.live(70)
      for (const { told } of places) {
        assert.deepStrictEqual(told(), [
          "+ alice online",
          "+ bob online",
          "+ carol online",
          "- alice left",
          "~ bob online",
          "- bob dropped",
          "- carol expired"
        ])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("set changes a device that is held on another node, and takes over one that is not", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a, b] = places
      const { session } = yield* tracked(a!, alice, { device: "tab", meta: "x" })
      yield* a!.chat.set(general, bob, { device: "tab", meta: "x" })
      nodes.settle()
      yield* b!.chat.set(general, alice, { device: "tab", status: "busy", meta: "y" })
      yield* b!.chat.set(general, bob, { device: "tab", status: "busy", meta: "y" })
      nodes.settle()
      for (const { shown, told } of places) {
        assert.deepStrictEqual(shown(), ["alice busy y [tab busy y]", "bob busy y [tab busy y]"])
        assert.deepStrictEqual(told().toSorted(), ["+ alice online", "+ bob online", "~ alice busy", "~ bob busy"])
      }
      assert.isTrue(yield* session.heartbeat)
      assert.strictEqual(yield* b!.chat.size, 1)
      assert.strictEqual(b!.entries().length, 1)
      // The owner of each keeps it alive: bob's is on the second node now, and lives by signs of life there.
      nodes.live(70)
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice busy y [tab busy y]"])
    }).pipe(Effect.scoped)
  )

  it.effect("maxDevices counts those on all nodes, capacity those of this one", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"], { maxDevices: 2, capacity: 2 })
      const [a, b] = places
      yield* a!.chat.set(general, alice, { device: "1", meta: "x" })
      yield* a!.chat.set(general, alice, { device: "2", meta: "x" })
      nodes.settle()
      const tooMany = yield* Effect.flip(b!.chat.set(general, alice, { device: "3", meta: "x" }))
      assert.strictEqual(tooMany.reason, "tooManyDevices")
      const full = yield* Effect.flip(a!.chat.set(general, bob, { meta: "x" }))
      assert.strictEqual(full.reason, "full")
      yield* b!.chat.set(general, bob, { meta: "x" })
      yield* b!.chat.set(general, carol, { meta: "x" })
      // What another node has comes on top where it is taken over.
      const taken = yield* Effect.flip(b!.chat.set(general, alice, { device: "1", meta: "y" }))
      assert.strictEqual(taken.reason, "full")
      yield* b!.chat.remove(general, bob)
      yield* b!.chat.set(general, alice, { device: "1", meta: "y" })
      nodes.settle()
      assert.isTrue(yield* a!.chat.remove(general, alice, { device: "2" }))
      yield* a!.chat.set(general, bob, { meta: "x" })
      nodes.settle()
      for (const { shown } of places) {
        assert.deepStrictEqual(shown().toSorted(), [
          "alice online y [1 online y]",
          "bob online x [default online x]",
          "carol online x [default online x]"
        ])
      }
    }).pipe(Effect.scoped)
  )

  it.effect(
    "size and cleanup are of this node; what others have in a room is there for queries as long as they have it",
    () =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a", "b"])
        const [a, b] = places
        const lobby = Room.ref`lobby`
        yield* a!.chat.set(lobby, alice, { meta: "x" })
        nodes.settle()
        assert.deepStrictEqual([yield* a!.chat.size, yield* b!.chat.size], [2, 1])
        assert.deepStrictEqual(b!.shown(lobby), ["alice online x [default online x]"])
        b!.clock.advance(3_600_000)
        assert.strictEqual(yield* b!.chat.cleanup(0), 0)
        assert.deepStrictEqual(b!.shown(lobby), ["alice online x [default online x]"])
        assert.strictEqual(yield* a!.chat.cleanup(0), 1)
        nodes.settle()
        assert.deepStrictEqual(b!.shown(lobby), [])
        assert.deepStrictEqual([yield* a!.chat.size, yield* b!.chat.size], [1, 1])
      }).pipe(Effect.scoped)
  )

  it.effect("P14: only the owner judges whether a device lives, whatever the clocks of others say", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a, b] = places
      const connection = new FakeConnection("1")
      yield* a!.chat.set(general, alice, { meta: "x" })
      yield* tracked(a!, bob, { meta: "x", as: connection })
      yield* end(connection, "lost")
      nodes.settle()
      const before = b!.shown()
      b!.clock.wallOffset -= 3_600_000
      b!.clock.advance(3_600_000)
      assert.deepStrictEqual(b!.shown(), before)
      assert.deepStrictEqual(b!.shown(), a!.shown())
      assert.strictEqual(before.length, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("only what can be seen is told: heartbeats are not", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a] = places
      const { session } = yield* tracked(a!, alice, { device: "tab", meta: "x" })
      nodes.settle()
      const before = a!.node.changes
      for (let n = 0; n < 100; n++) {
        yield* session.heartbeat
        yield* a!.chat.update(general, alice, { device: "tab", meta: "x" })
        nodes.pass(10)
        nodes.cluster.settle()
      }
      assert.strictEqual(a!.node.changes, before)
    }).pipe(Effect.scoped)
  )

  it.effect("presences of different names have nothing to do with each other", () =>
    Effect.gen(function* () {
      const nodes = new Nodes()
      const a = yield* nodes.start("a", { name: "one" })
      const b = yield* nodes.start("b", { name: "two" })
      const c = yield* nodes.start("c", { name: "one" })
      yield* tracked(a, alice, { meta: "x" })
      nodes.settle()
      assert.deepStrictEqual([a.shown().length, b.shown().length, c.shown().length], [1, 0, 1])
    }).pipe(Effect.scoped)
  )

  it.effect("two presences of one name on one node are told of", () =>
    watched((log) =>
      Effect.gen(function* () {
        const nodes = new Nodes()
        const { node } = yield* nodes.start("a")
        yield* nodes.on(node, { name: "another" })
        assert.isEmpty(log)
        yield* nodes.on(node)
        assert.deepStrictEqual(log, [
          "two presences are called Room/User: give each a name of its own, or they mix between nodes"
        ])
      }).pipe(Effect.scoped)
    )
  )

  it.effect("remembers of what has gone no more than it may have", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"], { capacity: 10 })
      const [a, b] = places
      for (let n = 0; n < 100; n++) {
        yield* a!.chat.set(general, alice, { device: `d${n}`, meta: "x" })
        yield* a!.chat.remove(general, alice)
      }
      assert.strictEqual(a!.entries().length, 10)
      nodes.settle()
      assert.deepStrictEqual(b!.shown(), [])
      nodes.live(25)
      assert.deepStrictEqual(a!.entries(), [])
    }).pipe(Effect.scoped)
  )

  it.effect("a service is named by its id, or as it says", () =>
    Effect.gen(function* () {
      const nodes = new Nodes()
      const node = nodes.cluster.start("a")
      class Online extends Presence.Service<Online>()("app/Online", { user: User }) {}
      yield* Effect.void.pipe(Effect.provide(Online.layer), Effect.provideService(CurrentPeers, node))
      class Named extends Presence.Service<Named>()("app/Named", { user: User, name: "everybody" }) {}
      yield* Effect.void.pipe(Effect.provide(Named.layer), Effect.provideService(CurrentPeers, node))
      assert.deepStrictEqual(Array.from(node.own.keys()), ["presence/app/Online", "presence/everybody"])
    }).pipe(Effect.scoped)
  )
})
