/**
 * What the fault test of real processes has found, each as the shortest schedule that shows it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Envelope, Ref } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

class Room extends Ref.Entity<Room>()("Room") {}
class Chat extends Channels.Service<Chat>()("bugs/Chat", { key: Room, message: Schema.String }) {}

const red = Room.ref`red`
const make = (nodes = 2) =>
  TestCluster.make({
    nodes,
    layer: (node) => Chat.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "bugs", node })))
  })
type Node = TestCluster.Node<Chat | Cluster.Cluster>

/** Reads a key of a node from now on. */
const listen = Effect.fnUntraced(function* (node: Node) {
  const seen: Array<string> = []
  const read = (item: Envelope.Envelope<string> | Envelope.Gap) =>
    Effect.sync(() => void seen.push(item._tag === "Gap" ? `gap ${item.missed}` : item.message))
  const lines = yield* node.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
  yield* node.fork(Effect.ignore(Effect.forever(Effect.flatMap(lines.envelopes.take, read))))
  return seen
})

const publish = (node: Node, text: string) => node.run(Effect.flatMap(Chat, (chat) => chat.publishAck(red, text)))
const leave = Effect.flatMap(Cluster.Cluster, (cluster) => cluster.leave)

/** A node loses its connection to the bus, which is there for the others, and hears again after a while. */
const deafen = Effect.fnUntraced(function* (cluster: TestCluster.TestCluster<Chat>, node: string) {
  yield* cluster.network.late(node, "1 second")
  yield* cluster.network.cut(node)
  yield* cluster.pass("100 millis")
})

describe("found by the fault test of real processes", () => {
  it.effect(
    "what a node has published while another was deaf is told as missing, though it died before it could say so",
    () =>
      Effect.gen(function* () {
        const cluster = yield* make()
        const [a, b] = cluster.nodes
        const seen = yield* listen(a!)
        yield* publish(b!, "one")
        yield* cluster.pass("100 millis")
        yield* deafen(cluster, "a")
        assert.strictEqual((yield* publish(b!, "lost")).reached, "everyone")
        yield* b!.crash
        yield* cluster.pass("15 seconds")
        assert.deepStrictEqual(seen, ["one", "gap 0"])
      })
  )

  it.effect("so are the last words of a node that was saying goodbye", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      const seen = yield* listen(a!)
      yield* publish(b!, "one")
      yield* cluster.pass("100 millis")
      yield* b!.run(leave)
      yield* cluster.pass("100 millis")
      yield* deafen(cluster, "a")
      assert.strictEqual((yield* publish(b!, "lost")).reached, "everyone")
      yield* b!.crash
      yield* cluster.pass("15 seconds")
      assert.deepStrictEqual(seen, ["one", "gap 0"])
    })
  )

  it.effect("P12: a publish reaches nobody but this node while the bus is away, however long that takes", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      const seen = yield* listen(a!)
      const publishing = Effect.map(publish(b!, "text"), ({ reached }) => reached)
      yield* cluster.network.crash
      const reached: Array<string> = []
      // For the last of them the other node has been down for long, and nobody is left that listens.
      for (const pause of ["100 millis", "5 seconds", "15 seconds"] as const) {
        yield* cluster.pass(pause)
        reached.push(yield* publishing)
      }
      assert.deepStrictEqual(reached, ["local-only", "local-only", "local-only"])
      yield* cluster.heal
      yield* cluster.settle
      assert.strictEqual(yield* publishing, "everyone")
      yield* cluster.pass("100 millis")
      assert.deepStrictEqual(seen, ["gap 3", "text"])
    })
  )

  it.effect("a subscription that is younger than a node's death has no gap when the node is found to be dead", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      yield* publish(b!, "one")
      yield* b!.crash
      yield* cluster.pass("100 millis")
      const seen = yield* listen(a!)
      yield* cluster.pass("15 seconds")
      assert.deepStrictEqual(seen, [])
    })
  )

  it.effect("a node that dies and has told everything before leaves no gap", () =>
    Effect.gen(function* () {
      const cluster = yield* make(3)
      const [a, b] = cluster.nodes
      const seen = yield* listen(a!)
      yield* publish(b!, "one")
      yield* cluster.pass("100 millis")
      yield* deafen(cluster, "a")
      yield* publish(b!, "lost")
      yield* cluster.pass("5 seconds")
      yield* b!.crash
      yield* cluster.pass("15 seconds")
      assert.deepStrictEqual(seen, ["one", "gap 1"])
    })
  )
})
