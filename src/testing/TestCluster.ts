/**
 * A cluster to test against: nodes with your layers in one process, a simulated network between them, and one virtual
 * time. Nodes crash, stop, freeze and start again, the network and the broker do all that networks and brokers do, and a
 * run is the same each time for the same seed.
 *
 * The code of the nodes is the real one; only what is below the bus is simulated. Needs no test runner.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventBus } from "../cluster/EventBus.ts"
import { checkSchedules } from "./internal/clusterCheck.ts"
import { makeCluster } from "./internal/clusterMake.ts"
import type { TestClusterError } from "./TestClusterError.ts"
import type { CheckOptions, Options, Spec, TestCluster } from "./TestClusterSpec.ts"

export { TestClusterError } from "./TestClusterError.ts"
export type { Act, CheckOptions, Deed, Fault, Node, Options, Run, Spec, TestCluster } from "./TestClusterSpec.ts"

/**
 * Starts nodes, one after the other; they stop when the scope closes. Dies when a layer fails, and with a `RangeError`
 * when there are no nodes.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Channels, Ref } from "effect-rooms"
 * import { Cluster } from "effect-rooms/cluster"
 * import { TestCluster } from "effect-rooms/testing"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 * class Chat extends Channels.Service<Chat>()("app/Chat", { key: Room, message: Schema.String }) {}
 * const general = Room.ref`general`
 *
 * const program = Effect.gen(function*() {
 *   const cluster = yield* TestCluster.make({
 *     nodes: 2,
 *     layer: (node) => Chat.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "app", node })))
 *   })
 *   const [a, b] = cluster.nodes
 *   const lines = yield* b!.run(Effect.flatMap(Chat, (chat) => chat.subscribe(general)))
 *   yield* cluster.split(["a"], ["b"])
 *   yield* a!.run(Effect.flatMap(Chat, (chat) => chat.publish(general, "lost")))
 *   yield* cluster.heal
 *   yield* cluster.settle
 *   return yield* b!.run(lines.envelopes.take)
 * }).pipe(Effect.scoped)
 *
 * console.log(await Effect.runPromise(program)) // Gap { missed: 1, reason: "network" }
 * ```
 */
export const make: <R, RIn = EventBus>(
  options: Options<R, RIn>
) => Effect.Effect<TestCluster<R>, never, Scope.Scope | Exclude<RIn, EventBus>> = makeCluster

/**
 * Tries drawn schedules: acts of yours on nodes, at random times, and faults. Fails at the first that breaks what has to
 * hold, with as few of its acts as still do, and the seed to see it again.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Channels, Ref } from "effect-rooms"
 * import { Cluster } from "effect-rooms/cluster"
 * import { TestCluster } from "effect-rooms/testing"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 * class Chat extends Channels.Service<Chat>()("app/Chat", { key: Room, message: Schema.Int }) {}
 * const general = Room.ref`general`
 *
 * const check = TestCluster.check({
 *   layer: (node) => Chat.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "app", node }))),
 *   state: () => ({ published: 0 }),
 *   acts: {
 *     publish: () => ({
 *       run: ({ state }) => Effect.flatMap(Chat, (chat) => chat.publish(general, ++state.published))
 *     }),
 *     listen: () => ({ run: () => Effect.flatMap(Chat, (chat) => chat.subscribe(general)) })
 *   },
 *   always: ({ cluster, state }) =>
 *     cluster.nodes.length > 1 && state.published <= 40 ? Effect.void : Effect.fail("that is too much")
 * })
 *
 * await Effect.runPromise(check)
 * ```
 */
export const check: <R, S, RIn = EventBus>(
  spec: Spec<R, S, RIn>,
  options?: CheckOptions
) => Effect.Effect<void, TestClusterError, Exclude<RIn, EventBus>> = checkSchedules
