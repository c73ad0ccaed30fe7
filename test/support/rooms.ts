/**
 * What the tests of rooms share: a kind of room, connections that can be closed, handlers that note what they are told.
 */
import {
  type Connection,
  type Member,
  type Room,
  RoomApi,
  type RoomError,
  type Rooms,
  type Subscription
} from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Room as Place } from "./channels.ts"

export { Place }

/** `flush` is for tests: what its handler is told comes after everything before it. */
export const BoardApi = RoomApi.make("board", {
  key: Place,
  events: { said: Schema.String, counted: Schema.Int, flush: Schema.Int },
  member: Schema.String
})

type BoardEvents = (typeof BoardApi)["events"]
export type BoardRooms = Rooms.Rooms<Place, BoardEvents, string>
export type BoardRoom = Room.Room<Place, BoardEvents, string>
export type BoardHandlers = Room.Handlers<Place, BoardEvents, string>
export type BoardEvent = RoomApi.RoomEvent<BoardEvents>

/** A connection whose socket the test closes. */
export class FakeConnection implements Connection.Connection {
  readonly id: string
  readonly principal = undefined
  readonly user = undefined
  readonly data = undefined
  readonly remoteAddress = undefined
  readonly #callbacks = new Set<(ending: Subscription.Ending) => void>()
  closed = false
  /** How it will have ended. */
  ending: Subscription.Ending = "clean"
  /** Rooms it has asked for and not given back. */
  rooms = 0
  readonly quota: Subscription.Quota = {
    join: () => {
      this.rooms++
      return "granted"
    },
    leave: () => void this.rooms--,
    charge: () => undefined
  }

  constructor(id: string) {
    this.id = id
  }

  /** Callbacks that wait for the end of this connection. */
  get waiting(): number {
    return this.#callbacks.size
  }

  close = (): void => {
    if (this.closed) return
    this.closed = true
    const callbacks = Array.from(this.#callbacks)
    this.#callbacks.clear()
    for (const callback of callbacks) callback(this.ending)
  }

  onClose = (callback: (ending: Subscription.Ending) => void): (() => void) => {
    if (this.closed) {
      callback(this.ending)
      return () => undefined
    }
    // Each registration is one of its own, also of the same function.
    const registered = (ending: Subscription.Ending) => callback(ending)
    this.#callbacks.add(registered)
    return () => void this.#callbacks.delete(registered)
  }
}

/** Notes what the handlers of rooms are told, and lets a test wait until they were told everything so far. */
export class Notes {
  readonly lines: Array<string> = []
  readonly #flushes = new Map<number, Deferred.Deferred<void>>()
  #flushed = 0

  note = (line: string): Effect.Effect<void> => Effect.sync(() => void this.lines.push(line))

  readonly onJoin = (member: Member.Member<string>) => this.note(`+${member.id} ${member.data}`)
  readonly onLeave = (member: Member.Member<string>, reason: string) => this.note(`-${member.id} ${reason}`)
  readonly onMessage = ({
    member,
    message
  }: {
    readonly member: { readonly id: string }
    readonly message: BoardEvent
  }) => (message.event === "flush" ? this.flushed(message.data) : this.note(`${member.id}: ${message.data}`))

  get handlers(): BoardHandlers {
    return { onJoin: this.onJoin, onLeave: this.onLeave, onMessage: this.onMessage }
  }

  flushed = (number: number): Effect.Effect<void> =>
    Effect.suspend(() => Effect.asVoid(Deferred.succeed(this.#flushes.get(number)!, undefined)))

  /** Returns when the handlers of a live room have been told everything that was there before. */
  flush = (room: BoardRoom): Effect.Effect<void, RoomError.RoomError> =>
    Effect.suspend(() => {
      const number = ++this.#flushed
      const done = Deferred.makeUnsafe<void>()
      this.#flushes.set(number, done)
      return Effect.andThen(room.publish("flush", number, { as: { id: "flush" } }), Deferred.await(done))
    })

  /** What was noted since the last time. */
  taken(): Array<string> {
    return this.lines.splice(0)
  }
}

/** Lets other fibers run until something is so; a defect if that does not come about. */
export const until = (holds: Effect.Effect<boolean>): Effect.Effect<void> => {
  const look = (left: number): Effect.Effect<void> =>
    Effect.flatMap(holds, (held) => {
      if (held) return Effect.void
      return left === 0 ? Effect.die(new Error("does not come about")) : Effect.andThen(Effect.yieldNow, look(left - 1))
    })
  return look(1_000)
}

/** Waits until no actor is left. */
export const noActors = (rooms: BoardRooms): Effect.Effect<void> =>
  until(Effect.map(rooms.actors, (count) => count === 0))

/** How an effect ends, in a word: `ok`, or the reason of the RoomError. */
export const outcome = <A>(effect: Effect.Effect<A, RoomError.RoomError>): Effect.Effect<string> =>
  Effect.match(effect, { onSuccess: () => "ok", onFailure: ({ reason }) => reason._tag })

/** An exit in a word: `ok`, the reason of the RoomError, `interrupted` or `died`. */
export const brief = (exit: Exit.Exit<unknown, RoomError.RoomError>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const failure = Exit.findErrorOption(exit)
  if (Option.isSome(failure)) return failure.value.reason._tag
  return Exit.hasInterrupts(exit) ? "interrupted" : "died"
}

/** Forks and runs up to the first pause. */
export const begin = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkChild(effect, { startImmediately: true })

export const ids = (members: ReadonlyArray<{ readonly id: string }>): ReadonlyArray<string> =>
  members.map(({ id }) => id)

/** Asserts that nothing is left of anybody: members, listings, actors. */
export const traces = (rooms: BoardRooms): Effect.Effect<{ members: number; rooms: number; actors: number }> =>
  Effect.gen(function* () {
    const list = yield* rooms.list
    const members = list.reduce((sum, { size }) => sum + size, 0)
    return { members, rooms: list.length, actors: yield* rooms.actors }
  })

/** What handlers of the tests die of. */
export const boom = new Error("boom")

/** Collects what is logged, and counts what died, in place of all other tests. */
export const watched = <A, E, R>(
  test: (log: Array<string>, defects: Effect.Effect<number>) => Effect.Effect<A, E, R>
) => {
  const log: Array<string> = []
  const collect = Logger.make(({ message }) => void log.push(String(Array.isArray(message) ? message[0] : message)))
  const defects = Effect.map(Metric.snapshot, (all) => {
    const found = all.filter(
      ({ id, attributes }) => id === "effect_rooms_room_defects" && attributes?.["kind"] === "board"
    )
    return found.reduce((sum, { state }) => sum + (state as Metric.CounterState<number>).count, 0)
  })
  return test(log, defects).pipe(
    Effect.provide(Logger.layer([collect])),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}
