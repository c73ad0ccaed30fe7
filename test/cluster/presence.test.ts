/**
 * Presence over the nodes of a simulated cluster: everybody is known everywhere, moves without being missed, and goes
 * with the node that had the last device.
 */
import { assert, describe, it } from "@effect/vitest"
import { Presence, type Subscription } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { brief, lines } from "../presence/support.ts"
import { drain, general, Room, User } from "../support/channels.ts"
import { FakeConnection } from "../support/rooms.ts"

const options = { room: Room, user: User, meta: Schema.String, listCap: 100_000 }
class Online extends Presence.Service<Online>()("test/Online", options) {}

const layer = (node: string) =>
  Online.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "test", node, secret: "unsigned" })))

type Node = TestCluster.Node<Online | Cluster.Cluster>
const alice = User.ref`alice`
const tab = { device: "tab", meta: "x" }
const here = "alice online x [tab online x]"
const lost = "alice online x lost [tab online x lost]"

/** Nodes that know each other. */
const start = Effect.fnUntraced(function* (nodes: number | ReadonlyArray<string>, seed = 0) {
  const cluster = yield* TestCluster.make({ nodes, layer, seed })
  yield* cluster.settle
  return cluster
})

/** Tracks a device on behalf of a connection; both of them can end. */
const track = Effect.fnUntraced(function* (node: Node, user: typeof alice, fields: Presence.Fields<string>) {
  const connection = new FakeConnection(`${node.name}-${user.identifier}`)
  const scope = Scope.makeUnsafe()
  const tracking = Effect.flatMap(Online, (online) => online.track(general, user, { ...fields, as: connection }))
  const session = yield* node.run(Scope.provide(tracking, scope))
  const end = (ending: Subscription.Ending) =>
    node.run(
      Effect.sync(() => {
        connection.ending = ending
        connection.close()
      })
    )
  return { session, end, close: node.run(Scope.close(scope, Exit.void)) }
})

const shown = (node: Node) =>
  node.run(
    Effect.map(
      Effect.flatMap(Online, (online) => online.list(general)),
      (listing) => (listing._tag === "Snapshot" ? listing.entries.map(brief) : [])
    )
  )

/** What readers of a node are told from now on, a line for each user. */
const follow = Effect.fnUntraced(function* (node: Node) {
  const changes = yield* node.run(Effect.flatMap(Online, (online) => online.changes(general)))
  drain(changes)
  return () => drain(changes).flatMap(lines)
})

const told = (followers: ReadonlyArray<() => ReadonlyArray<string>>) => followers.map((read) => read())

describe("presence over a cluster", () => {
  it.effect("TRAP22: who is present on one node is shown on all within a fifth of a second", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const followers = yield* Effect.forEach(cluster.nodes, follow)
      for (const node of cluster.nodes) yield* track(node, User.ref.make(`user-${node.name}`), tab)
      yield* cluster.pass(200)
      for (const node of cluster.nodes) assert.strictEqual((yield* shown(node)).length, 3)
      const enters = ["+ user-a online", "+ user-b online", "+ user-c online"]
      for (const seen of told(followers)) assert.deepStrictEqual(seen.toSorted(), enters)
    })
  )

  it.effect("a device of another node is changed and removed there", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b, c] = cluster.nodes
      yield* track(a!, alice, tab)
      yield* cluster.pass(200)
      const update = Effect.flatMap(Online, (online) => online.update(general, alice, { ...tab, status: "busy" }))
      assert.isTrue(yield* b!.run(update))
      yield* cluster.pass(200)
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), ["alice busy x [tab busy x]"])
      const follower = yield* follow(b!)
      assert.isTrue(yield* c!.run(Effect.flatMap(Online, (online) => online.remove(general, alice))))
      yield* cluster.pass(300)
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [])
      assert.deepStrictEqual(follower(), ["- alice removed"])
    })
  )

  it.effect("P7: a node that crashes takes its users with it within ten seconds, each once, for all who are left", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b, c] = cluster.nodes
      for (let n = 0; n < 50; n++) yield* track(a!, User.ref.make(`user-${n}`), tab)
      yield* track(b!, User.ref.make("user-0"), { ...tab, device: "phone" })
      yield* cluster.pass(500)
      const followers = yield* Effect.forEach([b!, c!], follow)
      yield* a!.crash
      yield* cluster.pass("5 seconds")
      assert.deepStrictEqual(told(followers), [[], []])
      yield* cluster.pass("5 seconds")
      const leaves = Array.from({ length: 49 }, (_, n) => `- user-${n + 1} dropped`)
      for (const seen of told(followers)) {
        assert.deepStrictEqual(seen.toSorted(), [...leaves, "~ user-0 online"].toSorted())
      }
      for (const node of [b!, c!]) assert.deepStrictEqual(yield* shown(node), ["user-0 online x [phone online x]"])
    })
  )

  it.effect("P7: a session that is back on another node within the grace period has not left", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b] = cluster.nodes
      const { end, session } = yield* track(a!, alice, tab)
      yield* cluster.pass(500)
      const followers = yield* Effect.forEach(cluster.nodes, follow)
      yield* end("lost")
      yield* cluster.pass("10 seconds")
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [lost])
      yield* track(b!, alice, tab)
      yield* cluster.pass("1 minute")
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [here])
      for (const seen of told(followers)) assert.deepStrictEqual(seen, ["~ alice online", "~ alice online"])
      assert.isFalse(yield* a!.run(session.heartbeat))
    })
  )

  it.effect("P7: a client of a node that crashed is back on another before anybody has noticed, and has not left", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b, c] = cluster.nodes
      yield* track(a!, alice, tab)
      yield* cluster.pass(500)
      const followers = yield* Effect.forEach([b!, c!], follow)
      yield* a!.crash
      yield* cluster.pass("2 seconds")
      yield* a!.start
      // The node it comes to has just started, and does not know what others know of its client.
      yield* track(a!, alice, tab)
      yield* cluster.pass("1 minute")
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [here])
      for (const seen of told(followers)) assert.isEmpty(seen.filter((line) => !line.startsWith("~")))
    })
  )

  it.effect("a node that stops leaves its devices as lost; who comes back in time has not left", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b, c] = cluster.nodes
      yield* track(a!, alice, tab)
      yield* track(a!, User.ref`bob`, tab)
      yield* cluster.pass(500)
      const followers = yield* Effect.forEach([b!, c!], follow)
      yield* a!.stop
      yield* cluster.pass(200)
      for (const node of [b!, c!]) {
        assert.deepStrictEqual(yield* shown(node), [lost, "bob online x lost [tab online x lost]"])
      }
      yield* track(c!, alice, tab)
      yield* cluster.pass("1 minute")
      for (const node of [b!, c!]) assert.deepStrictEqual(yield* shown(node), [here])
      for (const seen of told(followers)) {
        assert.deepStrictEqual(seen, ["~ alice online", "~ bob online", "~ alice online", "- bob dropped"])
      }
    })
  )

  it.effect(
    "P8: during a split each side shows those it reaches, and everybody again within four seconds of its end",
    () =>
      Effect.gen(function* () {
        const cluster = yield* start(["a", "b", "c", "d", "e"])
        for (const node of cluster.nodes) yield* track(node, User.ref.make(node.name), tab)
        yield* cluster.pass(500)
        const all = ["a", "b", "c", "d", "e"].map((name) => `${name} online x [tab online x]`)
        yield* cluster.split(["a", "b"], ["c", "d", "e"])
        yield* cluster.pass("10 seconds")
        for (const [n, node] of cluster.nodes.entries()) {
          assert.deepStrictEqual((yield* shown(node)).toSorted(), n < 2 ? all.slice(0, 2) : all.slice(2))
        }
        yield* cluster.heal
        yield* cluster.pass("4 seconds")
        for (const node of cluster.nodes) assert.deepStrictEqual((yield* shown(node)).toSorted(), all)
        const [first, ...others] = yield* Effect.forEach(cluster.nodes, shown)
        for (const other of others) assert.deepStrictEqual(other, first)
      })
  )

  it.effect("P14: wall clocks that are an hour apart change nothing", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b, c] = cluster.nodes
      yield* a!.jump("-1 hour")
      yield* b!.jump("1 hour")
      yield* track(a!, alice, tab)
      yield* a!.run(Effect.flatMap(Online, (online) => online.set(general, User.ref`bob`, tab)))
      yield* cluster.pass("50 seconds")
      for (const node of cluster.nodes) assert.strictEqual((yield* shown(node)).length, 2)
      const { end } = yield* track(c!, alice, tab)
      yield* cluster.pass("20 seconds")
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [here])
      yield* end("lost")
      yield* cluster.pass("14 seconds")
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [lost])
      yield* cluster.pass("7 seconds")
      for (const node of cluster.nodes) assert.deepStrictEqual(yield* shown(node), [])
    })
  )

  it.effect("F6: a node that slept too long is another afterwards, and its users are there once", () =>
    Effect.gen(function* () {
      const cluster = yield* start(3)
      const [a, b] = cluster.nodes
      yield* track(a!, alice, tab)
      yield* track(a!, User.ref`bob`, tab)
      yield* cluster.pass(500)
      yield* a!.freeze("15 seconds")
      yield* cluster.pass("12 seconds")
      assert.deepStrictEqual(yield* shown(b!), [])
      // One of its clients has not waited.
      yield* track(b!, alice, { ...tab, meta: "y" })
      yield* cluster.pass("30 seconds")
      for (const node of cluster.nodes) {
        assert.deepStrictEqual((yield* shown(node)).toSorted(), [
          "alice online y [tab online y]",
          "bob online x [tab online x]"
        ])
      }
    })
  )

  it.effect("BUG22: a rolling restart of five nodes leaves no zombies within ten seconds, and nobody has left", () =>
    Effect.gen(function* () {
      const cluster = yield* start(["a", "b", "c", "d", "e"])
      for (const node of cluster.nodes) yield* track(node, User.ref.make(node.name), tab)
      yield* cluster.pass(500)
      const last = yield* follow(cluster.node("e"))
      for (const [n, node] of cluster.nodes.slice(0, 4).entries()) {
        yield* n % 2 === 0 ? node.stop : node.crash
        const other = cluster.nodes[n + 1]!
        const moved = yield* track(other, User.ref.make(node.name), tab)
        yield* cluster.pass(300)
        yield* node.start
        yield* moved.end("lost")
        yield* track(node, User.ref.make(node.name), tab)
        yield* cluster.pass("1 second")
      }
      yield* cluster.pass("10 seconds")
      const all = ["a", "b", "c", "d", "e"].map((name) => `${name} online x [tab online x]`)
      for (const node of cluster.nodes) assert.deepStrictEqual((yield* shown(node)).toSorted(), all)
      assert.isEmpty(last().filter((line) => !line.startsWith("~")))
    })
  )

  it.effect("BUG21: two nodes of thousands of members that meet have all of them", () =>
    Effect.gen(function* () {
      const cluster = yield* start(2)
      yield* cluster.split(["a"], ["b"])
      yield* cluster.pass("10 seconds")
      const count = 2_000
      for (const node of cluster.nodes) {
        yield* node.run(
          Effect.flatMap(Online, (online) =>
            Effect.forEach(
              Array.from({ length: count }, (_, n) => User.ref.make(`${node.name}-${n}`)),
              (user) => online.track(general, user, tab),
              { discard: true }
            )
          )
        )
      }
      yield* cluster.heal
      yield* cluster.pass("4 seconds")
      for (const node of cluster.nodes) assert.strictEqual((yield* shown(node)).length, 2 * count)
    })
  )
})
