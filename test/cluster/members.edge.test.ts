/**
 * Members of rooms over nodes where something is wrong: a bus that refuses, data that does not fit, words that are not
 * understood, nodes that are not heard.
 */
import { assert, describe, it } from "@effect/vitest"
import { RoomApi, Rooms } from "effect-rooms"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { CurrentPeers } from "../../src/internal/peers.ts"
import { boardNode, boardNodes, countOf, follow, red, settled, somebody } from "../support/boardNodes.ts"
import { counter } from "../support/counters.ts"
import { FakeNodes } from "../support/fakeNodes.ts"
import { begin, BoardApi, FakeConnection, outcome, Place, watched } from "../support/rooms.ts"
import { inVirtualTime } from "../support/virtual.ts"

const topic = "test/key/rooms:board/red"
/** Attaches to nothing: what is tested is the way there. */
const attach = () => () => {}

const on = <A, E, R>(nodes: FakeNodes, epoch: string, effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, CurrentPeers, nodes.peers(epoch))

const failures = (reason: string) => counter("effect_rooms_roster_failures", { reason })

describe("TRAP3: a join whose room the bus refuses", () => {
  it.effect("fails for all who wait for it, leaves nothing behind, and can be tried again", () =>
    inVirtualTime(
      Effect.scoped(
        Effect.gen(function* () {
          const { network, nodes } = yield* boardNodes(["a", "b"])
          const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
          yield* network.refuse(topic, "subscribe")
          const [first, second] = [new FakeConnection("first"), new FakeConnection("second")]
          const joins = [first, second].map((as) => outcome(a.room.open("data", { as, attach })))
          assert.deepStrictEqual(yield* Effect.all(joins, { concurrency: 2 }), ["ClusterRefused", "ClusterRefused"])
          assert.deepStrictEqual([first.rooms, first.waiting, second.rooms, second.waiting], [0, 0, 0, 0])
          assert.strictEqual(yield* a.room.size, 0)
          yield* settled
          assert.strictEqual(yield* countOf(b.room), 0)
          assert.notInclude(yield* network.subscribed("a"), topic)
          assert.strictEqual(yield* outcome(a.room.open("data", somebody("no connection"))), "ok", "it hears nothing")

          yield* network.allow(topic)
          assert.strictEqual(yield* outcome(a.room.open("data", { as: first, attach })), "ok")
          assert.include(yield* network.subscribed("a"), topic)
          yield* settled
          assert.strictEqual(yield* countOf(b.room), 2)
        })
      )
    )
  )

  it.effect("is counted, and says what the bus said", () =>
    watched(() =>
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        nodes.refused.add("red")
        const rooms = yield* on(nodes, "a", Rooms.make(BoardApi))
        const error = yield* Effect.flip(rooms.get(red).open("data", { as: new FakeConnection("first"), attach }))
        assert.strictEqual(error.message, "the cluster refused: not this one")
        assert.strictEqual(yield* counter("effect_rooms_room_refusals", { reason: "ClusterRefused" }), 1)
        assert.strictEqual(yield* outcome(rooms.get(Place.ref`blue`).open("data", { attach })), "ok")
      })
    )
  )
})

describe("a member whose data does not travel", () => {
  const Longer = RoomApi.make("board", { ...BoardApi, member: Schema.Struct({ name: Schema.String }) })

  it.effect("is counted and not listed by a node whose schema is another, which logs and counts that", () =>
    watched((log) =>
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        const a = yield* on(nodes, "a", Rooms.make(BoardApi))
        const b = yield* on(nodes, "b", Rooms.make(Longer))
        yield* a.get(red).open("text", somebody("alice"))
        yield* b.get(red).open({ name: "Bob" }, somebody("bob"))
        assert.strictEqual((yield* b.get(red).count).members, 2)
        assert.deepStrictEqual(
          (yield* b.get(red).everyone).map(({ id }) => id),
          ["bob"]
        )
        yield* b.get(red).everyone
        assert.strictEqual(yield* failures("decode"), 2)
        assert.strictEqual(log.length, 1, "the first of many")
      })
    )
  )

  for (const [reason, data] of [
    ["encode", 7 as unknown as string],
    ["tooLarge", "x".repeat(20_000)]
  ] as const) {
    it.effect(`is in all the same, and counted by the others: ${reason}`, () =>
      watched((log) =>
        Effect.gen(function* () {
          const nodes = new FakeNodes()
          const a = yield* on(nodes, "a", Rooms.make(BoardApi))
          const b = yield* on(nodes, "b", Rooms.make(BoardApi))
          const membership = yield* a.get(red).open(data, somebody("alice"))
          assert.strictEqual((yield* a.get(red).everyone).length, 1)
          assert.strictEqual((yield* b.get(red).count).members, 1)
          assert.deepStrictEqual(yield* b.get(red).everyone, [])
          assert.strictEqual(yield* failures(reason), 1)
          assert.strictEqual(log.length, 1)
          membership.leave()
          assert.strictEqual((yield* b.get(red).count).members, 0)
        })
      )
    )
  }
})

describe("SEC16: what another node says of members", () => {
  it.effect("is not taken where it is not understood, and does not hide what is", () =>
    watched((log) =>
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        const rooms = yield* on(nodes, "a", Rooms.make(BoardApi))
        const room = rooms.get(red)
        nodes.say("b", "rooms/board", [
          ["nonsense", [1, "data"]],
          ['["red"]', [1, "data"]],
          ['["not a room!","alice"]', [1, "data"]],
          [`["red",${JSON.stringify("x".repeat(1_000))}]`, [1, "data"]],
          ['["red","alice"]', ["yesterday", "data"]],
          ['["red","bob"]', [1e300, "data"]],
          ['["red","carol"]', { joinedAt: 1 }],
          ['["red","dave"]', [1, "data"]],
          ['["__proto__","eve"]', [1, "data"]]
        ])
        assert.deepStrictEqual(
          (yield* room.everyone).map(({ id, node }) => [id, node]),
          [["dave", "b"]]
        )
        assert.strictEqual((yield* room.count).members, 1)
        assert.strictEqual(yield* failures("malformed"), 8)
        assert.strictEqual(log.length, 1)
        nodes.say("b", "rooms/board", [['["red","dave"]', [2, "new data"]]])
        assert.deepStrictEqual(
          (yield* room.everyone).map(({ data }) => data),
          ["new data"]
        )
        assert.strictEqual((yield* room.count).members, 1)
        nodes.say("b", "rooms/board", [['["red","dave"]', null]])
        assert.strictEqual((yield* room.count).members, 0, "what was said before does not stand")
        nodes.say("b", "rooms/board", [["unknown", undefined]])
      })
    )
  )

  it.effect("is not done where it is not understood, and does not go on to a third node", () =>
    watched((log) =>
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        const rooms = yield* on(nodes, "a", Rooms.make(BoardApi))
        const room = rooms.get(red)
        yield* room.open("own", somebody("alice"))
        nodes.say("c", "rooms/board", [['["red","bob"]', [1, "c's"]]])
        const write = (letter: Schema.Json) => nodes.write("b", "a", "rooms/board", letter)
        write("nonsense")
        write({ _tag: "Leave", room: "red", member: 7, reason: "removed" })
        write({ _tag: "Close", room: "red", reason: "removed" })
        assert.deepStrictEqual([yield* failures("malformed"), log.length], [3, 1])
        const leave = (name: string, member: string) => write({ _tag: "Leave", room: name, member, reason: "removed" })
        leave("__proto__", "alice")
        leave("red", "bob")
        assert.deepStrictEqual([yield* room.size, (yield* room.count).members, nodes.letters.length], [1, 2, 5])
        leave("red", "alice")
        assert.strictEqual(yield* room.size, 0)
      })
    )
  )

  it.effect("does not touch the members of this node or of a third", () =>
    Effect.gen(function* () {
      const nodes = new FakeNodes()
      const rooms = yield* on(nodes, "a", Rooms.make(BoardApi))
      const room = rooms.get(red)
      yield* room.open("own", somebody("alice"))
      nodes.say("b", "rooms/board", [['["red","alice"]', [1, "b's"]]])
      nodes.say("c", "rooms/board", [['["red","alice"]', [1, "c's"]]])
      nodes.say("b", "rooms/board", [['["red","alice"]', undefined]])
      assert.deepStrictEqual(
        (yield* room.everyone).map(({ data, node }) => [node, data]),
        [
          ["a", "own"],
          ["c", "c's"]
        ]
      )
      assert.strictEqual(yield* room.size, 1)
    })
  )
})

describe("P13: an answer", () => {
  it.effect("says up to when the others were heard, and whose members are not all known", () =>
    Effect.gen(function* () {
      const nodes = new FakeNodes()
      const rooms = yield* on(nodes, "a", Rooms.make(BoardApi))
      const now = DateTime.toEpochMillis(yield* DateTime.now)
      nodes.infos = [
        { epoch: "b", heardAgo: 1_200, stale: false },
        { epoch: "c", heardAgo: 300, stale: false },
        { epoch: "d", heardAgo: 8_000, stale: true }
      ]
      const count = yield* rooms.get(red).count
      assert.strictEqual(DateTime.toEpochMillis(count.asOf), now - 1_200)
      assert.deepStrictEqual(count.staleNodes, ["d"])
      nodes.infos = []
      assert.strictEqual(DateTime.toEpochMillis((yield* rooms.get(red).count).asOf), now)
    })
  )
})

describe("members that go together", () => {
  it.effect("are one change to those who follow a room, and none to those who follow another", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        const rooms = yield* on(nodes, "a", Rooms.make(BoardApi))
        const keys = Array.from({ length: 50 }, (_, index) => `["red","member-${index}"]`)
        nodes.say("b", "rooms/board", [
          ...keys.map((key) => [key, [1, "data"]] as const),
          ['["blue","other"]', [1, "data"]]
        ])
        nodes.say("c", "rooms/board", [['["red","stays"]', [1, "data"]]])
        const counts = yield* follow(rooms.get(red))
        yield* Effect.sleep(1)
        nodes.crash("b")
        yield* settled
        assert.deepStrictEqual(counts.seen, [51, 1])
        assert.deepStrictEqual(
          (yield* rooms.listAll).map(({ members }) => members),
          [1]
        )
      })
    )
  )
})

describe("two kinds of rooms of one name on one node", () => {
  it.effect("are logged, and the second keeps its members to itself until the first has gone", () =>
    watched((log) =>
      Effect.gen(function* () {
        const nodes = new FakeNodes()
        const scope = yield* Scope.make()
        const first = yield* on(nodes, "a", Scope.provide(Rooms.make(BoardApi), scope))
        const second = yield* on(nodes, "a", Rooms.make(BoardApi))
        const other = yield* on(nodes, "b", Rooms.make(BoardApi))
        assert.isTrue(log.some((line) => line.startsWith("two kinds of rooms are called board")))
        yield* first.get(red).open("data", somebody("alice"))
        yield* second.get(red).open("data", somebody("bob"))
        assert.strictEqual((yield* other.get(red).count).members, 1)
        assert.strictEqual((yield* second.get(red).count).members, 1)
        assert.isFalse(yield* second.get(red).leave({ id: "alice" }))
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* other.get(red).count).members, 0)
        const third = yield* on(nodes, "a", Rooms.make(BoardApi))
        yield* third.get(red).open("data", somebody("carol"))
        assert.strictEqual((yield* other.get(red).count).members, 1)
      })
    )
  )
})

describe("a join that is under way when its node stops", () => {
  it.effect("leaves nothing with the others", () =>
    inVirtualTime(
      Effect.scoped(
        Effect.gen(function* () {
          const { network, nodes } = yield* boardNodes(["a"])
          const [a] = nodes as [(typeof nodes)[0]]
          const slow = Rooms.make(BoardApi, { canJoin: () => Effect.delay(Effect.succeed(true), 500) })
          const b = yield* boardNode(network, "b", slow)
          yield* settled
          const joining = yield* begin(outcome(b.room.open("data", somebody("alice"))))
          yield* Effect.sleep(100)
          yield* b.stop
          yield* Effect.sleep("1 second")
          assert.strictEqual(joining.pollUnsafe() && Exit.isSuccess(joining.pollUnsafe()!), true)
          assert.strictEqual(yield* countOf(a.room), 0)
        })
      )
    )
  )
})
