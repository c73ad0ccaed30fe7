/**
 * How long it takes until all nodes of a simulated cluster know the same, with the times nobody has changed: over many
 * seeds, so that it happens at any moment between two heartbeats.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Entries } from "../support/boards.ts"
import { drawFrom } from "../../src/testing/internal/clusterDraw.ts"
import { layerOf, Life, maxPayload, type Services, State } from "../support/simulation.ts"

type Sim = TestCluster.TestCluster<Services>
type Node = TestCluster.Node<Services | Cluster.Cluster>

const seeds = Array.from({ length: 40 }, (_, seed) => seed)

interface Scene {
  readonly cluster: Sim
  readonly state: State
  readonly draw: () => number
}

/** Nodes that know each other, each with an entry, at any moment between two heartbeats. */
const each = (test: (scene: Scene) => Generator<Effect.Effect<unknown, unknown, Scope.Scope>, void>) =>
  Effect.forEach(
    seeds,
    (seed) =>
      Effect.scoped(
        Effect.gen(function* () {
          const state = new State()
          const draw = drawFrom(seed)
          const cluster = yield* TestCluster.make({
            nodes: 2 + Math.floor(draw() * 4),
            seed,
            layer: (node) => layerOf(node, state, false),
            network: { maxPayload }
          })
          for (const node of cluster.nodes) yield* set(node, "1", `of ${node.name}`)
          yield* cluster.settle
          yield* cluster.pass(draw() * 4_000)
          yield* Effect.gen(() => test({ cluster, state, draw }))
          assert.isUndefined(state.ledger.problem)
        })
      ),
    { discard: true }
  )

const set = (node: Node, key: string, value: string) =>
  node.run(
    Effect.map(Entries, (board) => {
      board.own.set(key, value)
      board.table.set(key, value)
    })
  )

const statusesOf = (node: Node) => node.run(Effect.flatMap(Cluster.Cluster, ({ nodes }) => nodes))

/** Every node that is up takes exactly those to be up, and has their entries. */
const agree = Effect.fnUntraced(function* ({ cluster, state }: Scene) {
  const up = cluster.nodes.filter(({ status }) => status === "up")
  const present = yield* Effect.forEach(up, (node) =>
    node.run(
      Effect.all({
        by: Effect.map(Life, ({ by }) => by),
        epoch: Effect.flatMap(Cluster.Cluster, ({ epoch }) => epoch)
      })
    )
  )
  const epochs = present.map(({ epoch }) => epoch).toSorted()
  for (const node of up) {
    const seen = (yield* statusesOf(node)).filter(({ status }) => status === "up").map(({ epoch }) => epoch)
    assert.deepStrictEqual(seen.toSorted(), epochs, `what ${node.name} sees`)
  }
  state.boards.check(present)
  assert.isUndefined(state.ledger.problem)
})

const someOf = ({ cluster, draw }: Scene): ReadonlyArray<string> =>
  cluster.nodes.flatMap(({ name }) => (draw() < 0.5 ? [name] : []))

describe("a cluster", () => {
  it.effect("P8: agrees four seconds after a split of any length is healed, whichever way it went", () =>
    each(function* (scene) {
      const { cluster, draw } = scene
      const some = someOf(scene)
      if (draw() < 0.5) yield* cluster.split(some)
      else {
        const [from, to] = [some[0] ?? "a", some[1] ?? "b"]
        if (from !== to) yield* cluster.network.partition(from, to)
      }
      yield* cluster.pass(1_000 + draw() * 20_000)
      yield* set(cluster.node("a"), "2", "meanwhile")
      yield* cluster.pass(100)
      yield* cluster.heal
      yield* cluster.pass("4 seconds")
      yield* agree(scene)
    })
  )

  for (const how of ["killed and started again", "held up"] as const) {
    it.effect(`K6: takes nobody for gone while the broker is ${how} within six seconds`, () =>
      each(function* (scene) {
        const { cluster, draw } = scene
        const { crash, restart, resume, stall } = cluster.network
        const all = cluster.nodes.length
        const nobodyIsDown = Effect.fnUntraced(function* (seconds: number) {
          for (let at = 0; at < seconds; at += 0.25) {
            yield* cluster.pass("250 millis")
            for (const node of cluster.nodes) {
              const up = (yield* statusesOf(node)).filter(({ status }) => status === "up")
              assert.strictEqual(up.length, all, `what ${node.name} sees`)
            }
          }
        })
        yield* how === "held up" ? stall() : crash
        yield* nobodyIsDown(1 + draw() * 5)
        yield* how === "held up" ? resume() : restart
        yield* nobodyIsDown(12)
        yield* agree(scene)
      })
    )
  }

  it.effect("P7: knows a node that crashed while the broker was away within ten seconds of its return", () =>
    each(function* (scene) {
      const { cluster, draw } = scene
      yield* cluster.network.crash
      yield* cluster.pass(1_000 + draw() * 2_000)
      yield* cluster.nodes[Math.floor(draw() * cluster.nodes.length)]!.crash
      yield* cluster.pass(draw() * 3_000)
      yield* cluster.network.restart
      yield* cluster.pass("9 seconds")
      yield* agree(scene)
    })
  )

  it.effect("P7: knows ten seconds after a crash that the node is gone, and has told it once", () =>
    each(function* (scene) {
      const { cluster, draw } = scene
      yield* cluster.nodes[Math.floor(draw() * cluster.nodes.length)]!.crash
      yield* cluster.pass("10 seconds")
      yield* agree(scene)
    })
  )

  it.effect(
    "BUG22: knows a node that crashed and came back as another, ten seconds later, and nothing of the first",
    () =>
      each(function* (scene) {
        const { cluster, draw } = scene
        const node = cluster.nodes[Math.floor(draw() * cluster.nodes.length)]!
        yield* node.crash
        yield* cluster.pass(draw() * 2_000)
        yield* node.start
        yield* set(node, "3", "again")
        yield* cluster.pass("10 seconds")
        yield* agree(scene)
      })
  )

  it.effect("P12: works 2.5 seconds after a broker that was gone is back, and agrees a heartbeat later", () =>
    each(function* (scene) {
      const { cluster, draw } = scene
      yield* cluster.network.crash
      yield* cluster.pass(100 + draw() * 20_000)
      yield* cluster.network.restart
      yield* cluster.pass("2.5 seconds")
      for (const node of cluster.nodes) {
        const health = yield* node.run(Effect.flatMap(Cluster.Cluster, (service) => service.health))
        assert.strictEqual(health._tag, "Up", `the bus of ${node.name}`)
      }
      yield* cluster.pass("4 seconds")
      yield* agree(scene)
    })
  )

  it.effect("F6: takes nobody out who paused for 5 seconds, and takes in whoever slept for 15 within a heartbeat", () =>
    each(function* (scene) {
      const { cluster, draw } = scene
      const before = yield* Effect.forEach(cluster.nodes, statusesOf)
      const node = cluster.nodes[Math.floor(draw() * cluster.nodes.length)]!
      yield* node.freeze("5 seconds")
      yield* cluster.pass("5 seconds")
      yield* cluster.pass("100 millis")
      yield* agree(scene)
      const after = yield* Effect.forEach(cluster.nodes, statusesOf)
      assert.deepStrictEqual(
        after.map((nodes) => nodes.map(({ epoch }) => epoch)),
        before.map((nodes) => nodes.map(({ epoch }) => epoch))
      )
      yield* node.freeze("15 seconds")
      yield* cluster.pass("15 seconds")
      yield* cluster.pass("4 seconds")
      yield* agree(scene)
    })
  )

  it.effect("P14: does not care what the clocks of the wall say", () =>
    each(function* (scene) {
      const { cluster, draw, state } = scene
      const told = state.boards.changes
      for (const node of cluster.nodes) yield* node.jump(draw() < 0.5 ? "1 hour" : "-1 hour")
      yield* cluster.pass("20 seconds")
      yield* agree(scene)
      assert.strictEqual(state.boards.changes, told)
    })
  )
})
