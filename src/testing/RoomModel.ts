/**
 * A model of rooms to check one's own against: generated commands, and everything there is to see compared after each.
 *
 * What rooms promise is in the model: who is in, who is refused and why, what every subscriber is sent, which rooms are
 * live, what is left behind. What a kind of room adds to that, its specification says. Needs no test runner, no socket
 * and nothing of Node; time is that of `TestClock`.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Events } from "../rooms/RoomApi.ts"
import type { Rooms } from "../rooms/Rooms.ts"
import * as Commands from "./internal/commands.ts"
import { died, leftovers, makeFixture, play } from "./internal/runner.ts"
import { RoomModelError } from "./RoomModelError.ts"
import type { Command, RoomSpec } from "./RoomSpec.ts"

export { RoomModelError } from "./RoomModelError.ts"
export type {
  Command,
  JoinHow,
  LeaveHow,
  ModelBody as Body,
  ModelHandlers as Handlers,
  ModelMember as Member,
  ModelRequest as Request,
  ModelRoom as Room,
  RoomSpec as Spec,
  View
} from "./RoomSpec.ts"

/** How many commands are tried, and how. */
export interface CheckOptions extends Arbitrary.CheckOptions {
  /** Commands of one run; 40 by default. */
  readonly maxLength?: number | undefined
}

const defaultLength = 40

/** Lists of commands for `run`, for property tests of one's own. */
export const commands = <E, Ev extends Events, Data, R>(
  spec: RoomSpec<E, Ev, Data, R>,
  options: { readonly maxLength?: number | undefined } = {}
): Arbitrary.Arbitrary<ReadonlyArray<Command<Ev, Data>>> => Commands.commands(spec, options.maxLength ?? defaultLength)

/**
 * Does commands to rooms that were just made, and to their model, and compares after each. Fails with `RoomModelError`
 * at the first difference.
 *
 * The clock must be a `TestClock`, which it moves on, when the rooms are made. What handlers do must be done when no
 * fiber can go on without time passing: what waits for a promise or timer of the platform is seen too late.
 */
export const run = <E, Ev extends Events, Data, R = never>(
  rooms: Rooms<E, Ev, Data>,
  spec: RoomSpec<E, Ev, NoInfer<Data>, R>,
  list: ReadonlyArray<Command<Ev, NoInfer<Data>>>
): Effect.Effect<void, RoomModelError, R> => Effect.suspend(() => play(rooms, spec, list, makeFixture()))

/**
 * Checks rooms against their model, 100 runs of up to 40 commands by default; fails with the shrunk commands.
 *
 * Each run has rooms, clock, random numbers, metrics and log of its own: the layer is built for it and torn down after
 * it. `rooms` is the service, or any effect that makes rooms from what the layer provides.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Ref, RoomApi, Rooms } from "effect-rooms"
 * import { RoomModel } from "effect-rooms/testing"
 *
 * class Board extends Ref.Entity<Board>()("Board") {}
 * const BoardApi = RoomApi.make("board", { key: Board, events: { viewers: Schema.Int }, member: Schema.String })
 * class Boards extends Rooms.Service<Boards>()("app/Boards", BoardApi, { capacity: 3 }) {}
 * const BoardsLive = Boards.toLayer((board) =>
 *   Effect.succeed({ onJoin: () => Effect.flatMap(board.size, (size) => board.broadcast("viewers", size)) })
 * )
 *
 * const check = RoomModel.check(Boards, BoardsLive, {
 *   capacity: 3,
 *   data: ["Alice", "Bob"],
 *   body: (board) => ({ onJoin: () => board.broadcast("viewers", board.members.length) })
 * })
 *
 * await Effect.runPromise(check)
 * ```
 */
export const check = <E, Ev extends Events, Data, ROut, LE = never, RIn = never>(
  rooms: Effect.Effect<Rooms<E, Ev, Data>, never, NoInfer<ROut> | Scope.Scope>,
  layer: Layer.Layer<ROut, LE, RIn>,
  spec: RoomSpec<E, Ev, NoInfer<Data>, NoInfer<ROut>>,
  { maxLength = defaultLength, ...options }: CheckOptions = {}
): Effect.Effect<void, RoomModelError | LE, RIn> => {
  const once = (list: ReadonlyArray<Command<Ev, Data>>) => {
    const fixture = makeFixture()
    return Effect.flatMap(rooms, (made) => play(made, spec, list, fixture)).pipe(
      Effect.scoped,
      Effect.provide(Layer.fresh(layer).pipe(Layer.provideMerge(services(fixture.log)))),
      Effect.andThen(leftovers(fixture)),
      Effect.provideService(Metric.MetricRegistry, new Map()),
      Random.withSeed("effect-rooms"),
      Effect.catchDefect((defect) => Effect.fail(died(fixture, defect))),
      Effect.as(true)
    )
  }
  const defaults = { size: 10 * maxLength, maxShrinks: 1_000 }
  const checking = Effect.suspend(() =>
    Arbitrary.checkEffect(commands(spec, { maxLength }), once, { ...defaults, ...options })
  )
  return Effect.flatMap(checking, (result): Effect.Effect<void, RoomModelError | LE> => {
    if (result._tag === "Passed") return Effect.void
    if (result._tag !== "Falsified" || result.failure._tag === "ReturnedFalse") {
      return Effect.die(new Error(Arbitrary.formatCheckFailure(result)))
    }
    const { error } = result.failure
    return Effect.fail(error instanceof RoomModelError ? replayedBy(error, result.replay) : error)
  })
}

/** The same failure, and how to run it again. */
const replayedBy = (error: RoomModelError, replay: string): RoomModelError => {
  const { actual, cause, commands: list, expected, log, observable } = error
  return new RoomModelError({
    commands: list,
    observable,
    expected,
    actual,
    log,
    replay,
    ...(cause !== undefined && { cause })
  })
}

/** The test clock, and a logger in place of all others that keeps what it is told. */
const services = (log: Array<string>) => {
  const keep = Logger.make(({ cause, logLevel, message }) => {
    const text = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    log.push(cause.reasons.length === 0 ? `${logLevel} ${text}` : `${logLevel} ${text}: ${Cause.pretty(cause)}`)
  })
  return Layer.merge(TestClock.layer(), Logger.layer([keep]))
}
