/**
 * Plays drawn schedules on clusters made for them, and finds the shortest that fails.
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { EventBus } from "../../cluster/EventBus.ts"
import { TestClusterError } from "../TestClusterError.ts"
import type { CheckOptions, Deed, Run, Spec } from "../TestClusterSpec.ts"
import { doPart } from "./clusterFaults.ts"
import { simulate, type Simulation } from "./clusterMake.ts"
import { allFaults, drawSchedule, format, type Item, type Schedule, shrinkWith } from "./clusterSchedule.ts"

/** Milliseconds between two looks at what always holds. */
const lookEvery = 500
const mostLogged = 60

/** What is wrong, and why. */
interface Failure {
  readonly problem: string
  readonly cause?: unknown
}

const failureOf = (what: string, cause: Cause.Cause<unknown>): Failure => {
  const error = Cause.squash(cause)
  if (error instanceof TestClusterError) return { problem: error.problem }
  return { problem: `${what}: ${error instanceof Error ? error.message : String(error)}`, cause: error }
}

/** An act that was begun. */
interface Begun {
  readonly item: Item<unknown>
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** Which life of its node it belongs to. */
  readonly isAlive: () => boolean
}

/** One run of a schedule. */
class Play<R, S, RIn> {
  readonly #spec: Spec<R, S, RIn>
  readonly #simulation: Simulation<R>
  readonly #run: Run<R, S>
  readonly #begun: Array<Begun> = []
  readonly #faults: Array<string> = []

  constructor(spec: Spec<R, S, RIn>, simulation: Simulation<R>, state: S) {
    this.#spec = spec
    this.#simulation = simulation
    this.#run = { cluster: simulation.cluster, state, faults: this.#faults }
  }

  readonly play = Effect.fnUntraced(function* (this: Play<R, S, RIn>, items: ReadonlyArray<Item<Deed<R, S>>>) {
    const { cluster } = this.#run
    for (const [index, item] of items.entries()) {
      yield* this.#passTo(item.at)
      yield* this.#do(item)
      // What is done at one time is done in one step.
      if (items[index + 1]?.at === item.at) continue
      yield* cluster.pass(0)
      yield* this.#look
    }
    yield* cluster.heal
    yield* Effect.mapError(cluster.settle, ({ problem }): Failure => ({ problem }))
    yield* this.#look
    yield* this.#checkBegun
    if (this.#spec.atRest !== undefined) yield* this.#holds("at rest", this.#spec.atRest)
  })

  readonly #passTo = Effect.fnUntraced(function* (this: Play<R, S, RIn>, time: number) {
    const { cluster } = this.#run
    while (cluster.now < time) {
      yield* cluster.pass(Math.min(lookEvery, time - cluster.now))
      if (cluster.now < time) yield* this.#look
    }
  })

  get #look(): Effect.Effect<void, Failure> {
    const { always } = this.#spec
    return Effect.andThen(this.#checkDied, always === undefined ? Effect.void : this.#holds("always", always))
  }

  #holds(what: string, invariant: (run: Run<R, S>) => Effect.Effect<void, unknown>): Effect.Effect<void, Failure> {
    return Effect.catchCause(
      Effect.suspend(() => invariant(this.#run)),
      (cause) => Effect.fail(failureOf(what, cause))
    )
  }

  readonly #do = Effect.fnUntraced(function* (this: Play<R, S, RIn>, item: Item<Deed<R, S>>) {
    const { cluster } = this.#run
    if (item.on === undefined) return yield* this.#doPart(item)
    const { deed } = item.on
    const node = cluster.node(item.on.node)
    if (node.status !== "up") return
    const { starts } = node
    const fiber = yield* node.fork(Effect.suspend(() => deed.run({ ...this.#run, node })))
    this.#begun.push({ item, fiber, isAlive: () => node.starts === starts && node.status === "up" })
  })

  #doPart(item: Item<unknown>): Effect.Effect<void> {
    const { calm, cluster, nodes } = this.#simulation
    this.#faults.push(format(item))
    const split = (groups: ReadonlyArray<ReadonlyArray<string>>) => cluster.split(...groups)
    return doPart[item.act]!({ network: cluster.network, nodes, calm, split }, item.args as object)
  }

  /** No act has failed. */
  get #checkDied(): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      for (const { fiber, isAlive, item } of this.#begun) {
        const exit = fiber.pollUnsafe()
        if (exit === undefined || Exit.isSuccess(exit) || !isAlive()) continue
        return Effect.fail(failureOf(format(item), exit.cause))
      }
      return Effect.void
    })
  }

  /** All acts are done whose nodes are there still. */
  get #checkBegun(): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const open = this.#begun.find(({ fiber, isAlive }) => isAlive() && fiber.pollUnsafe() === undefined)
      return open === undefined ? Effect.void : Effect.fail({ problem: `${format(open.item)}: is not done` })
    })
  }
}

const playOnce = <R, S, RIn>(
  spec: Spec<R, S, RIn>,
  schedule: Schedule<Deed<R, S>>
): Effect.Effect<void, TestClusterError, Exclude<RIn, EventBus>> => {
  let log: ReadonlyArray<string> = []
  let timed: ReadonlyArray<Item<Deed<R, S>>> = []
  const { items, nodes, seed } = schedule
  return Effect.gen(function* () {
    const state = spec.state()
    const made = yield* simulate({ nodes, seed, layer: (node) => spec.layer(node, state), network: spec.network })
    const keepLog = Effect.sync(() => {
      log = made.cluster.log
    })
    // Times are those of the log, whose first lines are about the start.
    const begun = made.cluster.now
    timed = items.map((item) => ({ ...item, at: item.at + begun }))
    yield* Effect.onError(new Play(spec, made, state).play(timed), () => keepLog)
  }).pipe(
    Effect.scoped,
    Effect.catchCause((cause) => {
      const failure = cause.reasons.find((reason) => reason._tag === "Fail")
      const { problem, cause: why } = failure?.error ?? failureOf("the run died", cause)
      const error = new TestClusterError({
        problem,
        seed,
        drawn: items.length,
        schedule: timed.map(format),
        log: log.slice(-mostLogged),
        ...(why !== undefined && { cause: why })
      })
      return Effect.fail(error)
    })
  )
}

/** The failure of the shortest schedule that was found. */
const shrink = Effect.fnUntraced(function* <R, S, RIn>(
  spec: Spec<R, S, RIn>,
  schedule: Schedule<Deed<R, S>>,
  error: TestClusterError,
  maxShrinks: number
): Effect.fn.Return<TestClusterError, never, Exclude<RIn, EventBus>> {
  const shrinking = shrinkWith(schedule)
  let shortest = error
  for (let tried = 0; tried < maxShrinks; tried++) {
    const shorter = shrinking.next()
    if (shorter === undefined) break
    const exit = yield* Effect.exit(playOnce(spec, shorter))
    shrinking.tried(shorter, Exit.isFailure(exit))
    if (Exit.isFailure(exit)) shortest = Cause.squash(exit.cause) as TestClusterError
  }
  const { cause, log, problem, schedule: lines, seed } = shortest
  return new TestClusterError({
    problem,
    seed,
    schedule: lines,
    log,
    drawn: schedule.items.length,
    ...(cause !== undefined && { cause })
  })
})

export const checkSchedules = Effect.fnUntraced(function* <R, S, RIn>(
  spec: Spec<R, S, RIn>,
  options: CheckOptions = {}
): Effect.fn.Return<void, TestClusterError, Exclude<RIn, EventBus>> {
  const { nodes = { min: 2, max: 4 } } = spec
  const { length = 40, maxShrinks = 500, runs = 100 } = options
  const drawing = {
    length,
    faults: spec.faults ?? allFaults,
    nodes: typeof nodes === "number" ? { min: nodes, max: nodes } : nodes,
    acts: Object.entries(spec.acts).map(([name, draw]) => ({ name, draw, weight: spec.weights?.[name] ?? 1 }))
  }
  const replay = yield* Effect.orDie(Config.option(Config.Int("SEED")))
  const [first, count] = Option.isSome(replay)
    ? [replay.value, 1]
    : [options.seed ?? (yield* Random.nextIntBetween(0, 2 ** 30)), runs]
  for (let seed = first; seed < first + count; seed++) {
    const schedule = drawSchedule(seed, drawing)
    const exit = yield* Effect.exit(playOnce(spec, schedule))
    if (Exit.isSuccess(exit)) continue
    const error = Cause.squash(exit.cause) as TestClusterError
    return yield* yield* shrink(spec, schedule, error, maxShrinks)
  }
})
