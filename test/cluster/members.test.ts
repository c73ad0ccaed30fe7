/**
 * Members of rooms over several nodes: how many there are, who they are, and what becomes of them when a node goes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import {
  blue,
  boardNode,
  boardNodes,
  countOf,
  follow,
  namesOf,
  red,
  settled,
  somebody,
  untilDown
} from "../support/boardNodes.ts"
import { begin, BoardApi } from "../support/rooms.ts"
import { inVirtualTime } from "../support/virtual.ts"

/** A test in virtual time, which runs on until everything is closed. */
const over = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.effect(name, () => inVirtualTime(Effect.scoped(test())))

describe("TRAP22: members of rooms over nodes", () => {
  over("are counted on all nodes while size is that of one, and known with their data and node", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b", "c"])
      const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
      yield* a.room.open("first", somebody("alice"))
      yield* b.room.open("second", somebody("bob"))
      yield* b.room.open("third", somebody("carol"))
      yield* c.rooms.get(blue).open("fourth", somebody("dave"))
      yield* settled
      for (const { room } of nodes) assert.strictEqual(yield* countOf(room), 3)
      assert.deepStrictEqual(yield* Effect.forEach(nodes, ({ room }) => room.size), [1, 2, 0])
      assert.deepStrictEqual(yield* namesOf(a.room, nodes), ["a alice first", "b bob second", "b carol third"])
      assert.deepStrictEqual(yield* namesOf(b.room, nodes), ["b bob second", "b carol third", "a alice first"])
      const [here] = yield* a.room.everyone
      const there = (yield* c.room.everyone).find(({ id }) => id === "alice")
      assert.isTrue(DateTime.Equivalence(here!.joinedAt, there!.joinedAt))
      const all = yield* c.rooms.listAll
      assert.deepStrictEqual(
        all.map(({ members, ref }) => `${ref.identifier} ${members}`),
        ["blue 1", "red 3"]
      )
      assert.deepStrictEqual(
        (yield* c.rooms.list).map(({ ref }) => ref.identifier),
        ["blue"]
      )
    })
  )

  over("have their latest data, and are gone when they have left, in whichever way", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      const first = yield* a.room.open("old", somebody("alice"))
      yield* a.room.open("new", somebody("alice"))
      const second = yield* a.room.open("here", somebody("bob"))
      yield* a.rooms.get(blue).open("there", somebody("bob"))
      yield* settled
      assert.deepStrictEqual(yield* namesOf(b.room, nodes), ["a alice new", "a bob here"])
      assert.isFalse(first.leave(), "a membership that was taken over")
      assert.isTrue(second.leave())
      yield* settled
      assert.deepStrictEqual(yield* namesOf(b.room, nodes), ["a alice new"])
      yield* a.rooms.leaveAll({ id: "bob" })
      yield* a.room.close("over")
      yield* settled
      assert.deepStrictEqual(yield* b.rooms.listAll, [])
    })
  )

  over("TRAP5: of one id on two nodes are two, and the one that leaves takes the other with it nowhere", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b", "c"])
      const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
      yield* Effect.all([a.room.open("on a", somebody("alice")), b.room.open("on b", somebody("alice"))])
      yield* settled
      assert.deepStrictEqual(Array.from(yield* namesOf(c.room, nodes)).toSorted(), ["a alice on a", "b alice on b"])
      assert.isTrue(yield* a.room.leave({ id: "alice" }))
      yield* settled
      for (const { room } of nodes) assert.deepStrictEqual(yield* namesOf(room, nodes), ["b alice on b"])
    })
  )

  over("are known to a node that comes later, and not to rooms of another kind", () =>
    Effect.gen(function* () {
      const { network, nodes } = yield* boardNodes(["a"])
      const [a] = nodes as [(typeof nodes)[0]]
      yield* a.room.open("first", somebody("alice"))
      yield* settled
      const b = yield* boardNode(network, "b")
      const other = yield* boardNode(network, "c", Rooms.make({ ...BoardApi, name: "other" }))
      yield* Effect.sleep("4 seconds")
      assert.deepStrictEqual(yield* namesOf(b.room, [a, b]), ["a alice first"])
      assert.strictEqual(yield* countOf(other.room), 0)
    })
  )

  over("go with a node that stops, all in one step", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      yield* Effect.forEach(["alice", "bob", "carol"], (id) => a.room.open("data", somebody(id)))
      yield* settled
      const counts = yield* follow(b.room)
      yield* a.stop
      yield* untilDown
      assert.deepStrictEqual(counts.seen, [3, 0])
    })
  )

  over("P7, TRAP5: go with a node that crashed, all in one step and within 10 seconds", () =>
    Effect.gen(function* () {
      const { network, nodes } = yield* boardNodes(["a", "b", "c"])
      const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
      yield* Effect.forEach(["alice", "bob", "carol"], (id) => a.room.open("data", somebody(id)))
      yield* b.room.open("data", somebody("dave"))
      yield* settled
      const counts = yield* Effect.forEach([b, c], ({ room }) => follow(room))
      yield* network.crashNode("a")
      yield* untilDown
      for (const { seen } of counts) assert.deepStrictEqual(seen, [4, 1])
      assert.deepStrictEqual(yield* namesOf(c.room, nodes), ["b dave data"])
      assert.strictEqual((yield* c.rooms.listAll).length, 1)
    })
  )

  over("of each side of a partition are known to that side alone, and to both once it is healed", () =>
    Effect.gen(function* () {
      const { network, nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      yield* a.room.open("before", somebody("alice"))
      yield* settled
      yield* Effect.all([network.partition("a", "b"), network.partition("b", "a")])
      yield* untilDown
      assert.strictEqual(yield* countOf(b.room), 0)
      yield* a.room.leave({ id: "alice" })
      yield* a.room.open("during", somebody("bob"))
      yield* b.room.open("during", somebody("carol"))
      yield* network.heal()
      yield* Effect.sleep("4 seconds")
      for (const { room } of nodes) {
        const known = yield* namesOf(room, nodes)
        assert.deepStrictEqual(Array.from(known).toSorted(), ["a bob during", "b carol during"])
      }
    })
  )

  over("BUG12: are told at once, whatever the other nodes do", () =>
    Effect.gen(function* () {
      const { network, nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      yield* a.room.open("data", somebody("alice"))
      yield* settled
      yield* network.crashNode("a")
      // Without a fiber that could wait.
      assert.strictEqual(Effect.runSync(b.room.count).members, 1)
      assert.strictEqual(Effect.runSync(b.room.everyone).length, 1)
      assert.strictEqual(Effect.runSync(b.rooms.listAll).length, 1)
      yield* network.crash
      yield* b.room.open("data", somebody("bob"))
      assert.strictEqual(Effect.runSync(b.room.count).members, 2)
    })
  )
})

describe("a member of another node", () => {
  over("is taken out there, whose handlers and which itself are told why; others stay", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const { network, nodes } = yield* boardNodes(["a"])
      const [a] = nodes as [(typeof nodes)[0]]
      const b = yield* boardNode(
        network,
        "b",
        Rooms.make(BoardApi, {}, ({ name }) =>
          Effect.succeed({
            onLeave: ({ id }, reason) => Effect.sync(() => void told.push(`${name}: -${id} ${reason}`))
          })
        )
      )
      const membership = yield* b.room.open("data", somebody("alice"))
      yield* b.room.open("data", somebody("bob"))
      yield* b.rooms.get(blue).open("data", somebody("alice"))
      yield* settled
      assert.isFalse(yield* a.room.leave({ id: "carol" }), "nobody knows her")
      assert.isFalse(yield* a.rooms.get(blue).leave({ id: "bob" }), "he is in another room")
      const ended = yield* begin(membership.ended)
      assert.isTrue(yield* a.room.leave({ id: "alice" }, "banned"))
      yield* settled
      assert.strictEqual(yield* Fiber.join(ended), "banned")
      assert.deepStrictEqual(told, ["red: -alice banned"])
      assert.deepStrictEqual(yield* namesOf(a.room, [a, b]), ["b bob data"])
      assert.strictEqual(yield* countOf(a.rooms.get(blue)), 1)
      assert.isFalse(yield* a.room.leave({ id: "alice" }), "she is out")
    })
  )

  over("and of this one is taken out here, and there by what everyone has listed", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b", "c"])
      const [a, b, c] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
      yield* Effect.forEach(nodes, ({ name, room }) => room.open(`on ${name}`, somebody("alice")))
      yield* settled
      const listed = (yield* a.room.everyone).find(({ node }) => node === b.epoch)!
      assert.isTrue(yield* a.room.leave(listed))
      yield* settled
      assert.deepStrictEqual(yield* namesOf(a.room, nodes), ["a alice on a", "c alice on c"])
      assert.isFalse(yield* a.room.leave(listed), "those of other nodes are not meant")
      const here = (yield* c.room.everyone).find(({ node }) => node === c.epoch)!
      assert.isTrue(yield* c.room.leave(here))
      assert.strictEqual(yield* c.room.size, 0)
      yield* settled
      assert.deepStrictEqual(yield* namesOf(a.room, nodes), ["a alice on a"])
    })
  )

  over("stays where its room is closed or its rooms are left on this one", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      yield* b.room.open("data", somebody("alice"))
      yield* settled
      yield* a.room.close("over")
      assert.strictEqual(yield* a.rooms.leaveAll({ id: "alice" }), 0)
      yield* settled
      assert.strictEqual(yield* b.room.size, 1)
    })
  )

  over("that has left meanwhile, or is not reached, is no trouble", () =>
    Effect.gen(function* () {
      const { network, nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      const membership = yield* b.room.open("data", somebody("alice"))
      yield* b.room.open("data", somebody("bob"))
      yield* settled
      membership.leave()
      assert.isTrue(yield* a.room.leave({ id: "alice" }), "nobody here knows yet")
      yield* settled
      yield* network.crashNode("b")
      assert.isTrue(yield* a.room.leave({ id: "bob" }))
      yield* untilDown
      assert.isFalse(yield* a.room.leave({ id: "bob" }))
    })
  )
})

describe("counts of a room that are followed", () => {
  over("come at once and then once per 100 milliseconds in which they have changed", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      yield* b.room.open("data", somebody("alice"))
      const counts = yield* follow(b.room)
      yield* Effect.sleep(1)
      assert.deepStrictEqual(counts.seen, [1])
      for (let number = 0; number < 20; number++) {
        yield* (number % 2 === 0 ? a : b).room.open("data", somebody(`member-${number}`))
        yield* Effect.sleep(1)
      }
      assert.deepStrictEqual(counts.seen, [1])
      yield* settled
      assert.strictEqual(counts.seen.at(-1), 21)
      assert.isAtMost(counts.seen.length, 3)
      const before = counts.seen.length
      yield* b.room.open("data", somebody("passer-by"))
      yield* b.room.leave({ id: "passer-by" })
      yield* a.rooms.get(blue).open("data", somebody("elsewhere"))
      yield* b.room.open("new data", somebody("alice"))
      yield* settled
      assert.strictEqual(counts.seen.length, before, "nothing has changed")
    })
  )

  over("come no sooner to a reader that is back before the window has ended", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a"])
      const [a] = nodes as [(typeof nodes)[0]]
      const counts = yield* follow(a.room, Effect.sleep(30))
      for (let number = 0; number < 40; number++) {
        yield* a.room.open("data", somebody(`member-${number}`))
        yield* Effect.sleep(10)
      }
      yield* settled
      assert.strictEqual(counts.seen.at(-1), 40)
      assert.isAtMost(counts.seen.length, 6)
    })
  )

  over("are the latest only to a slow reader, and end with the rooms", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      const counts = yield* follow(b.room, Effect.sleep("2 seconds"))
      for (let number = 0; number < 5; number++) {
        yield* a.room.open("data", somebody(`member-${number}`))
        yield* Effect.sleep(300)
      }
      yield* Effect.sleep("5 seconds")
      assert.deepStrictEqual(counts.seen, [0, 5])
      yield* b.stop
      yield* Fiber.join(counts.fiber)
      assert.deepStrictEqual((yield* follow(b.room)).seen, [], "there is nothing to follow any more")
    })
  )

  over("leave nothing behind when they are not followed any more", () =>
    Effect.gen(function* () {
      const { nodes } = yield* boardNodes(["a", "b"])
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
      const [first, second] = [yield* follow(b.room), yield* follow(b.room)]
      yield* first.stop
      yield* a.room.open("data", somebody("alice"))
      yield* settled
      assert.deepStrictEqual([first.seen, second.seen], [[0], [0, 1]])
    })
  )
})

describe("a node that is alone", () => {
  it.effect("answers for its own members", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const rooms = yield* Rooms.make(BoardApi)
        const room = rooms.get(red)
        const counts = yield* follow(room)
        yield* room.open("data", somebody("alice"))
        const count = yield* room.count
        assert.deepStrictEqual([count.members, count.staleNodes], [1, []])
        assert.isTrue(DateTime.Equivalence(count.asOf, yield* DateTime.now))
        const [alice] = yield* room.everyone
        assert.isFalse(yield* room.leave({ id: "bob" }))
        assert.deepStrictEqual([alice!.id, alice!.data, alice!.node], ["alice", "data", "local"])
        assert.deepStrictEqual(
          (yield* rooms.listAll).map(({ members, ref }) => [ref.identifier, members]),
          [["red", 1]]
        )
        yield* settled
        assert.deepStrictEqual(counts.seen, [0, 1])
        assert.isTrue(yield* room.leave(alice!))
      })
    )
  )
})
