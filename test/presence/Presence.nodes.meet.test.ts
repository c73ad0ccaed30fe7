/**
 * What nodes say to each other when they meet, and what becomes of what they cannot read.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import { Presence } from "effect-rooms"
import { CurrentPeers } from "../../src/internal/peers.ts"
import { general, Room, User } from "../support/channels.ts"
import type { FakeNode } from "../support/fakePeers.ts"
import { watched } from "../support/rooms.ts"
import { Nodes, start, tracked } from "./nodes.ts"
import { alice, bob } from "./support.ts"

const bounds = { listCap: 100_000 }

const populate = Effect.fnUntraced(function* (nodes: Nodes, name: string, members: number) {
  const place = yield* nodes.start(name, bounds)
  for (let n = 0; n < members; n++) {
    yield* place.chat.set(general, User.ref.make(`${name}-${n}`), { device: "tab", meta: "x" })
  }
  return place
})

describe("BUG21: two nodes that meet", () => {
  for (const [left, right] of [
    [0, 0],
    [0, 1],
    [1, 1],
    [51, 0],
    [51, 51],
    [10_000, 10_000]
  ] as const) {
    it.effect(`with ${left} and ${right} members have all of them, each once`, () =>
      Effect.gen(function* () {
        const nodes = new Nodes()
        const a = yield* populate(nodes, "a", left)
        const b = yield* populate(nodes, "b", right)
        nodes.settle()
        const all = a.shown()
        assert.strictEqual(all.length, left + right)
        assert.strictEqual(new Set(all).size, all.length)
        assert.deepStrictEqual(b.shown(), all)
        // Told all of it once more, as after a loss, they see nothing new.
        for (const { told } of [a, b]) told()
        nodes.cluster.deliver(a.node, b.node, "all")
        a.node.forget(b.node)
        nodes.cluster.settle()
        nodes.settle()
        assert.deepStrictEqual([a.told(), b.told()], [[], []])
        // Everything was told once, and twice that the node is there and whom it has met.
        assert.isAtMost(a.node.changes, left + 2)
        assert.isAtMost(b.node.changes, right + 2)
      }).pipe(Effect.scoped)
    )
  }

  it.effect("lose none of them when one does not hear the other for a while", () =>
    Effect.gen(function* () {
      const nodes = new Nodes()
      const a = yield* populate(nodes, "a", 60)
      const b = yield* populate(nodes, "b", 60)
      nodes.settle()
      nodes.cluster.cut(a.node, b.node)
      nodes.cluster.notice()
      nodes.settle()
      assert.deepStrictEqual([a.shown().length, b.shown().length], [120, 60])
      for (let n = 0; n < 30; n++) {
        yield* a.chat.remove(general, User.ref.make(`a-${n}`))
        yield* b.chat.remove(general, User.ref.make(`b-${n}`))
      }
      nodes.settle()
      assert.deepStrictEqual([a.shown().length, b.shown().length], [60, 30])
      nodes.cluster.heal()
      nodes.settle()
      assert.strictEqual(a.shown().length, 60)
      assert.deepStrictEqual(b.shown(), a.shown())
    }).pipe(Effect.scoped)
  )

  it.effect("do not grow by updates, however many", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"], bounds)
      const [a, b] = places
      const sessions = yield* Effect.forEach([a!, b!], (place, n) =>
        tracked(place, alice, { device: `tab${n}`, meta: "x" })
      )
      for (let n = 0; n < 2_000; n++) {
        for (const { session } of sessions) yield* session.update({ meta: String(n) })
        if (n % 10 === 0) nodes.cluster.settle()
      }
      nodes.settle()
      for (const { entries, shown } of places) {
        assert.deepStrictEqual(shown(), ["alice online 1999 [tab1 online 1999, tab0 online 1999]"])
        assert.strictEqual(entries().length, 1)
      }
      // What changed between two deliveries is told once.
      assert.isAtMost(a!.node.changes, 2_000 / 10 + 3)
    }).pipe(Effect.scoped)
  )

  it.effect("track the same device twice, each, and it is one", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      for (const place of [...places, ...places]) yield* tracked(place, alice, { device: "tab", meta: "x" })
      nodes.live(30)
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice online x [tab online x]"])
      assert.strictEqual(places.flatMap(({ entries }) => entries()).length, 1)
    }).pipe(Effect.scoped)
  )
})

/** How often what another node said was refused, by what it was. */
const refusals = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all.flatMap(({ attributes, id, state }) =>
      id === "effect_rooms_presence_refused"
        ? [[`${attributes?.["presence"]} ${attributes?.["what"]}`, (state as Metric.CounterState<number>).count]]
        : []
    )
  )
)

/** What a node of another version, or one that is broken, says. */
const say = Effect.fnUntraced(function* (node: FakeNode, entries: Record<string, Schema.Json>) {
  const table = yield* node.table("presence/Room/User", () => undefined)
  return { table, entries: Object.entries(entries).forEach(([key, value]) => table.set(key, value)) }
})

const key = (user: string, device: string) => JSON.stringify(["general", user, device])

describe("what cannot be read", () => {
  it.effect("SEC16: of what another node says is dropped, counted, and logged once", () =>
    watched((log) =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a"])
        const broken = nodes.cluster.start("broken")
        const good = [3, 0, 3, "busy", "held", 0, "x"]
        const bad: Record<string, Schema.Json> = {
          "not json": good,
          "[]": good,
          [key("", "tab")]: good,
          [key("__proto__", "tab")]: good,
          [key("alice", "")]: good,
          [key("alice", "x".repeat(129))]: good,
          [key("alice", "1")]: good.with(0, -1),
          [key("alice", "2")]: good.with(0, Number.MAX_SAFE_INTEGER),
          [key("alice", "3")]: good.with(2, "1"),
          [key("alice", "4")]: good.with(3, "here"),
          [key("alice", "5")]: good.with(4, "there"),
          [key("alice", "6")]: good.with(6, 1),
          [key("alice", "7")]: [],
          [key("alice", "8")]: { generation: 3 },
          [key("alice", "9")]: "left"
        }
        yield* say(broken, { ...bad, [key("bob", "tab")]: good })
        nodes.settle()
        assert.deepStrictEqual(places[0]!.shown(), ["bob busy x [tab busy x]"])
        assert.deepStrictEqual(yield* refusals, { "Room/User entry": Object.keys(bad).length })
        assert.strictEqual(log.filter((line) => line.includes("cannot read")).length, 1)
        // It is still known how far others have counted.
        yield* tracked(places[0]!, alice, { meta: "x" })
        assert.match(places[0]!.entries()[0]!, /\[4,/)
      }).pipe(Effect.scoped)
    )
  )

  it.effect("is gone for those who cannot read it, and there for the others", () =>
    watched(() =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a", "b"])
        const [a] = places
        const newer = nodes.cluster.start("c")
        const chat = yield* Presence.make({ room: Room, user: User, meta: Schema.Finite, name: "Room/User" }).pipe(
          Effect.provideService(CurrentPeers, newer)
        )
        yield* tracked(a!, alice, { device: "tab", meta: "x" })
        yield* chat.set(general, alice, { device: "phone", meta: 1 })
        yield* chat.set(general, bob, { device: "phone", meta: 1 })
        nodes.settle()
        for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice online x [tab online x]"])
        const listed = yield* chat.list(general)
        assert.deepStrictEqual([listed.users, listed.devices], [2, 2])
        assert.deepStrictEqual(yield* refusals, { "Room/User entry": 2 + 2 + 1 })
      }).pipe(Effect.scoped)
    )
  )

  it.effect("and was read before takes the device away", () =>
    watched(() =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a"])
        const other = nodes.cluster.start("b")
        const good = [3, 0, 3, "busy", "held", 0, "x"]
        const { table } = yield* say(other, { [key("alice", "tab")]: good })
        nodes.settle()
        assert.deepStrictEqual(places[0]!.told(), ["+ alice busy"])
        table.set(key("alice", "tab"), good.with(6, 1))
        nodes.settle()
        assert.deepStrictEqual(places[0]!.told(), ["- alice left"])
        table.set(key("alice", "tab"), good.with(6, "y"))
        nodes.settle()
        assert.deepStrictEqual(places[0]!.told(), ["+ alice busy"])
      }).pipe(Effect.scoped)
    )
  )

  it.effect("SEC16: of letters changes nothing, is counted and logged", () =>
    watched((log) =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a"], { maxMetaBytes: 4 })
        const [a] = places
        const broken = nodes.cluster.start("broken")
        yield* tracked(a!, alice, { device: "tab", meta: "x" })
        const mail = yield* broken.mail("presence/Room/User", () => undefined)
        const update = { do: "update", room: "general", user: "alice", device: "tab" }
        const bad = [
          null,
          {},
          { ...update, do: "track" },
          { ...update, room: "" },
          { ...update, user: "no such name!" },
          { ...update, device: "" },
          { ...update, status: "here" },
          { ...update, meta: 1 },
          { ...update, meta: "too long" }
        ]
        for (const letter of bad) mail.send(a!.node.epoch, letter)
        nodes.settle()
        assert.deepStrictEqual(a!.shown(), ["alice online x [tab online x]"])
        assert.deepStrictEqual(yield* refusals, { "Room/User letter": bad.length })
        assert.strictEqual(log.filter((line) => line.includes("cannot read")).length, bad.length)
        mail.send(a!.node.epoch, { ...update, status: "away", meta: "y" })
        nodes.settle()
        assert.deepStrictEqual(a!.shown(), ["alice away y [tab away y]"])
      }).pipe(Effect.scoped)
    )
  )
})
