/**
 * Generated commands against a pure model of one kind of room (T-MODEL): after every command all observables are equal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms, Subscription } from "effect-rooms"
import * as Arbitrary from "effect/Arbitrary"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { drain } from "../support/channels.ts"
import {
  BoardApi,
  type BoardRooms,
  brief,
  FakeConnection,
  type Membership,
  Notes,
  outcome,
  Place,
  until
} from "../support/rooms.ts"
import { capacity, Command, names, people, RoomsModel } from "../support/RoomsModel.ts"

const idle = 1_000
type Held = { readonly membership: Membership; readonly scope: Scope.Closeable | undefined }

/** The rooms under test, driven with the same words as the model. */
class System {
  readonly held: Array<Held> = []
  readonly rooms: BoardRooms
  readonly notes: ReadonlyMap<string, Notes>
  readonly #people = new Map<string, FakeConnection>()

  constructor(rooms: BoardRooms, notes: ReadonlyMap<string, Notes>) {
    this.rooms = rooms
    this.notes = notes
  }

  room(name: string) {
    return this.rooms.get(Place.ref.make(name))
  }

  who(person: string, id: string): Subscription.Receiver {
    if (person === "carol") return { id }
    const known = this.#people.get(id) ?? new FakeConnection(id)
    this.#people.set(id, known)
    return known
  }

  waiting(id: string): number {
    return this.#people.get(id)?.waiting ?? 0
  }

  readonly join = Effect.fnUntraced(function* (
    this: System,
    name: string,
    as: Subscription.Receiver | undefined,
    data: string,
    how: "join" | "open" | "current"
  ) {
    const room = this.room(name)
    const scope = how === "join" ? yield* Scope.make() : undefined
    const opening =
      how === "current"
        ? Effect.provideService(room.open(data), Subscription.CurrentReceiver, as)
        : scope === undefined
          ? room.open(data, { as })
          : Scope.provide(room.join(data, { as }), scope)
    const exit = yield* Effect.exit(opening)
    if (Exit.isSuccess(exit)) this.held.push({ membership: exit.value, scope })
    return brief(exit)
  })

  /** What it answers, or undefined where the scope answers nothing. */
  readonly leave = Effect.fnUntraced(function* (this: System, { membership, scope }: Held, how: string) {
    if (how === "scope" && scope !== undefined) yield* Scope.close(scope, Exit.void)
    else if (how === "dispose") membership[Symbol.dispose]()
    else return membership.leave()
    return undefined
  })
}

const describeCommand = ({ _tag, ...fields }: Command): string => `${_tag} ${JSON.stringify(fields)}`

const check = (withBody: boolean) =>
  Effect.fnUntraced(function* (input: { readonly commands: ReadonlyArray<Command> }) {
    const notes = new Map(names.map((name) => [name as string, new Notes()]))
    const model = new RoomsModel(withBody)
    let allowed = true
    let counter = 0
    const started = yield* DateTime.now
    const policy = () => Effect.sync(() => allowed)
    const rooms: BoardRooms = yield* Rooms.make(
      BoardApi,
      { capacity, maxIdleTime: idle, canJoin: policy, canPublish: policy },
      withBody
        ? ({ name }) => {
            const { handlers } = notes.get(name)!
            return Effect.succeed(name === names[0] ? handlers : { ...handlers, onMessage: undefined })
          }
        : undefined
    )
    const system = new System(rooms, notes)
    const reader: Subscription.Receiver = { id: "reader" }
    const readers = yield* Effect.forEach(names, (name) =>
      Effect.provideService(system.room(name).subscribe(), Subscription.CurrentReceiver, reader)
    )

    const run = Effect.fnUntraced(function* (command: Command) {
      switch (command._tag) {
        case "Join": {
          const data = `d${++counter}`
          allowed = command.allowed
          const as = command.as === "anonymous" ? undefined : system.who(command.as, model.idOf(command.as))
          const answer = yield* system.join(command.room, as, data, command.how)
          const id = as?.id ?? (answer === "ok" ? system.held.at(-1)!.membership.member.id : "nobody")
          return assert.strictEqual(answer, model.join(command.room, id, data, command.allowed))
        }
        case "Leave": {
          if (command.slot >= model.slots.length) return
          const answer = yield* system.leave(system.held[command.slot]!, command.how)
          const expected = model.leaveSlot(command.slot)
          return assert.strictEqual(answer ?? expected, expected)
        }
        case "Kick": {
          const answer = yield* system.room(command.room).leave(system.who(command.who, model.idOf(command.who)))
          return assert.strictEqual(answer, model.kick(command.room, command.who))
        }
        case "LeaveAll": {
          const answer = yield* rooms.leaveAll(system.who(command.who, model.idOf(command.who)))
          return assert.strictEqual(answer, model.leaveAll(command.who))
        }
        case "Disconnect": {
          const connection = system.who(command.who, model.idOf(command.who))
          if (connection instanceof FakeConnection) connection.close()
          return model.disconnect(command.who, command.again)
        }
        case "Broadcast": {
          const except = command.except
          const left = except === "none" ? [] : [except === "reader" ? reader : system.who(except, model.idOf(except))]
          yield* system.room(command.room).broadcast("said", `m${++counter}`, { except: left })
          return model.broadcast(command.room, `m${counter}`, except)
        }
        case "Publish": {
          allowed = command.allowed
          const as = system.who(command.who, model.idOf(command.who))
          const answer = yield* outcome(system.room(command.room).publish("said", `m${++counter}`, { as }))
          return assert.strictEqual(answer, model.publish(command.room, command.who, `m${counter}`, command.allowed))
        }
        case "Close":
          yield* system.room(command.room).close("closed")
          return model.close(command.room)
        case "Pass":
          yield* TestClock.adjust(idle)
          return model.pass(idle)
      }
    })

    const compare = Effect.fnUntraced(function* () {
      allowed = true
      const live = names.filter((name) => model.isLive(name))
      // Handlers of live rooms have been told everything; the others have ended.
      yield* until(Effect.map(rooms.actors, (count) => count === live.length))
      for (const [index, name] of names.entries()) {
        const room = system.room(name)
        const note = notes.get(name)!
        const expected = model.taken(name)
        yield* until(Effect.sync(() => note.lines.length >= expected.told.length))
        assert.deepStrictEqual(note.taken(), expected.told)
        yield* until(Effect.sync(() => readers[index]!.pending >= expected.sent.length))
        const sent = drain(readers[index]!).map(({ data }) => `${data}`)
        assert.deepStrictEqual(sent, [...expected.sent])
        const members = (yield* room.members).map(({ data, id, joinedAt }) => ({
          id,
          data,
          joinedAt: DateTime.toEpochMillis(joinedAt) - DateTime.toEpochMillis(started)
        }))
        assert.deepStrictEqual(
          members,
          model.of(name).map(({ data, id, joinedAt }) => ({ id, data, joinedAt }))
        )
        assert.strictEqual(yield* room.size, members.length)
      }
      const list = (yield* rooms.list).map(({ ref, size }) => `${ref.identifier} ${size}`).toSorted()
      const sizes = names.map((name) => `${name} ${model.of(name).length}`).filter((line) => !line.endsWith(" 0"))
      assert.deepStrictEqual(list, sizes.toSorted())
      for (const person of people) {
        const id = model.idOf(person)
        const within = (yield* rooms.roomsOf({ id })).map(({ identifier }) => identifier)
        const expected = names.filter((name) => model.of(name).some((member) => member.id === id))
        assert.deepStrictEqual(within.toSorted(), expected.toSorted())
        assert.strictEqual(system.waiting(id), model.waiting(person), `callbacks of ${id}`)
      }
    })

    const done: Array<string> = []
    for (const command of input.commands) {
      done.push(describeCommand(command))
      yield* Effect.andThen(run(command), compare()).pipe(
        Effect.catchDefect((defect) => {
          const problem = defect instanceof Error ? defect.message : String(defect)
          return Effect.die(new Error(`${problem}\nafter\n  ${done.join("\n  ")}`, { cause: defect }))
        })
      )
    }
  }, Effect.scoped)

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 60 })
const arbitrary = { runs: 1_000, size: 600, maxShrinks: 2_000, seed: "effect-rooms" }

describe("rooms behave like their model", () => {
  for (const withBody of [false, true]) {
    it.effect.prop(`${withBody ? "with" : "without"} handlers`, { commands }, check(withBody), { arbitrary })
  }
})
