/**
 * Makes a simulated cluster: a world, a network in it, and nodes that are driven from outside of both.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Cluster } from "../../cluster/Cluster.ts"
import type { EventBus } from "../../cluster/EventBus.ts"
import * as MemoryBus from "../../cluster/MemoryBus.ts"
import { TestClusterError } from "../TestClusterError.ts"
import type { Node, Options, TestCluster } from "../TestClusterSpec.ts"
import { disagreement } from "./clusterAgreement.ts"
import { ClusterNode } from "./clusterNode.ts"
import { names } from "./clusterSchedule.ts"
import { drawFrom } from "./clusterDraw.ts"
import { World } from "./clusterWorld.ts"

const defaults: MemoryBus.Options = { latency: { min: 1, max: 5 }, answer: { min: 1, max: 3 } }
const flawless: MemoryBus.Faults = { latency: 0, answer: 0, loss: 0, duplication: 0, reorder: 0, echo: true }

/** Milliseconds an effect on a node may take. */
const patience = 60_000
/** Milliseconds nodes have to agree, how often they are asked, and how long the last losses take to be told. */
const agreement = 30_000
const askEvery = 50
const tellLosses = 6_000

const namesOf = (nodes: number | ReadonlyArray<string>): ReadonlyArray<string> => {
  const list = typeof nodes === "number" ? Array.from(names.slice(0, Math.max(0, nodes))) : nodes
  const count = typeof nodes === "number" ? nodes : new Set(nodes).size
  if (list.length > 0 && list.length === count) return list
  throw new RangeError(`nodes have to be 1 to ${names.length}, or names that differ`)
}

/** A cluster, and what drives it. */
export interface Simulation<R> {
  readonly cluster: TestCluster<R>
  readonly world: World
  readonly nodes: ReadonlyArray<ClusterNode<R | Cluster>>
  /** What the network is like when nothing is wrong. */
  readonly calm: MemoryBus.Faults
}

/** What the platform resumes takes its turn before time goes on. */
const platform = Effect.yieldNow

export const simulate = Effect.fnUntraced(function* <R, RIn>(
  options: Options<R, RIn>
): Effect.fn.Return<Simulation<R>, never, Scope.Scope | Exclude<RIn, EventBus>> {
  const { layer, network: faults, nodes: wanted = 3, seed = 0 } = options
  const calm: MemoryBus.Faults = { ...flawless, ...defaults, ...faults }
  const world = new World(drawFrom(seed))
  const services = Context.omit(Scope.Scope)(
    yield* Effect.context<Exclude<RIn, EventBus> | Scope.Scope>()
  ) as Context.Context<never>
  const outside = world.computer("network")
  const network = yield* Effect.provideContext(MemoryBus.make({ ...defaults, ...faults }), outside.context)

  const settleTurns = Effect.andThen(
    Effect.sync(() => world.settle()),
    platform
  )
  const runUntil = (time: number, isDone?: () => boolean) =>
    settleTurns.pipe(Effect.andThen(Effect.sync(() => world.runUntil(time, isDone))), Effect.andThen(settleTurns))
  const finish = <A, E>(node: ClusterNode<R | Cluster>, fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E> => {
    const isOver = () => fiber.pollUnsafe() !== undefined || node.status === "down"
    return Effect.flatMap(runUntil(world.now + patience, isOver), () => {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      const why = node.status === "down" ? "it ended" : `not done within ${patience / 1000} s`
      return Effect.die(new Error(`node ${node.name}: ${why}`))
    })
  }

  const made = namesOf(wanted).map(
    (name) =>
      new ClusterNode<R | Cluster>({
        name,
        world,
        network,
        services,
        layer: layer(name) as Layer.Layer<R | Cluster, unknown, EventBus>
      })
  )
  const nodes = made.map((node): Node<R | Cluster> => ({
    name: node.name,
    get status() {
      return node.status
    },
    get starts() {
      return node.starts
    },
    get timers() {
      return node.timers
    },
    get log() {
      return node.log
    },
    run: (effect) => Effect.suspend(() => finish(node, node.fork(effect))),
    fork: (effect) => Effect.sync(() => node.fork(effect)),
    start: Effect.suspend(() => finish(node, node.start())),
    stop: Effect.suspend(() => finish(node, node.stop())),
    crash: Effect.suspend(() => node.crash()),
    freeze: (duration) => Effect.suspend(() => node.freeze(millisOf(duration))),
    jump: (duration) => Effect.sync(() => node.jump(millisOf(duration)))
  }))

  for (const node of nodes) yield* node.start
  yield* Effect.addFinalizer(() => {
    for (const node of made) node.thaw()
    return Effect.forEach(nodes, (node) => node.stop, { discard: true })
  })

  const pass = (duration: Duration.Input) => Effect.suspend(() => runUntil(world.now + millisOf(duration)))
  const log = () =>
    made.flatMap((node) => node.log).toSorted((one, other) => Number.parseFloat(one) - Number.parseFloat(other))

  const self: TestCluster<R> = {
    seed,
    nodes,
    network,
    get now() {
      return world.now
    },
    get log() {
      return log()
    },
    node: (name) => {
      const node = nodes.find((one) => one.name === name)
      if (node === undefined) throw new Error(`there is no node ${name}`)
      return node
    },
    pass,
    split: (...groups) => {
      const groupOf = (name: string) => groups.find((group) => group.includes(name)) ?? [name]
      const apart = made.flatMap(({ name: from }) =>
        made.flatMap(({ name: to }) =>
          groupOf(from) === groupOf(to) || groupOf(from).includes(to) ? [] : [[from, to] as const]
        )
      )
      return Effect.andThen(
        network.heal(),
        Effect.forEach(apart, ([from, to]) => network.partition(from, to), { discard: true })
      )
    },
    heal: Effect.gen(function* () {
      yield* network.heal()
      yield* network.refuseDials(0)
      yield* network.restart
      yield* network.resume()
      for (const node of made) {
        if (node.status !== "frozen") yield* network.resume(node.name)
        yield* network.late(node.name, 0)
      }
      yield* network.set(calm)
    }),
    settle: Effect.gen(function* () {
      const until = world.now + agreement
      for (let why = disagreement(made); why !== undefined; why = disagreement(made)) {
        if (world.now >= until) {
          return yield* new TestClusterError({ problem: why, seed, schedule: [], drawn: 0, log: log().slice(-50) })
        }
        yield* pass(askEvery)
      }
      yield* pass(tellLosses)
    })
  }
  return { cluster: self, world, nodes: made, calm }
})

export const makeCluster = <R, RIn>(
  options: Options<R, RIn>
): Effect.Effect<TestCluster<R>, never, Scope.Scope | Exclude<RIn, EventBus>> =>
  Effect.map(simulate(options), ({ cluster }) => cluster)

const millisOf = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))
