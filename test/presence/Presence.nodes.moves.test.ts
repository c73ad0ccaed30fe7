/**
 * Sessions that move between nodes, and nodes that go: who is back has not left, and who is not leaves once.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { FakeConnection } from "../support/rooms.ts"
import { general } from "../support/channels.ts"
import { entryOf, Nodes, type Place, start, tracked } from "./nodes.ts"
import { alice, bob, carol, end, lines } from "./support.ts"

const tab = { device: "tab", meta: "x" }
const aliceHere = "alice online x [tab online x]"
const aliceLost = "alice online x lost [tab online x lost]"

/** Alice's tab on the first node, and what everybody was told of it is read. */
const withAlice = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const { nodes, places } = yield* start(names)
  const connection = new FakeConnection("old")
  const old = yield* tracked(places[0]!, alice, { ...tab, as: connection })
  nodes.settle()
  for (const { told } of places) assert.deepStrictEqual(told(), ["+ alice online"])
  return { nodes, places, connection, ...old }
})

const tellAll = (places: ReadonlyArray<Place>) => places.map(({ told }) => told())

describe("a session that moves to another node", () => {
  it.effect("P7: within the grace period neither leaves nor enters for anybody", () =>
    Effect.gen(function* () {
      const { connection, nodes, places, session } = yield* withAlice(["a", "b", "c"])
      yield* end(connection, "lost")
      nodes.settle()
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceLost])
      nodes.live(10)
      const { session: fresh } = yield* tracked(places[1]!, alice, tab)
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceHere])
      for (const { told } of places) assert.deepStrictEqual(told(), ["~ alice online", "~ alice online"])
      assert.deepStrictEqual(
        [yield* session.heartbeat, yield* session.update({ status: "away" }), yield* session.drop],
        [false, false, false]
      )
      assert.isTrue(yield* fresh.heartbeat)
      assert.deepStrictEqual(
        places.map(({ entries }) => entries().length),
        [0, 1, 0]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("while its old connection still seems to be there takes it over, and nobody sees anything", () =>
    Effect.gen(function* () {
      const { close, connection, nodes, places, session } = yield* withAlice(["a", "b", "c"])
      yield* tracked(places[1]!, alice, tab)
      nodes.settle()
      assert.deepStrictEqual(
        [yield* session.heartbeat, yield* session.update({ status: "away" }), yield* session.drop],
        [false, false, false]
      )
      yield* end(connection, "lost")
      yield* close
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceHere])
      assert.deepStrictEqual(tellAll(places), [[], [], []])
    }).pipe(Effect.scoped)
  )

  it.effect("P19: and loses its connection there is back where its old one is still open, until that closes too", () =>
    Effect.gen(function* () {
      const { connection: old, nodes, places, session } = yield* withAlice(["a", "b", "c"])
      const connection = new FakeConnection("new")
      const moved = yield* tracked(places[1]!, alice, { ...tab, meta: "y", as: connection })
      nodes.live(10)
      assert.isFalse(yield* session.heartbeat)
      yield* end(connection, "lost")
      nodes.settle()
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceHere])
      assert.deepStrictEqual([yield* session.heartbeat, yield* moved.session.heartbeat], [true, false])
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceHere])
      for (const { told } of places) assert.isEmpty(told().filter((line) => !line.startsWith("~")))
      assert.deepStrictEqual(
        places.map(({ entries }) => entries().length),
        [1, 0, 0]
      )
      yield* end(old, "lost")
      nodes.settle()
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceLost])
      nodes.live(25)
      for (const { entries, shown } of places) assert.deepStrictEqual([shown(), entries()], [[], []])
    }).pipe(Effect.scoped)
  )

  it.effect("P19: also where both are heard of at once, as of a node that was held up", () =>
    Effect.gen(function* () {
      const { nodes, places, session } = yield* withAlice(["a", "b"])
      const connection = new FakeConnection("given up")
      yield* tracked(places[1]!, alice, { ...tab, meta: "y", as: connection })
      yield* end(connection, "lost")
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceHere])
      for (const { told } of places) assert.isEmpty(told().filter((line) => !line.startsWith("~")))
      assert.isTrue(yield* session.heartbeat)
    }).pipe(Effect.scoped)
  )

  for (const way of ["its old connection is closed by then", "that is more than the grace period later"]) {
    it.effect(`P19: and loses its connection there does not come back: ${way}`, () =>
      Effect.gen(function* () {
        const { connection: old, nodes, places, session } = yield* withAlice(["a", "b"])
        const connection = new FakeConnection("new")
        yield* tracked(places[1]!, alice, { ...tab, as: connection })
        nodes.settle()
        if (way.startsWith("its old")) yield* end(old, "lost")
        else nodes.live(20)
        yield* end(connection, "lost")
        nodes.settle()
        for (const { shown } of places) assert.deepStrictEqual(shown(), [aliceLost])
        assert.isFalse(yield* session.heartbeat)
        nodes.live(50)
        for (const { entries, shown } of places) assert.deepStrictEqual([shown(), entries()], [[], []])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("has not left for a node that hears of the old place first, or of the new one much later", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* withAlice(["a", "b", "c"])
      const [a, b, c] = places.map(({ node }) => node)
      yield* tracked(places[1]!, alice, tab)
      nodes.cluster.cut(b!, c!)
      nodes.cluster.settle()
      for (let n = 0; n < 9; n++) {
        nodes.pass(1_000)
        nodes.cluster.deliver(a!, c!)
        assert.strictEqual(places[2]!.shown().length, 1)
      }
      nodes.cluster.heal()
      nodes.cluster.deliver(b!, c!, "all")
      nodes.live(60)
      assert.deepStrictEqual(places[2]!.shown(), [aliceHere])
      assert.isEmpty(places[2]!.told().filter((line) => !line.startsWith("~")))
    }).pipe(Effect.scoped)
  )

  for (const [before, after] of [
    ["lost before", []],
    ["still connected", [aliceHere]]
  ] as const) {
    it.effect(
      `P7: and loses its new node as well is ${after.length === 0 ? "gone with that" : "back"} (${before})`,
      () =>
        Effect.gen(function* () {
          const { connection, nodes, places } = yield* withAlice(["a", "b", "c"])
          if (before === "lost before") yield* end(connection, "lost")
          nodes.settle()
          yield* tracked(places[1]!, alice, tab)
          nodes.settle()
          nodes.cluster.crash(places[1]!.node)
          nodes.live(9)
          for (const place of [places[0]!, places[2]!]) assert.deepStrictEqual(place.shown(), [aliceHere])
          nodes.cluster.notice()
          nodes.settle()
          for (const place of [places[0]!, places[2]!]) {
            assert.deepStrictEqual(place.shown(), after)
            assert.strictEqual(place.told().at(-1), after.length === 0 ? "- alice dropped" : undefined)
          }
          assert.strictEqual(places[0]!.entries().length, after.length)
        }).pipe(Effect.scoped)
    )
  }

  it.effect("and leaves there is gone at once everywhere, whatever its old node still says", () =>
    Effect.gen(function* () {
      const { connection, nodes, places } = yield* withAlice(["a", "b", "c"])
      const [a] = places
      yield* end(connection, "lost")
      nodes.settle()
      // From here on nobody hears from the first node, and nobody has noticed yet.
      nodes.cluster.crash(a!.node)
      const { close } = yield* tracked(places[1]!, alice, tab)
      nodes.settle()
      for (const { shown } of places.slice(1)) assert.deepStrictEqual(shown(), [aliceHere])
      yield* close
      assert.isUndefined(entryOf(places[1]!.chat, alice))
      nodes.settle()
      assert.deepStrictEqual(places[2]!.shown(), [])
      nodes.live(60)
      assert.deepStrictEqual(places[2]!.shown(), [])
      nodes.cluster.notice()
      nodes.live(30)
      for (const { told } of places.slice(1)) {
        assert.deepStrictEqual(told(), ["~ alice online", "~ alice online", "- alice left"])
      }
      // Nothing has to be hidden any more.
      assert.deepStrictEqual(places[1]!.entries(), [])
    }).pipe(Effect.scoped)
  )

  it.effect("back and forth is where it was last", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* withAlice(["a", "b", "c"])
      let close: Effect.Effect<void> = Effect.void
      for (let n = 1; n <= 7; n++) {
        const next = yield* tracked(places[n % 3]!, alice, { ...tab, meta: String(n) })
        close = next.close
        if (n % 2 === 0) nodes.settle()
      }
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice online 7 [tab online 7]"])
      yield* close
      nodes.live(30)
      for (const { entries, shown, told } of places) {
        assert.deepStrictEqual(shown(), [])
        assert.deepStrictEqual(
          told().filter((line) => !line.startsWith("~")),
          ["- alice left"]
        )
        assert.deepStrictEqual(entries(), [])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("to a node that has just started and knows nothing yet stays there", () =>
    Effect.gen(function* () {
      const nodes = new Nodes()
      const a = yield* nodes.start("a")
      // It has been tracked before, so that its generation is high and it has taken over some.
      for (let n = 0; n < 9; n++) yield* tracked(a, alice, tab)
      const b = yield* nodes.start("b")
      const { session } = yield* tracked(b, alice, { ...tab, meta: "new" })
      nodes.live(60)
      for (const { shown } of [a, b]) assert.deepStrictEqual(shown(), ["alice online new [tab online new]"])
      assert.isTrue(yield* session.heartbeat)
      assert.deepStrictEqual([a.entries().length, b.entries().length], [0, 1])
    }).pipe(Effect.scoped)
  )

  it.effect("during a split is where it is connected once the nodes hear each other again", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* withAlice(["a", "b"])
      const [a, b] = places
      nodes.cluster.part(a!.node, b!.node)
      const there = new FakeConnection("there")
      yield* tracked(b!, alice, { ...tab, meta: "there", as: there })
      yield* end(there, "lost")
      // The first node knows nothing of that, and its client is back.
      const { session } = yield* tracked(a!, alice, { ...tab, meta: "back" })
      nodes.cluster.heal()
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice online back [tab online back]"])
      assert.isTrue(yield* session.heartbeat)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "F6: from a node that slept and is another now stays where it is, though its old connection seems to be there",
    () =>
      Effect.gen(function* () {
        const { nodes, places, session } = yield* withAlice(["a", "b", "c"])
        const [a, b, c] = places
        // The others have taken the first node for down, and what they knew of it is gone.
        nodes.cluster.part(a!.node, b!.node)
        nodes.cluster.part(a!.node, c!.node)
        nodes.cluster.notice()
        yield* tracked(b!, alice, { ...tab, meta: "there" })
        nodes.live(1)
        a!.node.rebirth()
        nodes.cluster.heal()
        nodes.live(60)
        for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice online there [tab online there]"])
        assert.isFalse(yield* session.heartbeat)
      }).pipe(Effect.scoped)
  )

  for (const ending of ["lost", "clean"] as const) {
    it.effect(`during a split comes back when it turns out that its other connection is ${ending}`, () =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a", "b", "c"])
        const [a, b] = places
        nodes.cluster.part(a!.node, b!.node)
        // The first node counts further than the second knows.
        for (let n = 0; n < 9; n++) yield* tracked(a!, bob, tab)
        const connection = new FakeConnection("old")
        yield* tracked(a!, alice, { ...tab, as: connection })
        a!.node.flush()
        yield* end(connection, ending)
        a!.node.flush()
        const { session } = yield* tracked(b!, alice, { ...tab, meta: "here" })
        nodes.cluster.heal()
        // What the first node has said comes one after the other.
        nodes.cluster.settle()
        assert.isTrue(yield* session.heartbeat)
        nodes.live(60)
        for (const { shown } of places) {
          assert.deepStrictEqual(shown().toSorted(), [
            "alice online here [tab online here]",
            "bob online x [tab online x]"
          ])
        }
      }).pipe(Effect.scoped)
    )
  }

  for (const way of ["close", "drop", "lost"] as const) {
    it.effect(`that seems to have been taken over, and ends meanwhile (${way}), does not come back`, () =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a", "b"])
        const [a, b] = places
        nodes.cluster.part(a!.node, b!.node)
        for (let n = 0; n < 9; n++) yield* tracked(a!, bob, tab)
        const there = new FakeConnection("there")
        yield* tracked(a!, alice, { ...tab, as: there })
        const here = new FakeConnection("here")
        const { close, session } = yield* tracked(b!, alice, { ...tab, as: here })
        nodes.cluster.heal()
        nodes.settle()
        assert.deepStrictEqual([yield* session.heartbeat, yield* session.update({ meta: "y" })], [false, false])
        if (way === "close") yield* close
        else if (way === "lost") yield* end(here, "lost")
        else assert.isFalse(yield* session.drop)
        yield* end(there, "lost")
        nodes.settle()
        for (const { shown } of places) assert.include(shown(), aliceLost)
        nodes.live(25)
        for (const { shown } of places) assert.deepStrictEqual(shown(), ["bob online x [tab online x]"])
        assert.deepStrictEqual(b!.entries(), [])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("during a split and left there stays where it is connected, whatever hides its old place", () =>
    Effect.gen(function* () {
      const { connection, nodes, places } = yield* withAlice(["a", "b", "c"])
      const [a, b, c] = places
      yield* end(connection, "lost")
      nodes.settle()
      nodes.cluster.part(a!.node, b!.node)
      nodes.cluster.part(a!.node, c!.node)
      const there = yield* tracked(b!, alice, tab)
      yield* there.close
      nodes.cluster.settle()
      assert.deepStrictEqual([b!.shown(), c!.shown()], [[], []])
      yield* tracked(a!, alice, { ...tab, meta: "back" })
      nodes.cluster.heal()
      nodes.live(60)
      for (const { shown } of places) assert.deepStrictEqual(shown(), ["alice online back [tab online back]"])
    }).pipe(Effect.scoped)
  )

  it.effect(
    "claimed by two nodes at once is on one of them, the same for everybody, also after one has a new epoch",
    () =>
      Effect.gen(function* () {
        const { nodes, places } = yield* start(["a", "b", "c"])
        const [a, b] = places
        for (const [n, place] of [a, b].entries()) yield* tracked(place!, alice, { device: "tab", meta: String(n) })
        nodes.live(30)
        const [first] = places.map(({ shown }) => shown())
        for (const { shown } of places) assert.deepStrictEqual(shown(), first)
        for (const { node } of places) {
          node.rebirth()
          nodes.live(30)
          for (const { shown } of places) assert.deepStrictEqual(shown(), first)
        }
        assert.strictEqual(places.flatMap(({ entries }) => entries()).length, 1)
      }).pipe(Effect.scoped)
  )
})

describe("a node that goes", () => {
  it.effect("P7: takes those who are nowhere else with it, in one diff", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b"])
      const [a, b] = places
      for (const user of [alice, bob, carol]) yield* tracked(a!, user, { ...tab, device: user.identifier })
      yield* tracked(b!, carol, { device: "phone", meta: "y" })
      nodes.settle()
      const changes = yield* b!.chat.changes(general)
      yield* changes.take
      b!.told()
      nodes.cluster.crash(a!.node)
      nodes.live(5)
      assert.deepStrictEqual(b!.told(), [])
      nodes.cluster.notice()
      nodes.pass(100)
      const diff = yield* changes.take
      assert(diff._tag === "Diff")
      assert.deepStrictEqual([diff.users, diff.devices], [1, 1])
      assert.deepStrictEqual(lines(diff), ["- alice dropped", "- bob dropped", "~ carol online"])
      assert.deepStrictEqual(b!.told(), lines(diff))
      assert.deepStrictEqual(b!.shown(), ["carol online y [phone online y]"])
      nodes.live(60)
      assert.deepStrictEqual(b!.told(), [])
    }).pipe(Effect.scoped)
  )

  it.effect("and stops properly leaves its devices as lost, until it is down", () =>
    Effect.gen(function* () {
      const { nodes, places, session } = yield* withAlice(["a", "b", "c"])
      const [a, b, c] = places
      yield* a!.chat.set(general, bob, { meta: "x" })
      const left = yield* tracked(a!, carol, tab)
      nodes.settle()
      tellAll(places)
      yield* left.close
      yield* a!.stop
      assert.isFalse(yield* session.heartbeat)
      nodes.settle()
      nodes.cluster.crash(a!.node)
      const bobLost = "bob online x lost [default online x lost]"
      for (const { shown, told } of [b!, c!]) {
        assert.deepStrictEqual(shown(), [aliceLost, bobLost])
        assert.deepStrictEqual(told().toSorted(), ["- carol left", "~ alice online", "~ bob online"])
      }
      yield* tracked(b!, alice, tab)
      nodes.live(9)
      nodes.cluster.notice()
      nodes.settle()
      for (const { shown, told } of [b!, c!]) {
        assert.deepStrictEqual(shown(), [aliceHere])
        assert.deepStrictEqual(told(), ["~ alice online", "- bob dropped"])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("in which only the presence ends and begins anew keeps nothing of the old one", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* withAlice(["a", "b"])
      const [a, b] = places
      yield* a!.stop
      nodes.settle()
      assert.deepStrictEqual(b!.shown(), [aliceLost])
      const again = yield* nodes.on(a!.node)
      nodes.settle()
      for (const { shown } of [again, b!]) assert.deepStrictEqual(shown(), [])
      yield* tracked(again, alice, tab)
      nodes.settle()
      for (const { shown } of [again, b!]) assert.deepStrictEqual(shown(), [aliceHere])
      yield* again.stop
      yield* b!.stop
      assert.strictEqual(b!.node.own.get("presence/Room/User")?.size, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("and whose presence ends while it lives on, without anybody present, says nothing any more", () =>
    Effect.gen(function* () {
      const { close, nodes, places } = yield* withAlice(["a", "b"])
      yield* close
      nodes.live(30)
      yield* places[0]!.stop
      nodes.settle()
      assert.strictEqual(places[0]!.node.own.get("presence/Room/User")!.size, 0)
      assert.strictEqual(places[1]!.node.views.get(places[0]!.node)!.entries.get("presence/Room/User")!.size, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("TRAP5: and two that tell of the same room at the same time lose nobody", () =>
    Effect.gen(function* () {
      const { nodes, places } = yield* start(["a", "b", "c"])
      const users = [alice, bob, carol]
      yield* Effect.forEach(places, (place, n) => tracked(place, users[n]!, tab))
      nodes.settle()
      for (const { shown } of places) assert.strictEqual(shown().length, 3)
      nodes.cluster.crash(places[0]!.node)
      nodes.cluster.crash(places[1]!.node)
      nodes.cluster.notice()
      nodes.settle()
      assert.deepStrictEqual(places[2]!.shown(), ["carol online x [tab online x]"])
      assert.deepStrictEqual(
        Array.from(places[2]!.node.views.values()).filter(({ entries }) => entries.size > 0),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.effect("BUG22: five nodes that crash and start again one after the other leave no zombies", () =>
    Effect.gen(function* () {
      const nodes = new Nodes()
      const users = [alice, bob, carol]
      let places = yield* Effect.forEach([0, 1, 2, 3, 4], (n) => nodes.start(`n${n}`))
      for (const [n, place] of places.entries()) yield* tracked(place, users[n % 3]!, { ...tab, device: `d${n}` })
      nodes.settle()
      for (let n = 0; n < 5; n++) {
        nodes.cluster.crash(places[n]!.node)
        const fresh = yield* nodes.start(`n${n}`)
        // Its clients are back before it knows anybody.
        yield* tracked(fresh, users[n % 3]!, { ...tab, device: `d${n}` })
        nodes.settle()
        nodes.cluster.notice()
        places = places.with(n, fresh)
        nodes.live(2)
      }
      nodes.live(20)
      for (const { entries, shown } of places) {
        assert.deepStrictEqual(shown(), places[0]!.shown())
        assert.strictEqual(entries().length, 1)
      }
      const devices = places[0]!.shown().flatMap((line) => line.match(/d\d/g) ?? [])
      assert.deepStrictEqual(devices.toSorted(), ["d0", "d1", "d2", "d3", "d4"])
      for (const { told } of places) assert.isEmpty(told().filter((line) => line.startsWith("-")))
    }).pipe(Effect.scoped)
  )
})

const permutations = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  all.length <= 1
    ? [all]
    : all.flatMap((one, n) => permutations([...all.slice(0, n), ...all.slice(n + 1)]).map((rest) => [one, ...rest]))

describe("BUG23: tabs of one user on several nodes", () => {
  for (const tabs of [2, 3]) {
    for (const order of permutations(Array.from({ length: tabs }, (_, n) => n))) {
      it.effect(`${tabs} tabs that close in the order ${order.join(", ")} are one enter and one leave`, () =>
        Effect.gen(function* () {
          const { nodes, places } = yield* start(["a", "b", "c"].slice(0, tabs))
          const open = yield* Effect.forEach(places, (place, n) =>
            Effect.tap(tracked(place, alice, { device: `tab${n}`, meta: String(n) }), () =>
              Effect.sync(() => nodes.settle())
            )
          )
          let left = Array.from({ length: tabs }, (_, n) => tabs - 1 - n)
          for (const n of order) {
            yield* open[n]!.close
            nodes.settle()
            left = left.filter((other) => other !== n)
            const devices = left.map((other) => `tab${other} online ${other}`).join(", ")
            const expected = left.length === 0 ? [] : [`alice online ${left[0]} [${devices}]`]
            for (const { shown } of places) assert.deepStrictEqual(shown(), expected)
          }
          for (const { told } of places) {
            const seen = told()
            assert.deepStrictEqual(
              [seen[0], seen.at(-1), seen.filter((line) => !line.startsWith("~")).length],
              ["+ alice online", "- alice left", 2]
            )
          }
        }).pipe(Effect.scoped)
      )
    }
  }
})
