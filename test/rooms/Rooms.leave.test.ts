/**
 * How a membership ends: what handlers are told, and what the member can wait for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { general } from "../support/channels.ts"
import { begin, BoardApi, type BoardRooms, FakeConnection, Notes, until } from "../support/rooms.ts"

const [alice, bob] = [{ id: "alice" }, { id: "bob" }]

/** Ways out of a room for a connection, each with the reason it has. */
const ways = [
  ["its own leave", "left", (_rooms, { membership }) => Effect.sync(() => void membership.leave())],
  ["its own disposal", "left", (_rooms, { membership }) => Effect.sync(() => membership[Symbol.dispose]())],
  ["its scope", "left", (_rooms, { scope }) => Scope.close(scope, Exit.void)],
  ["the room's leave", "removed", (rooms, { as }) => rooms.get(general).leave(as)],
  ["the room's leave, by its id alone", "removed", (rooms, { as: { id } }) => rooms.get(general).leave({ id })],
  ["the room's leave with a reason", "banned", (rooms, { as }) => rooms.get(general).leave(as, "banned")],
  ["leaveAll", "removed", (rooms, { as }) => rooms.leaveAll(as)],
  ["leaveAll with a reason", "signed out", (rooms, { as }) => rooms.leaveAll(as, "signed out")],
  ["the end of its connection", "gone", (_rooms, { as }) => Effect.sync(as.close)],
  ["the room's close", "over", (rooms) => rooms.get(general).close("over")]
] as const satisfies ReadonlyArray<readonly [name: string, reason: string, leave: Way]>

type Held = Effect.Success<ReturnType<typeof joined>>
type Way = (rooms: BoardRooms, held: Held) => Effect.Effect<unknown>

const joined = Effect.fnUntraced(function* (rooms: BoardRooms, as: FakeConnection) {
  const scope = yield* Scope.make()
  const membership = yield* Scope.provide(rooms.get(general).join("x", { as }), scope)
  return { scope, as, membership }
})

describe("a member that is out", () => {
  for (const [name, reason, leave] of ways) {
    it.effect(`by ${name} has left for the reason "${reason}", as handlers and it are told`, () =>
      Effect.gen(function* () {
        const notes = new Notes()
        const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.succeed(notes.handlers))
        yield* rooms.get(general).open("x", { as: { id: "stays" } })
        const held = yield* joined(rooms, new FakeConnection("alice"))
        const [first, second] = [yield* begin(held.membership.ended), yield* begin(held.membership.ended)]
        yield* Effect.yieldNow
        assert.isUndefined(first.pollUnsafe())
        yield* leave(rooms, held)
        assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], [reason, reason])
        assert.strictEqual(Effect.runSync(held.membership.ended), reason, "at once for who asks later")
        yield* until(Effect.sync(() => notes.lines.includes(`-alice ${reason}`)))
      })
    )

    it.effect(`by ${name} can ask for the reason "${reason}" later, also without handlers`, () =>
      Effect.gen(function* () {
        const rooms = yield* Rooms.make(BoardApi)
        const held = yield* joined(rooms, new FakeConnection("alice"))
        yield* leave(rooms, held)
        yield* rooms.get(general).open("again", { as: { id: "alice" } })
        assert.strictEqual(Effect.runSync(held.membership.ended), reason)
      })
    )
  }

  it.effect("by the stop of the server is told so", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const rooms = yield* Scope.provide(Rooms.make(BoardApi), scope)
      const { membership } = yield* joined(rooms, new FakeConnection("alice"))
      const ended = yield* begin(membership.ended)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(ended), "the server stops")
    })
  )
})

describe("what waits for the end of a membership", () => {
  it.effect("goes on where the member joins again, whose later membership has an end of its own", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.succeed(notes.handlers))
      const room = rooms.get(general)
      const first = yield* room.open("old", { as: alice })
      const ended = yield* begin(first.ended)
      const second = yield* room.open("new", { as: alice })
      assert.strictEqual(yield* Fiber.join(ended), "replaced")
      const later = yield* begin(second.ended)
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.taken(), ["+alice old"], "it has not left")
      yield* room.leave(alice)
      assert.strictEqual(yield* Fiber.join(later), "removed")
      assert.strictEqual(Effect.runSync(first.ended), "replaced")
    })
  )

  it.effect("goes on when the leave is done, and handlers are told in order what it does", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.succeed(notes.handlers))
      const room = rooms.get(general)
      const held = yield* room.open("x", { as: alice })
      const back = yield* begin(Effect.andThen(held.ended, room.open("y", { as: alice })))
      yield* room.leave(alice, "try again")
      assert.strictEqual(yield* room.size, 0)
      yield* Fiber.join(back)
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.lines, ["+alice x", "-alice try again", "+alice y"])
    })
  )

  it.effect("can be interrupted, and concerns no other member", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const room = rooms.get(general)
      const held = yield* room.open("x", { as: alice })
      const other = yield* room.open("x", { as: bob })
      const [waits, stays] = [yield* begin(held.ended), yield* begin(other.ended)]
      yield* Fiber.interrupt(waits)
      yield* room.leave(alice)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(waits)))
      assert.isUndefined(stays.pollUnsafe())
    })
  )

  it.effect("ends the work of a member that is taken out", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi)
      const room = rooms.get(general)
      const work = Effect.gen(function* () {
        const { ended } = yield* room.join("x", { as: alice })
        yield* Effect.raceFirst(Effect.never, ended)
        yield* notes.note("done")
      })
      const working = yield* begin(Effect.scoped(work))
      yield* room.leave(alice)
      yield* Fiber.join(working)
      assert.deepStrictEqual(notes.lines, ["done"])
    })
  )
})
