/**
 * Traps that drawn schedules do not come upon: no two of their messages are alike, and there are few of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, Ref } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

class Room extends Ref.Entity<Room>()("Room") {}
class Chat extends Channels.Service<Chat>()("traps/Chat", { key: Room, message: Schema.String }) {}
const red = Room.ref`red`

const make = (nodes: number) =>
  TestCluster.make({
    nodes,
    layer: (node) => Chat.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "traps", node })))
  })

describe("a cluster", () => {
  it.effect("TRAP16: the same words twice from each of two nodes are four messages for everybody", () =>
    Effect.gen(function* () {
      const cluster = yield* make(3)
      const [a, b] = cluster.nodes
      const lines = yield* Effect.forEach(cluster.nodes, (node) =>
        node.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
      )
      const twice = Effect.flatMap(Chat, (chat) => Effect.andThen(chat.publish(red, "yes"), chat.publish(red, "yes")))
      yield* a!.fork(twice)
      yield* b!.fork(twice)
      yield* cluster.pass("1 second")
      assert.deepStrictEqual(
        lines.map(({ pending }) => pending),
        [4, 4, 4]
      )
    })
  )

  it.effect(
    "BUG15: nothing waits for a broker that is gone, however much is published, and nothing old comes after it",
    () =>
      Effect.gen(function* () {
        const cluster = yield* make(2)
        const [a, b] = cluster.nodes
        const lines = yield* b!.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
        yield* cluster.network.crash
        yield* cluster.pass("1 second")
        const reached: Array<string> = []
        const ask = Effect.flatMap(Chat, (chat) => chat.publishAck(red, "lost"))
        for (let second = 0; second < 20; second++) {
          const some = Effect.flatMap(Chat, (chat) =>
            Effect.forEach(Array.from({ length: 999 }), () => chat.publish(red, "lost"), { discard: true })
          )
          yield* a!.run(some)
          yield* a!.fork(Effect.map(ask, (ack) => reached.push(ack.reached)))
          yield* cluster.pass("1 second")
          assert.isAtMost((yield* cluster.network.counts).inFlight, 10)
          assert.isAtMost(a!.timers, 12)
          assert.deepStrictEqual(reached, Array.from({ length: second + 1 }).fill("local-only"))
        }
        yield* cluster.heal
        yield* cluster.settle
        const item = yield* b!.run(lines.envelopes.take)
        assert.deepStrictEqual([item._tag === "Gap" && item.missed, lines.pending], [20_000, 0])
      })
  )
})
