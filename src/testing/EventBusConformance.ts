/**
 * The clauses every event bus has to keep, to check an adapter of one's own against: delivery, payloads, subscriptions,
 * and brokers that die, stand still, cut connections and come back.
 *
 * Needs no test runner and nothing of Node; time is that of the `Clock`, so a simulated bus is checked with `TestClock`.
 * What is done to a broker, its user says; a clause that needs what is not given is skipped by name.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { EventBus } from "../cluster/EventBus.ts"
import { EventBusConformanceError } from "./EventBusConformanceError.ts"
import { Bench, type BenchFaults } from "./internal/bench.ts"
import type { ClauseSpec } from "./internal/clause.ts"
import { connectionClauses } from "./internal/connectionClauses.ts"
import { deliveryClauses } from "./internal/deliveryClauses.ts"
import { Difference } from "./internal/difference.ts"
import { outageClauses } from "./internal/outageClauses.ts"
import { payloadClauses } from "./internal/payloadClauses.ts"
import { subscriptionClauses } from "./internal/subscriptionClauses.ts"

export { EventBusConformanceError } from "./EventBusConformanceError.ts"

/** What can be done to a broker; what is left out skips the clauses that need it. */
export interface Faults<R = never> {
  /** Ends the broker at once, without a word to anybody. */
  readonly kill?: Effect.Effect<unknown, never, R> | undefined
  /** Starts a broker that was killed, at the same address and with nothing of what it knew; done when it can be used. */
  readonly restart?: Effect.Effect<unknown, never, R> | undefined
  /** Lets the broker stand still with all its connections open, as SIGSTOP does. */
  readonly stall?: Effect.Effect<unknown, never, R> | undefined
  /** Lets a broker go on that stands still. */
  readonly resume?: Effect.Effect<unknown, never, R> | undefined
  /** Ends the connections of all nodes, as an administrator does; nodes may connect again at once. */
  readonly cut?: Effect.Effect<unknown, never, R> | undefined
  /** Ends the connections of all nodes and refuses so many attempts to connect. */
  readonly refuseDials?: ((attempts: number) => Effect.Effect<unknown, never, R>) | undefined
  /** Lets the broker refuse subscriptions of one topic, and answers which. */
  readonly refuse?: Effect.Effect<string, never, R> | undefined
  /** Lets it take them again. */
  readonly allow?: Effect.Effect<unknown, never, R> | undefined
}

/** How long things may take. */
export interface Bounds {
  /** Until a message has arrived; 2 seconds by default. */
  readonly delivered?: Duration.Input | undefined
  /** Until publishing, subscribing and leaving are answered, whatever the broker does; 6 seconds by default. */
  readonly answered?: Duration.Input | undefined
  /** Until a node knows that its bus does not work; 3.5 seconds by default. */
  readonly noticed?: Duration.Input | undefined
  /** Until everything works after the broker does; 2.5 seconds by default. */
  readonly recovered?: Duration.Input | undefined
  /** How long nothing has to arrive to be sure that nothing does; 100 milliseconds by default. */
  readonly quiet?: Duration.Input | undefined
}

/** The bus to check: nodes on one broker. */
export interface Options<E = never, R = never> {
  /** The bus of one more node; built anew for each, and torn down when the node leaves. No two names are the same. */
  readonly node: (name: string) => Layer.Layer<EventBus, E, R>
  readonly faults?: Faults<R> | undefined
  readonly bounds?: Bounds | undefined
}

/** One sentence that holds for every event bus. */
export interface Clause<R = never> {
  readonly name: string
  /** Why it cannot be checked here; `undefined` where it can. */
  readonly skipped: string | undefined
  /** Checks it, with nodes of its own, and leaves a broker that works. One at a time on one broker. */
  readonly run: Effect.Effect<void, EventBusConformanceError, R>
  /** The bugs and traps of other systems it would have caught, as the project numbers them. */
  readonly bugs: ReadonlyArray<string>
}

const specs: ReadonlyArray<ClauseSpec> = [
  ...deliveryClauses,
  ...payloadClauses,
  ...subscriptionClauses,
  ...outageClauses,
  ...connectionClauses
]

/**
 * Lists the clauses, to be run as tests of one's own.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MemoryBus } from "effect-rooms/cluster"
 * import { EventBusConformance } from "effect-rooms/testing"
 *
 * const network = await Effect.runPromise(MemoryBus.make())
 * for (const clause of EventBusConformance.clauses({ node: network.layer })) {
 *   if (clause.skipped !== undefined) console.log(`skipped: ${clause.name} (${clause.skipped})`)
 *   else await Effect.runPromise(clause.run)
 * }
 * ```
 */
export const clauses = <E = never, R = never>(options: Options<E, R>): ReadonlyArray<Clause<R>> =>
  specs.map((spec): Clause<R> => {
    const missing = (spec.needs ?? []).filter((fault) => options.faults?.[fault] === undefined)
    const skipped = missing.length === 0 ? undefined : `needs faults that are not given: ${missing.join(", ")}`
    return {
      name: spec.name,
      skipped,
      bugs: spec.bugs ?? [],
      run: skipped === undefined ? run(spec, options) : Effect.void
    }
  })

/** How checking all clauses went, when none failed. */
export interface Report {
  readonly passed: ReadonlyArray<string>
  readonly skipped: ReadonlyArray<string>
}

/** Checks all clauses one after the other; fails with the first that does not hold. */
export const check = Effect.fnUntraced(function* <E = never, R = never>(
  options: Options<E, R>
): Effect.fn.Return<Report, EventBusConformanceError, R> {
  const all = clauses(options)
  for (const clause of all) yield* clause.run
  const names = (skipped: boolean) =>
    all.filter((clause) => (clause.skipped !== undefined) === skipped).map(({ name }) => name)
  return { passed: names(false), skipped: names(true) }
})

const boundsOf = (bounds: Bounds = {}) => ({
  delivered: Duration.fromInputUnsafe(bounds.delivered ?? Duration.seconds(2)),
  answered: Duration.fromInputUnsafe(bounds.answered ?? Duration.seconds(6)),
  noticed: Duration.fromInputUnsafe(bounds.noticed ?? Duration.millis(3_500)),
  recovered: Duration.fromInputUnsafe(bounds.recovered ?? Duration.millis(2_500)),
  quiet: Duration.fromInputUnsafe(bounds.quiet ?? Duration.millis(100))
})

const run = <E, R>(spec: ClauseSpec, options: Options<E, R>): Effect.Effect<void, EventBusConformanceError, R> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const context = Context.omit(Scope.Scope)(yield* Effect.context<R | Scope.Scope>()) as Context.Context<R>
    const { given, remedy } = faultsOf(options.faults ?? {}, context)
    const bench = new Bench({
      build: (name) => Effect.provideContext(build(options.node(name)), context),
      faults: given,
      bounds: boundsOf(options.bounds),
      tag: Math.floor((yield* Random.next) * 2 ** 40).toString(36),
      scope
    })
    // Before the nodes leave: one that waits for its broker may leave then.
    yield* Effect.ensuring(spec.check(bench), remedy)
  }).pipe(
    Effect.scoped,
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.fail(failure(spec.name, cause))
    )
  )

/** With nothing shared with other nodes but what the layer closes over. */
const build = <E, R>(layer: Layer.Layer<EventBus, E, R>) =>
  Effect.gen(function* () {
    const memoMap = yield* Layer.makeMemoMap
    const built = yield* Layer.buildWithMemoMap(layer, memoMap, yield* Effect.scope)
    return Context.get(built, EventBus)
  })

const unavailable = Effect.die(new Error("a clause uses a fault it does not declare"))

/** The faults, and what makes good those that a clause has left. */
const faultsOf = <R>(
  faults: Faults<R>,
  context: Context.Context<R>
): { readonly given: BenchFaults; readonly remedy: Effect.Effect<void> } => {
  const provide = <A>(effect: Effect.Effect<A, never, R> | undefined): Effect.Effect<A> =>
    effect === undefined ? unavailable : Effect.provideContext(effect, context)
  const pending = new Set<Effect.Effect<unknown>>()
  const harm = <A>(fault: Effect.Effect<A, never, R> | undefined, remedy: Effect.Effect<unknown>) =>
    Effect.suspend(() => {
      pending.add(remedy)
      return provide(fault)
    })
  const heal = (remedy: Effect.Effect<unknown>) =>
    Effect.andThen(
      remedy,
      Effect.sync(() => void pending.delete(remedy))
    )
  const [restart, resume, allow] = [provide(faults.restart), provide(faults.resume), provide(faults.allow)]
  const given: BenchFaults = {
    kill: Effect.asVoid(harm(faults.kill, restart)),
    restart: heal(restart),
    stall: Effect.asVoid(harm(faults.stall, resume)),
    resume: heal(resume),
    cut: Effect.asVoid(provide(faults.cut)),
    refuseDials: (attempts) => Effect.asVoid(provide(faults.refuseDials?.(attempts))),
    refuse: harm(faults.refuse, allow),
    allow: heal(allow)
  }
  return { given, remedy: Effect.suspend(() => Effect.forEach(pending, heal, { discard: true })) }
}

const failure = (clause: string, cause: Cause.Cause<Difference>): EventBusConformanceError => {
  const error = Cause.squash(cause)
  if (!(error instanceof Difference)) {
    return new EventBusConformanceError({
      clause,
      observable: "the clause",
      expected: "success",
      actual: Cause.pretty(cause),
      cause: error
    })
  }
  const { actual, expected, observable } = error
  if (error.cause === undefined) return new EventBusConformanceError({ clause, observable, expected, actual })
  return new EventBusConformanceError({ clause, observable, expected, actual, cause: Cause.squash(error.cause) })
}
