/**
 * What is one over all nodes, and what is each node's own: the table of docs/cluster.md, as far as it is about rooms.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, Rooms } from "effect-rooms"
import { Cluster, MemoryBus } from "effect-rooms/cluster"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { boardNode, countOf, red, settled, somebody } from "../support/boardNodes.ts"
import { BoardApi, type BoardEvent, type BoardRoom, Place } from "../support/rooms.ts"
import { inVirtualTime } from "../support/virtual.ts"

const over = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.effect(name, () => inVirtualTime(Effect.scoped(test())))

/** Two nodes whose rooms have a body; what the handlers of each are told. */
const twoNodes = Effect.fnUntraced(function* (options: Rooms.Options<Place, typeof BoardApi.events, string> = {}) {
  const network = yield* MemoryBus.make()
  const node = Effect.fnUntraced(function* (name: string) {
    const told: Array<string> = []
    let said = 0
    const made = yield* boardNode(
      network,
      name,
      Rooms.make(BoardApi, options, (room) =>
        Effect.succeed({
          onJoin: ({ id }) => Effect.sync(() => void told.push(`${id} joined`)),
          onLeave: ({ id }, reason) => Effect.sync(() => void told.push(`${id} ${reason}`)),
          onMessage: () => room.broadcast("counted", ++said)
        })
      )
    )
    return { ...made, told }
  })
  const nodes = [yield* node("a"), yield* node("b")] as const
  yield* settled
  return nodes
})

/** What a room's subscribers see from now on. */
const seenIn = Effect.fnUntraced(function* (room: BoardRoom) {
  const seen: Array<BoardEvent> = []
  const events = yield* room.subscribe()
  yield* Effect.forkScoped(events.runForEach((event) => Effect.sync(() => void seen.push(event))))
  return seen
})

const reasonOf = <A, E extends { readonly reason: { readonly _tag: string } }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

describe("over nodes", () => {
  over("each runs its own body: its state, its members, what they publish; what it broadcasts reaches all", () =>
    Effect.gen(function* () {
      const [a, b] = yield* twoNodes()
      yield* a.room.open("first", somebody("alice"))
      yield* b.room.open("second", somebody("bob"))
      const seen = yield* seenIn(b.room)
      yield* settled
      yield* a.room.publish("said", "hello", somebody("alice"))
      yield* a.room.publish("said", "hello", somebody("alice"))
      yield* settled
      yield* b.room.publish("said", "hello", somebody("bob"))
      yield* settled
      assert.deepStrictEqual(
        seen.map(({ data }) => data),
        [1, 2, 1]
      )
      assert.deepStrictEqual([a.told, b.told], [["alice joined"], ["bob joined"]])
    })
  )

  over("a room with a body that nobody of this node is in is closed to what members publish here", () =>
    Effect.gen(function* () {
      const [a, b] = yield* twoNodes()
      yield* a.room.open("first", somebody("alice"))
      yield* settled
      assert.strictEqual(yield* reasonOf(b.room.publish("said", "hello", somebody("bob"))), "RoomClosed")
    })
  )

  over("capacity is that of each node, and counts are of all", () =>
    Effect.gen(function* () {
      const [a, b] = yield* twoNodes({ capacity: 1 })
      yield* a.room.open("first", somebody("alice"))
      yield* settled
      yield* b.room.open("second", somebody("bob"))
      assert.strictEqual(yield* reasonOf(b.room.open("third", somebody("carol"))), "RoomFull")
      yield* settled
      assert.deepStrictEqual([yield* a.room.size, yield* countOf(a.room)], [1, 2])
    })
  )

  over("list and close are of this node alone", () =>
    Effect.gen(function* () {
      const [a, b] = yield* twoNodes()
      yield* a.room.open("first", somebody("alice"))
      yield* b.room.open("second", somebody("bob"))
      yield* settled
      yield* a.room.close("over")
      yield* settled
      assert.deepStrictEqual([yield* a.rooms.list, yield* a.rooms.listAll], [[], [{ ref: red, members: 1 }]])
      assert.deepStrictEqual([yield* b.room.size, b.told], [1, ["bob joined"]])
    })
  )

  over("the history of a key is what this node published, or heard while somebody listened here", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make()
      const node = (name: string) => {
        const cluster = Cluster.layer({ namespace: "test", node: name, secret: "unsigned" })
        return Effect.flatMap(Layer.build(Layer.fresh(Layer.provide(cluster, network.layer(name)))), (context) =>
          Effect.provideContext(Channels.make({ key: Place, message: Schema.String, replay: 10 }), context)
        )
      }
      const [a, b] = [yield* node("a"), yield* node("b")]
      yield* settled
      const history = Effect.scoped(
        Effect.gen(function* () {
          const lines = yield* b.subscribe(red)
          const exit = yield* Effect.exit(Effect.timeout(lines.take, "1 second"))
          return Exit.isSuccess(exit) ? exit.value : "nothing"
        })
      )
      yield* a.publish(red, "unheard")
      yield* settled
      assert.strictEqual(yield* history, "nothing")
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* b.subscribe(red)
          yield* a.publish(red, "heard")
          yield* settled
        })
      )
      yield* a.publish(red, "unheard again")
      yield* settled
      assert.strictEqual(yield* history, "heard")
    })
  )
})
