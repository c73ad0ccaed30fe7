/**
 * What nodes know of each other's entries, however many there are and whatever does not fit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cluster, MemoryBus } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { Seal } from "../../src/cluster/internal/packet.ts"
import { CurrentPeers, type Table } from "../../src/internal/peers.ts"

class Board extends Context.Service<Board, Table>()("entries/Board") {
  static readonly layer = Layer.effect(
    Board,
    Effect.flatMap(CurrentPeers, (peers) => peers!.table("board", () => {}))
  )
}

const layer = (node: string) => Board.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "entries", node })))
type Node = TestCluster.Node<Board | Cluster.Cluster>

const set = (node: Node, entries: Iterable<readonly [string, Schema.Json]>) =>
  node.run(
    Effect.map(Board, (table) => {
      for (const [key, value] of entries) table.set(key, value)
    })
  )

const known = (node: Node) =>
  node.run(Effect.map(Board, (table) => Array.from(table.others(), ({ key }) => key).toSorted()))

const isStale = (node: Node) =>
  node.run(Effect.flatMap(Cluster.Cluster, ({ nodes }) => Effect.map(nodes, (all) => all.some(({ stale }) => stale))))

describe("entries of other nodes", () => {
  it.effect(
    "all of them are known to a node that starts, though they are more than may be on their way at once",
    () =>
      Effect.gen(function* () {
        const cluster = yield* TestCluster.make({ nodes: 2, layer })
        const [a, b] = cluster.nodes
        yield* cluster.network.set({ answer: "2 millis" })
        const total = 12_000
        const value = "x".repeat(1_000)
        for (let from = 0; from < total; from += 1_000) {
          yield* set(
            a!,
            Array.from({ length: 1_000 }, (_, i) => [`${from + i}`, value] as const)
          )
          yield* cluster.pass("200 millis")
        }
        yield* b!.stop
        yield* b!.start
        yield* cluster.pass("3 seconds")
        assert.strictEqual((yield* known(b!)).length, total)
        assert.isFalse(yield* isStale(b!))
      }),
    { timeout: 120_000 }
  )

  it.effect("a part that is lost is asked for again", () =>
    Effect.gen(function* () {
      const cluster = yield* TestCluster.make({ nodes: 2, layer, network: { maxPayload: 4_096 } })
      const [a, b] = cluster.nodes
      const total = 600
      yield* set(
        a!,
        Array.from({ length: total }, (_, i) => [`${i}`, "x".repeat(100)] as const)
      )
      yield* cluster.pass("1 second")
      yield* b!.stop
      yield* cluster.network.set({ loss: 0.2 })
      yield* b!.start
      yield* cluster.pass("60 seconds")
      yield* cluster.network.set({ loss: 0 })
      yield* cluster.pass("5 seconds")
      assert.strictEqual((yield* known(b!)).length, total)
    })
  )

  it.effect("one that no packet can hold is left out, and what is set later comes", () =>
    Effect.gen(function* () {
      const cluster = yield* TestCluster.make({ nodes: 2, layer, network: { maxPayload: 65_536 } })
      const [a, b] = cluster.nodes
      yield* set(a!, [
        ["large", "small"],
        ["small", 1]
      ])
      yield* cluster.pass("2 seconds")
      yield* set(a!, [["large", "x".repeat(70_000)]])
      yield* cluster.pass("2 seconds")
      yield* set(a!, [["later", 1]])
      yield* cluster.pass("2 seconds")
      assert.deepStrictEqual(yield* known(b!), ["later", "small"])
      assert.isFalse(yield* isStale(b!))
      yield* b!.stop
      yield* b!.start
      yield* cluster.pass("2 seconds")
      assert.deepStrictEqual(yield* known(b!), ["later", "small"])
    })
  )

  it.live("a version that does not exist keeps nobody busy", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make({})
      const node = (name: string) => Layer.build(Layer.fresh(layer(name).pipe(Layer.provide(network.layer(name)))))
      const a = yield* node("a")
      yield* node("b")
      const eve = yield* network.bus("eve")
      const [first, second] = (yield* Context.get(a, Cluster.Cluster).nodes).map(({ epoch }) => epoch)
      const topic = `entries/node/${first}`
      const delta = `delta\t${JSON.stringify({ version: 9, changes: [] })}`
      const { published } = yield* network.counts
      yield* eve.publish(topic, new Seal(undefined).pack(topic, { from: second! }, [delta]))
      yield* Effect.sleep("1.5 seconds")
      assert.isBelow((yield* network.counts).published - published, 30)
    }).pipe(Effect.scoped)
  )
})
