/**
 * Does commands to rooms and to their model, and compares all there is to see after each.
 *
 * Every command takes a millisecond of the test clock: what is caused by a virtual sleep has happened, with everything
 * that follows from it, when the clock has been adjusted. So nothing here waits and nothing polls.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/testing/TestClock"
import type { Events } from "../../rooms/RoomApi.ts"
import type { Rooms } from "../../rooms/Rooms.ts"
import { RoomModelError } from "../RoomModelError.ts"
import type { Command, RoomSpec } from "../RoomSpec.ts"
import { format } from "./commands.ts"
import { Difference, differs, same } from "./difference.ts"
import { Listeners } from "./listeners.ts"
import { Model } from "./model.ts"
import { type Outcome, System, type TestConnection } from "./system.ts"

/** How long a policy may take. */
const patience = Duration.minutes(1)
const mostLogged = 50

/** What outlives the rooms of one run. */
export interface Fixture {
  readonly connections: Map<string, TestConnection>
  readonly log: Array<string>
  readonly done: Array<Command<Events, unknown>>
}

export const makeFixture = (): Fixture => ({ connections: new Map(), log: [], done: [] })

/** How many bodies and handlers of a kind have died; the counter is one of the metrics of rooms. */
const defectsOf = (kind: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (all) =>
    all
      .filter(({ attributes, id }) => id === "effect_rooms_room_defects" && attributes?.["kind"] === kind)
      .reduce((sum, { state }) => sum + (state as Metric.CounterState<number>).count, 0)
  )

class Run<E, Ev extends Events, Data, R> {
  readonly #spec: RoomSpec<E, Ev, Data, R>
  readonly #model: Model<E, Ev, Data, R>
  readonly #system: System<E, Ev, Data>
  readonly #listeners: Listeners<E, Ev, Data, R>

  constructor(rooms: Rooms<E, Ev, Data>, spec: RoomSpec<E, Ev, Data, R>, connections: Map<string, TestConnection>) {
    this.#spec = spec
    this.#model = new Model(spec)
    this.#system = new System(rooms, connections)
    this.#listeners = new Listeners(this.#model, this.#system)
  }

  get open() {
    return Effect.andThen(this.#listeners.observe(), this.#listeners.connect())
  }

  readonly step = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, command: Command<Ev, Data>) {
    const outcome = yield* this.#act(command)
    const expected = this.#model.run(command, outcome.at, outcome.joined)
    if (command._tag === "Pass") yield* TestClock.adjust(command.millis)
    this.#model.passTo(yield* Clock.currentTimeMillis)
    yield* this.#compare(outcome, expected)
    if (command._tag === "Disconnect") yield* this.#listeners.connect()
  })

  /** Runs until the command is done and everything it causes has happened. */
  readonly #act = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, command: Command<Ev, Data>) {
    const run = this.#system.run(command, (member) => this.#model.idOf(member))
    const fiber = yield* Effect.forkChild(Effect.delay(run, 1), { startImmediately: true })
    yield* TestClock.adjust(1)
    if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(patience)
    if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
    yield* Fiber.interrupt(fiber)
    return yield* differs("answer", "within a minute", "none")
  })

  readonly #compare = Effect.fnUntraced(function* (
    this: Run<E, Ev, Data, R>,
    { answer, cause }: Outcome,
    expected: Outcome["answer"]
  ) {
    if (answer !== undefined && answer !== expected) return yield* differs("answer", expected, answer, cause)
    for (const name of this.#model.roomNames) yield* this.#compareMembers(name)
    yield* this.#compareRest()
    for (const name of this.#model.roomNames) {
      yield* this.#listeners.compare(name)
      yield* this.#checkInvariant(name)
    }
  })

  readonly #compareMembers = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, name: string) {
    const room = this.#system.room(name)
    const places = this.#model.room(name).places.map(({ data, id, joinedAt }) => ({ id, data, joinedAt }))
    const members = (yield* room.members).map(({ data, id, joinedAt }) => ({
      id,
      data,
      joinedAt: DateTime.toEpochMillis(joinedAt)
    }))
    yield* same(`members of ${name}`, places, members)
    yield* same(`size of ${name}`, places.length, yield* room.size)
  })

  readonly #compareRest = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>) {
    const { rooms } = this.#system
    yield* same("actors", this.#model.actors, yield* rooms.actors)
    const sizes = this.#model.roomNames.map((name) => ({ name, size: this.#model.room(name).places.length }))
    const list = (yield* rooms.list).map(({ ref, size }) => ({ name: ref.identifier, size }))
    yield* same("rooms with members", sorted(sizes.filter(({ size }) => size > 0)), sorted(list))
    for (const member of this.#model.memberNames) {
      const id = this.#model.idOf(member)
      const within = (yield* rooms.roomsOf({ id })).map(({ identifier }) => identifier)
      yield* same(`rooms of ${id}`, this.#model.roomsOf(member).toSorted(), within.toSorted())
      const { places, waiting } = this.#system.connection(id)
      yield* same(`callbacks that wait for the end of ${id}`, this.#model.places(member), waiting)
      yield* same(`places that ${id} is charged for`, this.#model.places(member), places)
    }
  })

  readonly #checkInvariant = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, name: string) {
    const { invariant } = this.#spec
    if (invariant === undefined) return
    const room = this.#system.room(name)
    const view = { ref: room.ref, name, members: yield* room.members, events: this.#listeners.events(name) }
    const exit = yield* Effect.exit(Effect.suspend(() => invariant(view)))
    if (Exit.isSuccess(exit)) return
    const error = Cause.squash(exit.cause)
    return yield* differs(`invariant of ${name}`, "holds", error instanceof Error ? error.message : error, exit.cause)
  })
}

const sorted = (sizes: ReadonlyArray<{ readonly name: string; readonly size: number }>) =>
  sizes.toSorted((a, b) => (a.name < b.name ? -1 : 1))

/** Does commands to rooms that were just made, and fails at the first difference. */
export const play = <E, Ev extends Events, Data, R>(
  rooms: Rooms<E, Ev, Data>,
  spec: RoomSpec<E, Ev, Data, R>,
  commands: ReadonlyArray<Command<Ev, Data>>,
  fixture: Fixture
): Effect.Effect<void, RoomModelError, R> =>
  Effect.gen(function* () {
    const before = yield* defectsOf(rooms.api.name)
    const run = new Run(rooms, spec, fixture.connections)
    yield* run.open
    for (const command of commands) {
      fixture.done.push(command)
      const exit = yield* Effect.exit(run.step(command))
      // Handlers that died are the reason of other differences.
      yield* same("bodies and handlers that died", 0, (yield* defectsOf(rooms.api.name)) - before)
      yield* exit
    }
  }).pipe(
    Effect.scoped,
    Effect.catchTag("Difference", (difference) => Effect.fail(toError(fixture, difference)))
  )

/** Everything is over: nothing of the connections may be left. */
export const leftovers = (fixture: Fixture): Effect.Effect<void, RoomModelError> => {
  const waiting = Effect.sync(() => Array.from(fixture.connections.values()).filter((it) => it.waiting > 0))
  return Effect.flatMap(waiting, (left) => {
    const ids = left.map(({ id }) => id)
    return same("connections that stopped rooms wait for", [], ids)
  }).pipe(Effect.mapError((difference) => toError(fixture, difference)))
}

/** What the specification, the rooms' making or their end died of. */
export const died = (fixture: Fixture, defect: unknown): RoomModelError =>
  toError(fixture, new Difference("the run", "ends", `died: ${String(defect)}`, Cause.die(defect)))

const toError = ({ done, log }: Fixture, { actual, cause, expected, observable }: Difference) =>
  new RoomModelError({
    commands: done.map(format),
    observable,
    expected,
    actual,
    log: log.slice(-mostLogged),
    ...(cause && { cause: Cause.squash(cause) })
  })
