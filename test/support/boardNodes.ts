/**
 * Nodes of one process with rooms of one kind, over a simulated network.
 */
import { Rooms } from "effect-rooms"
import { Cluster, MemoryBus } from "effect-rooms/cluster"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BoardApi, type BoardRoom, type BoardRooms, Place } from "./rooms.ts"

/** Long enough for what one node tells to be known on the others, with some to spare. */
export const settled = Effect.sleep(400)
/** As long as a node may be silent until the others do without it, at most. */
export const untilDown = Effect.sleep("10 seconds")

export const red = Place.ref`red`
export const blue = Place.ref`blue`

type Boards = Effect.Effect<BoardRooms, never, Scope.Scope>

/** A node with rooms; everything of it goes with `stop`. */
export const boardNode = Effect.fnUntraced(function* (
  network: MemoryBus.Network,
  name: string,
  boards: Boards = Rooms.make(BoardApi)
) {
  const scope = yield* Effect.acquireRelease(Scope.make(), (made) => Scope.close(made, Exit.void))
  const cluster = Layer.provide(
    Cluster.layer({ namespace: "test", node: name, secret: "unsigned" }),
    network.layer(name)
  )
  const context = yield* Scope.provide(Layer.build(Layer.fresh(cluster)), scope)
  const rooms = yield* Effect.provideContext(Scope.provide(boards, scope), context)
  const service = Context.get(context, Cluster.Cluster)
  return { name, rooms, room: rooms.get(red), epoch: yield* service.epoch, stop: Scope.close(scope, Exit.void) }
})

/** Nodes on a network without faults, each knowing the others. */
export const boardNodes = Effect.fnUntraced(function* (names: ReadonlyArray<string>, options?: MemoryBus.Options) {
  const network = yield* MemoryBus.make(options)
  const nodes = yield* Effect.forEach(names, (name) => boardNode(network, name))
  yield* settled
  return { network, nodes }
})

export const countOf = (room: BoardRoom): Effect.Effect<number> => Effect.map(room.count, ({ members }) => members)

/** What everybody in a room is known by: the name of the node, the member and its data. */
export const namesOf = (
  room: BoardRoom,
  nodes: ReadonlyArray<{ readonly name: string; readonly epoch: string }>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(room.everyone, (members) =>
    members.map(({ data, id, node }) => `${nodes.find(({ epoch }) => epoch === node)?.name} ${id} ${data}`)
  )

/** Collects what a room's counts are from now on. */
export const follow = Effect.fnUntraced(function* (room: BoardRoom, pause: Effect.Effect<void> = Effect.void) {
  const seen: Array<number> = []
  const reading = Stream.runForEach(room.countChanges, ({ members }) => {
    seen.push(members)
    return pause
  })
  const fiber = yield* Effect.forkChild(reading, { startImmediately: true })
  return { seen, fiber, stop: Fiber.interrupt(fiber) }
})

/** A member that is known by its id alone. */
export const somebody = (id: string): { readonly as: { readonly id: string } } => ({ as: { id } })
