/**
 * Does commands to rooms and to their model, and compares all there is to see after each.
 *
 * Every command takes a millisecond of the test clock: what is caused by a virtual sleep has happened, with everything
 * that follows from it, when the clock has been adjusted. So nothing here waits and nothing polls.
 */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Subscription } from "../../channels/Subscription.ts"
import type { Events, RoomEvent } from "../../rooms/RoomApi.ts"
import type { Rooms } from "../../rooms/Rooms.ts"
import { RoomModelError } from "../RoomModelError.ts"
import type { Command, RoomSpec } from "../RoomSpec.ts"
import { format } from "./commands.ts"
import { Model, type Sent } from "./model.ts"
import { drain, type Outcome, System, type TestConnection } from "./system.ts"

/** How long a policy may take, in milliseconds of the test clock. */
const patience = 60_000
const mostLogged = 50

/** What a difference is, beside the commands that lead to it. */
interface Difference {
  readonly observable: string
  readonly expected: unknown
  readonly actual: unknown
  readonly cause?: Cause.Cause<unknown> | undefined
}

/** Fails a comparison; the runner adds the commands. */
class Differs {
  readonly _tag = "Differs"
  readonly difference: Difference
  constructor(difference: Difference) {
    this.difference = difference
  }
}

/** What `Equal.equals` says, without the hashes that it makes of arrays and records. */
const equal = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, n) => equal(item, b[n]))
  if (!isRecord(a) || !isRecord(b)) return Equal.equals(a, b)
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

const same = (observable: string, expected: unknown, actual: unknown): Effect.Effect<void, Differs> =>
  equal(expected, actual) ? Effect.void : Effect.fail(new Differs({ observable, expected, actual }))

/** How many bodies and handlers of a kind have died; the counter is one of the metrics of rooms. */
const defectsOf = (kind: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (all) =>
    all
      .filter(({ attributes, id }) => id === "effect_rooms_room_defects" && attributes?.["kind"] === kind)
      .reduce((sum, { state }) => sum + (state as Metric.CounterState<number>).count, 0)
  )

/** Somebody who listens to a room, and the id by which a publish leaves it out. */
interface Listener<Ev extends Events> {
  readonly room: string
  readonly id: string
  readonly subscription: Subscription<RoomEvent<Ev>>
}

/** Somebody who listens to a room from the beginning, and what it was sent in the room's present life. */
interface Observer<Ev extends Events> extends Listener<Ev> {
  events: ReadonlyArray<RoomEvent<Ev>>
  life: number
  position: number
}

/** What outlives the rooms of one run. */
export interface Fixture {
  readonly connections: Map<string, TestConnection>
  readonly log: Array<string>
  readonly done: Array<() => string>
}

export const makeFixture = (): Fixture => ({ connections: new Map(), log: [], done: [] })

class Run<E, Ev extends Events, Data, R> {
  readonly #spec: RoomSpec<E, Ev, Data, R>
  readonly #model: Model<E, Ev, Data, R>
  readonly #system: System<E, Ev, Data>
  readonly #connected = new Map<string, { readonly id: string; readonly scope: Scope.Closeable }>()
  readonly #listeners: Array<Listener<Ev>> = []
  readonly #observers: Array<Observer<Ev>> = []

  constructor(rooms: Rooms<E, Ev, Data>, spec: RoomSpec<E, Ev, Data, R>, connections: Map<string, TestConnection>) {
    this.#spec = spec
    this.#model = new Model(spec)
    this.#system = new System(rooms, connections)
  }

  /** An observer in every room, before anything happens. */
  readonly open = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>) {
    for (const room of this.#model.roomNames) {
      const subscription = yield* this.#system.listen(room, undefined)
      this.#observers.push({ room, id: subscription.id, subscription, events: [], life: 0, position: 0 })
    }
    yield* this.#connect()
  })

  /** Every member who is connected listens to every room, as its connection. */
  readonly #connect = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>) {
    for (const member of this.#model.memberNames) {
      const id = this.#model.idOf(member)
      const before = this.#connected.get(member)
      if (before !== undefined && (before.id !== id || !this.#model.isConnected(member))) {
        yield* Scope.close(before.scope, Exit.void)
        this.#listeners.splice(0, Infinity, ...this.#listeners.filter((listener) => listener.id !== before.id))
        this.#connected.delete(member)
      }
      if (this.#connected.has(member) || !this.#model.isConnected(member)) continue
      const scope = yield* Scope.fork(yield* Effect.scope)
      for (const room of this.#model.roomNames) {
        const listening = this.#system.listen(room, this.#system.connection(id))
        this.#listeners.push({ room, id, subscription: yield* Scope.provide(listening, scope) })
      }
      this.#connected.set(member, { id, scope })
    }
  })

  readonly step = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, command: Command<Ev, Data>) {
    const outcome = yield* this.#act(command)
    const expected = this.#model.run(command, outcome.at, outcome.nobody)
    if (command._tag === "Pass") {
      yield* TestClock.adjust(command.millis)
      this.#model.passTo(outcome.at + command.millis)
    }
    yield* this.#compare(outcome, expected)
    if (command._tag === "Disconnect") yield* this.#connect()
  })

  /** Runs until the command is done and everything it causes has happened. */
  readonly #act = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, command: Command<Ev, Data>) {
    const acting = Effect.andThen(
      Effect.sleep(1),
      this.#system.run(command, (member) => this.#model.idOf(member))
    )
    const fiber = yield* Effect.forkChild(acting, { startImmediately: true })
    for (let passed = 0; fiber.pollUnsafe() === undefined && passed < patience; passed++) yield* TestClock.adjust(1)
    if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
    yield* Fiber.interrupt(fiber)
    const difference = { observable: "answer", expected: "within a minute", actual: "none" }
    return yield* Effect.fail(new Differs(difference))
  })

  readonly #compare = Effect.fnUntraced(function* (
    this: Run<E, Ev, Data, R>,
    { answer, cause }: Outcome,
    expected: Outcome["answer"]
  ) {
    if (answer !== undefined && answer !== expected) {
      return yield* Effect.fail(new Differs({ observable: "answer", expected, actual: answer, cause }))
    }
    for (const name of this.#model.roomNames) yield* this.#compareMembers(name)
    yield* this.#compareRest()
    for (const observer of this.#observers) {
      yield* this.#compareEvents(observer)
      yield* this.#checkInvariant(observer)
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
      const { waiting } = this.#system.connection(id)
      yield* same(`callbacks that wait for the end of ${id}`, this.#model.callbacks(member), waiting)
    }
  })

  /** The observer is sent everything; every other listener the same, but for what leaves it out. */
  readonly #compareEvents = Effect.fnUntraced(function* (this: Run<E, Ev, Data, R>, observer: Observer<Ev>) {
    const { id, room: name, subscription } = observer
    const room = this.#model.room(name)
    const foretold = room.sent.splice(0)
    const observed: Array<Sent<Ev>> = []
    for (const entry of yield* drain(subscription)) {
      if (entry._tag === "Gap") return yield* same(`events that ${name} sent to an observer`, "no gap", entry)
      yield* same(`position of an event of ${name}`, ++observer.position, entry.roomSeq)
      observed.push({ message: entry.message, except: entry.except })
    }
    if (observer.life !== room.lives) observer.events = []
    observer.life = room.lives
    observer.events = [...observer.events, ...observed.map(({ message }) => message)]
    const sent = this.#model.foretells ? foretold : observed
    const listeners = this.#listeners.filter((listener) => listener.room === name)
    for (const listener of [
      { ...observer, id, name: "an observer" },
      ...listeners.map((it) => ({ ...it, name: it.id }))
    ]) {
      const expected = sent.filter(({ except }) => !except.includes(listener.id)).map(({ message }) => message)
      const own = listener.subscription === subscription
      const actual = own ? observed.map(({ message }) => message) : (yield* drain(listener.subscription)).map(messageOf)
      yield* same(`events that ${name} sent to ${listener.name}`, expected, actual)
    }
    const missing = foretold.filter((event) => !observed.some((other) => equal(event, other)))
    yield* same(`events that ${name} did not send`, [], missing)
  })

  readonly #checkInvariant = Effect.fnUntraced(function* (
    this: Run<E, Ev, Data, R>,
    { events, room: name }: Observer<Ev>
  ) {
    const { invariant } = this.#spec
    if (invariant === undefined) return
    const room = this.#system.room(name)
    const view = { ref: room.ref, name, members: yield* room.members, events }
    const exit = yield* Effect.exit(Effect.suspend(() => invariant(view)))
    if (Exit.isSuccess(exit)) return
    const error = Cause.squash(exit.cause)
    const actual = error instanceof Error ? error.message : error
    yield* Effect.fail(
      new Differs({ observable: `invariant of ${name}`, expected: "holds", actual, cause: exit.cause })
    )
  })
}

const messageOf = <A>(entry: { readonly _tag: "Message"; readonly message: A } | { readonly _tag: "Gap" }): unknown =>
  entry._tag === "Gap" ? entry : entry.message

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
    const defects = yield* defectsOf(rooms.api.name)
    const run = new Run(rooms, spec, fixture.connections)
    yield* run.open()
    for (const command of commands) {
      fixture.done.push(() => format(command))
      const exit = yield* Effect.exit(run.step(command))
      // Handlers that died are the reason of other differences.
      const died = (yield* defectsOf(rooms.api.name)) - defects
      yield* same("bodies and handlers that died", 0, died)
      yield* exit
    }
  }).pipe(
    Effect.scoped,
    Effect.catchTag("Differs", ({ difference }) => Effect.fail(toError(fixture, difference)))
  )

/** Everything is over: nothing of the connections may be left. */
export const leftovers = (fixture: Fixture): Effect.Effect<void, RoomModelError> =>
  Effect.suspend(() => {
    const left = Array.from(fixture.connections.values()).filter(({ waiting }) => waiting > 0)
    const actual = left.map(({ id }) => id)
    if (left.length === 0) return Effect.void
    return Effect.fail(toError(fixture, { observable: "connections stopped rooms wait for", expected: [], actual }))
  })

/** What the specification, a layer or the library died of. */
export const died = (fixture: Fixture, defect: unknown): RoomModelError =>
  toError(fixture, {
    observable: "the run",
    expected: "ends",
    actual: `died: ${String(defect)}`,
    cause: Cause.die(defect)
  })

const toError = ({ done, log }: Fixture, { actual, cause, expected, observable }: Difference) =>
  new RoomModelError({
    commands: done.map((show) => show()),
    observable,
    expected,
    actual,
    log: log.slice(-mostLogged),
    ...(cause && { cause: Cause.squash(cause) })
  })
