/**
 * Generated commands against a pure model of presence (T-MODEL): after every command all observables are equal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Presence } from "effect-rooms"
import * as Arbitrary from "effect/Arbitrary"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Room, takeNow, User } from "../support/channels.ts"
import { FakeConnection } from "../support/rooms.ts"
import { bounds, Command, PresenceModel, rooms, type Target, users } from "./PresenceModel.ts"
import { brief, type Change, type Chat, endUnsafe, type Entry, ManualClock, options } from "./support.ts"

const mostSlots = 4

/** Applies a change the strict way: nobody enters twice, and nobody is updated or leaves who is not there. */
const fold = (known: Presence.Listing<User, string> | undefined, change: Change): Presence.Listing<User, string> => {
  if (known === undefined) {
    assert.notStrictEqual(change._tag, "Diff")
    return change as Presence.Listing<User, string>
  }
  if (change._tag === "Diff") {
    assert(known._tag === "Snapshot", "a diff of a room that is only counted")
    assert.isNotEmpty(change.events)
    const there = new Set(known.entries.map((entry) => entry.user.identifier))
    for (const event of change.events) {
      const { identifier } = event._tag === "Leave" ? event.user : event.entry.user
      assert.strictEqual(there.has(identifier), event._tag !== "Enter", `${event._tag} ${identifier}`)
      there.delete(identifier)
    }
  }
  const next = Presence.apply(known, change)
  if (next._tag === "Snapshot") {
    const devices = next.entries.reduce((sum, entry) => sum + entry.devices.length, 0)
    assert.deepStrictEqual([next.entries.length, devices], [next.users, next.devices])
  }
  return next
}

const withLastSeen = (entry: Entry) => `${brief(entry)} seen ${entry.lastSeen}`
const countsOf = ({ devices, users: all }: Presence.Occupancy) => `${all} users ${devices} devices`

interface Subscriber {
  readonly room: string
  readonly eager: boolean
  readonly scope: Scope.Closeable
  readonly read: () => void
}

const answer = <A>(effect: Effect.Effect<A, Presence.PresenceError>): string => {
  const result = Effect.runSync(Effect.result(effect))
  return Result.isSuccess(result) ? String(result.success ?? "done") : result.failure.reason
}
const refs = ({ room, user }: { readonly room: string; readonly user: string }) =>
  [Room.ref.make(room), User.ref.make(user)] as const

const check = Effect.fnUntraced(function* (input: { readonly commands: ReadonlyArray<Command> }) {
  const clock = new ManualClock()
  clock.wallOffset = 1_000_000
  const scope = yield* Scope.make()
  const making = Presence.make({ ...options, ...bounds }).pipe(Effect.provideService(Clock.Clock, clock))
  const system: Chat = yield* Scope.provide(making, scope)
  const model = new PresenceModel()
  model.wall = clock.wallOffset
  const tracked: Array<{
    readonly target: Target
    readonly connection: FakeConnection
    readonly scope: Scope.Closeable
    readonly session: Presence.Tracked<string>
  }> = []
  const subscribers: Array<Subscriber> = []

  const track = (target: Target, how: { readonly status: Presence.Status; readonly meta: string }): void => {
    if (tracked.length === mostSlots) return
    const trackScope = Scope.makeUnsafe()
    const connection = new FakeConnection(`c${tracked.length}`)
    const effect = system.track(...refs(target), { ...how, device: target.device, as: connection })
    const result = Effect.runSync(Effect.result(Scope.provide(effect, trackScope)))
    const expected = model.set(target, how, tracked.length)
    assert.strictEqual(Result.isSuccess(result) ? "done" : result.failure.reason, expected)
    assert.strictEqual(connection.waiting, Result.isSuccess(result) ? 1 : 0)
    if (Result.isSuccess(result)) tracked.push({ target, connection, scope: trackScope, session: result.success })
  }

  /** A fiber of a connection that is gone tracks, too late. */
  const trackLate = (target: Target, connection: FakeConnection): void => {
    if (!connection.closed) return
    const fields = { meta: "y", device: target.device, as: connection }
    const late = Effect.scoped(
      Effect.flatMap(system.track(...refs(target), fields), (session) => session.update({ status: "busy" }))
    )
    assert.strictEqual(answer(late), "false")
  }

  const subscribe = (room: string, eager: boolean): void => {
    if (subscribers.length === mostSlots) return
    const own = Scope.makeUnsafe()
    const changes = Effect.runSync(Scope.provide(system.changes(Room.ref.make(room)), own))
    let known: Presence.Listing<User, string> | undefined
    let from = model.looks(room) - 1
    const read = () => {
      for (;;) {
        const exit = takeNow(changes)
        if (exit === undefined) break
        assert(Exit.isSuccess(exit))
        known = fold(known, exit.value)
      }
      const text = known!._tag === "Counts" ? countsOf(known!) : known!.entries.map(brief).toSorted().join("\n")
      from = model.looked(room, text, from)
      assert.isAtLeast(from, 0, `never looked like ${JSON.stringify(text)} within the batch window`)
    }
    subscribers.push({ room, eager, scope: own, read })
  }

  const watch = (room: string): void => {
    if (subscribers.length === mostSlots) return
    const own = Scope.makeUnsafe()
    const pull = Effect.runSync(Scope.provide(Stream.toPull(system.occupancy(Room.ref.make(room))), own))
    let last = ""
    const read = () => {
      const exit = takeNow({ take: pull })
      if (exit !== undefined && Exit.isSuccess(exit)) last = countsOf(exit.value[0])
      assert.strictEqual(last, model.counts(room))
    }
    read()
    subscribers.push({ room, eager: true, scope: own, read })
  }

  const run = (command: Command): void => {
    switch (command._tag) {
      case "Set":
        return assert.strictEqual(answer(system.set(...refs(command), command)), model.set(command, pick(command)))
      case "Heartbeat":
        return assert.strictEqual(answer(system.heartbeat(...refs(command), command)), model.update(command, {}))
      case "Update":
        return assert.strictEqual(answer(system.update(...refs(command), command)), model.update(command, command))
      case "Track":
        return track(target(command), pick(command))
      case "Remove":
        return assert.strictEqual(answer(system.remove(...refs(command), command)), model.remove(command))
      case "Cleanup":
        return assert.strictEqual(answer(system.cleanup(command.maxAge)), model.cleanup(command.maxAge))
      case "Advance":
        clock.advance(command.millis)
        return model.advance(command.millis)
      case "Subscribe":
        return subscribe(command.room, command.eager)
      case "Watch":
        return watch(command.room)
      case "Read":
        return subscribers[command.slot]?.read()
      case "Unsubscribe": {
        const [gone] = subscribers.splice(command.slot, 1)
        if (gone !== undefined) Effect.runSync(Scope.close(gone.scope, Exit.void))
        return
      }
      default: {
        const mine = tracked[command.slot]
        if (mine !== undefined) act(command, mine)
      }
    }
  }

  const act = (command: Extract<Command, { readonly slot: number }>, mine: (typeof tracked)[number]): void => {
    const held = model.held(command.slot)
    switch (command._tag) {
      case "Close":
        Effect.runSync(Scope.close(mine.scope, Exit.void))
        return model.close(command.slot)
      case "End":
        if (mine.connection.closed) return
        endUnsafe(mine.connection, command.ending)
        if (command.ending === "clean") return model.close(command.slot)
        return void model.drop(command.slot)
      case "Late":
        return trackLate(mine.target, mine.connection)
      case "Drop":
        return assert.strictEqual(answer(mine.session.drop), model.drop(command.slot))
      case "Reappear":
        return track(mine.target, { status: "online", meta: "x" })
      case "TrackedHeartbeat":
        return assert.strictEqual(answer(mine.session.heartbeat), held === undefined ? "false" : model.update(held, {}))
      case "TrackedUpdate":
        return assert.strictEqual(
          answer(mine.session.update(command)),
          model.update(held ?? { room: "none", user: "none", device: "none" }, command)
        )
    }
  }

  const observe = (): void => {
    for (const room of rooms) {
      const ref = Room.ref.make(room)
      for (const user of users) {
        const entry = Option.map(Effect.runSync(system.get(ref, User.ref.make(user))), withLastSeen)
        assert.strictEqual(Option.getOrUndefined(entry), model.entry(room, user, true))
      }
      const listed = Effect.runSync(system.list(ref))
      assert.strictEqual(countsOf(listed), model.counts(room))
      const entries = listed._tag === "Snapshot" ? listed.entries.map(withLastSeen) : "counts only"
      assert.deepStrictEqual(entries, model.isListed(room) ? model.entries(room, true) : "counts only")
    }
    for (const { eager, read } of subscribers) if (eager) read()
    const inUse = rooms.filter((room) => model.isPresent(room) || subscribers.some((session) => session.room === room))
    assert.strictEqual(Effect.runSync(system.size), inUse.length)
  }

  const done: Array<string> = []
  for (const command of input.commands) {
    done.push(JSON.stringify(command))
    try {
      run(command)
      observe()
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      throw new Error(`${problem}\nafter\n  ${done.join("\n  ")}`, { cause: error })
    }
  }
  clock.advance(bounds.batchWindow)
  model.advance(bounds.batchWindow)
  for (const { read } of subscribers) read()
  yield* Scope.close(scope, Exit.void)
  assert.strictEqual(yield* system.size, 0)
  for (const session of [...tracked, ...subscribers]) yield* Scope.close(session.scope, Exit.void)
  for (const { connection } of tracked) assert.strictEqual(connection.waiting, 0)
  assert.strictEqual(yield* system.size, 0)
})

const target = ({ device, room, user }: Target): Target => ({ device, room, user })
const pick = ({ meta, status }: { readonly meta: string; readonly status: Presence.Status }) => ({ meta, status })

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 60 })
const arbitrary = { runs: 1_000, size: 600, maxShrinks: 5_000, seed: "effect-rooms" }

describe("presence behaves like its model", () => {
  it.effect.prop("whatever is set, tracked, dropped, swept and read", { commands }, check, { arbitrary })
})
