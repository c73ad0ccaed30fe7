/**
 * Races of rooms under thousands of fiber schedules (T-RACE): joining against everything that can end meanwhile.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { general } from "../support/channels.ts"
import {
  BoardApi,
  type BoardRoom,
  type BoardRooms,
  brief,
  FakeConnection,
  ids,
  noActors,
  Notes,
  outcome,
  Place,
  traces
} from "../support/rooms.ts"
import { runSeeds } from "../support/SeededScheduler.ts"

const seeds = 1_500
const nothing = { members: 0, rooms: 0, actors: 0 }
const slowly = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** Rooms whose policy and body take several steps; every second seed has no body. */
const makeSlow = (notes: Notes, withBody: boolean, options: { capacity?: number } = {}) => {
  const bodies = { open: 0 }
  const live = new Set<string>()
  const body = ({ name }: BoardRoom) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        bodies.open++
        assert.isFalse(live.has(name), "two bodies of one room")
        live.add(name)
      }),
      () =>
        Effect.andThen(
          slowly,
          Effect.sync(() => (live.delete(name), void bodies.open--))
        )
    ).pipe(Effect.andThen(slowly), Effect.as(notes.handlers))
  const all = { ...options, canJoin: () => Effect.as(slowly, true), maxIdleTime: 0 }
  return Effect.map(Rooms.make(BoardApi, all, withBody ? body : undefined), (rooms) => ({ rooms, bodies }))
}

/** Of every member, handlers were told in turn that it is there and that it is not, and at last that it is not. */
const assertPaired = (lines: ReadonlyArray<string>, left: ReadonlyArray<string> = []): void => {
  const there = new Set<string>()
  for (const line of lines) {
    if (!/^[+-]/.test(line)) continue
    const id = line.slice(1).split(" ")[0]!
    assert.strictEqual(there.has(id), line.startsWith("-"), `${line} in ${lines.join(", ")}`)
    if (line.startsWith("+")) there.add(id)
    else there.delete(id)
  }
  assert.deepStrictEqual([...there], left, lines.join(", "))
}

/** What is left once the actors of empty rooms have ended. */
const settled = (rooms: BoardRooms) => Effect.andThen(noActors(rooms), traces(rooms))

describe("BUG8, TRAP1: join × close of the connection", () => {
  it("BUG8: a join either holds a place until the close or fails; nothing is left and handlers hear it in pairs", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* (seed) {
        const notes = new Notes()
        const { rooms } = yield* makeSlow(notes, seed % 2 === 0)
        const room = rooms.get(general)
        const alice = new FakeConnection("alice")
        const joins = yield* Effect.all([
          Effect.forkChild(Effect.exit(Effect.scoped(Effect.andThen(room.join("x", { as: alice }), slowly)))),
          Effect.forkChild(Effect.exit(room.open("y", { as: alice }))),
          Effect.forkChild(Effect.exit(rooms.get(Place.ref`other`).open("z", { as: alice })))
        ])
        const closing = yield* Effect.forkChild(Effect.andThen(slowly, Effect.sync(alice.close)))
        const exits = yield* Fiber.joinAll(joins)
        yield* Fiber.join(closing)
        for (const exit of exits) assert.include(["ok", "MemberGone"], brief(exit))
        assert.strictEqual(alice.waiting, 0)
        assert.strictEqual(yield* outcome(room.open("late", { as: alice })), "MemberGone")
        assert.deepStrictEqual(yield* settled(rooms), nothing)
        assert.deepStrictEqual(yield* rooms.roomsOf(alice), [])
      }, Effect.scoped)
    ))

  it("I9: who could not come in is not announced", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* () {
        const notes = new Notes()
        const { rooms } = yield* makeSlow(notes, true)
        const alice = new FakeConnection("alice")
        const joining = yield* Effect.forkChild(Effect.exit(rooms.get(general).open("x", { as: alice })))
        yield* Effect.forkChild(Effect.sync(alice.close)).pipe(Effect.flatMap(Fiber.join))
        const exit = yield* Fiber.join(joining)
        yield* noActors(rooms)
        const told = brief(exit) === "ok" ? ["+alice x", "-alice gone"] : []
        assert.deepStrictEqual(notes.lines, told)
      }, Effect.scoped)
    ))
})

describe("BUG9: leave × join × leave", () => {
  it("BUG9: late leaves of earlier joins never touch the newest, and handlers hear of one after the other", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* (seed) {
        const notes = new Notes()
        const { rooms } = yield* makeSlow(notes, seed % 2 === 0)
        const room = rooms.get(general)
        const alice = new FakeConnection("alice")
        const early = yield* room.open("early", { as: alice })
        const visit = Effect.scoped(Effect.andThen(room.join("visit", { as: alice }), slowly))
        const first = yield* Effect.all([
          Effect.forkChild(visit),
          Effect.forkChild(visit),
          Effect.forkChild(Effect.andThen(slowly, Effect.sync(early.leave)))
        ])
        yield* Fiber.joinAll(first)
        const old = yield* Effect.all([room.open("1", { as: alice }), room.open("2", { as: alice })])
        const last = yield* room.open("last", { as: alice })
        const late = yield* Effect.all([
          Effect.forkChild(Effect.sync(() => old.map((membership) => membership.leave()))),
          Effect.forkChild(Effect.sync(() => [early.leave()])),
          Effect.forkChild(Effect.sync(() => old.map((membership) => membership[Symbol.dispose]()))),
          Effect.forkChild(Effect.sync(() => old.map((membership) => membership.leave())))
        ])
        assert.notInclude((yield* Fiber.joinAll(late)).flat(), true)
        assert.deepStrictEqual(
          (yield* room.members).map(({ data }) => data),
          ["last"]
        )
        assert.strictEqual(alice.waiting, 1)
        if (seed % 2 === 0) {
          yield* notes.flush(room)
          assertPaired(notes.lines, ["alice"])
        }
        assert.deepStrictEqual([last.leave(), last.leave(), alice.waiting], [true, false, 0])
        assert.deepStrictEqual(yield* settled(rooms), nothing)
      }, Effect.scoped)
    ))
})

describe("capacity × concurrent joins", () => {
  it("RoomFull: concurrent joins never exceed the capacity, and a place is refused only when none is free", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* (seed) {
        const { rooms } = yield* makeSlow(new Notes(), seed % 2 === 0, { capacity: 2 })
        const room = rooms.get(general)
        const leave = seed % 3 === 0
        const visit = (n: number) =>
          Effect.gen(function* () {
            const exit = yield* Effect.exit(room.open(`${n}`, { as: { id: `m${n}` } }))
            assert.isAtMost(yield* room.size, 2)
            if (leave && Exit.isSuccess(exit)) exit.value.leave()
            return brief(exit)
          })
        const visits = yield* Effect.forEach([0, 1, 2, 3, 4], (n) => Effect.forkChild(visit(n)))
        const outcomes = yield* Fiber.joinAll(visits)
        const refused = outcomes.filter((each) => each === "RoomFull").length
        if (leave) assert.isAtMost(refused, 3)
        else assert.deepStrictEqual([refused, yield* room.size], [3, 2])
        assert.deepStrictEqual(new Set(outcomes.filter((each) => each !== "RoomFull")), new Set(["ok"]))
        for (const { id } of yield* room.members) yield* room.leave({ id })
        assert.deepStrictEqual(yield* settled(rooms), nothing)
      }, Effect.scoped)
    ))
})

describe("join × the end of the room", () => {
  it("join × close: who is in is taken out, who waits is refused, one body at a time", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* (seed) {
        const notes = new Notes()
        const { bodies, rooms } = yield* makeSlow(notes, seed % 4 !== 0)
        const room = rooms.get(general)
        const people = ["a", "b", "c"].map((id) => new FakeConnection(id))
        const join = (as: FakeConnection) => Effect.exit(room.open("x", { as }))
        const joins = yield* Effect.forEach(people, (as) => Effect.forkChild(join(as)))
        const closing = yield* Effect.forkChild(
          Effect.forEach(["one", "two"], (reason) => Effect.andThen(room.close(reason), slowly))
        )
        const exits = yield* Fiber.joinAll(joins)
        yield* Fiber.join(closing)
        for (const exit of exits) assert.include(["ok", "RoomClosed"], brief(exit))
        yield* room.close("three")
        assert.strictEqual(yield* room.size, 0)
        assert.deepStrictEqual(yield* settled(rooms), nothing)
        assertPaired(notes.lines)
        const welcomed = notes.lines.filter((line) => line.startsWith("+")).length
        if (seed % 4 !== 0) assert.strictEqual(welcomed, exits.filter(Exit.isSuccess).length)
        assert.strictEqual(bodies.open, 0)
        assert.deepStrictEqual(
          people.map(({ waiting }) => waiting),
          [0, 0, 0]
        )
      }, Effect.scoped)
    ))

  it("join × idle end: every join is told to exactly one live body, and none fails for it", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* () {
        const notes = new Notes()
        const { bodies, rooms } = yield* makeSlow(notes, true)
        const room = rooms.get(general)
        const visit = (id: string) =>
          Effect.forEach([1, 2, 3], () => Effect.scoped(Effect.andThen(room.join("x", { as: { id } }), slowly)))
        const visits = yield* Effect.forEach(["a", "b"], (id) => Effect.forkChild(visit(id)))
        yield* Fiber.joinAll(visits)
        assert.deepStrictEqual(yield* settled(rooms), nothing)
        assertPaired(notes.lines)
        assert.strictEqual(notes.lines.length, 12)
        assert.strictEqual(bodies.open, 0)
      }, Effect.scoped)
    ))

  it("publish × idle end: what a member publishes is handled once", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* () {
        const notes = new Notes()
        const { rooms } = yield* makeSlow(notes, true)
        const room = rooms.get(general)
        const visit = (id: string) =>
          Effect.scoped(Effect.andThen(room.join("x", { as: { id } }), room.publish("said", "hello", { as: { id } })))
        const visits = yield* Effect.forEach(["a", "b", "c"], (id) => Effect.forkChild(visit(id)))
        yield* Fiber.joinAll(visits)
        yield* noActors(rooms)
        for (const id of ["a", "b", "c"]) {
          const own = notes.lines.filter((line) => line.includes(id))
          assert.deepStrictEqual(
            own.filter((line) => /^[+-]?[abc](:| )/.test(line)),
            [`+${id} x`, `${id}: hello`, `-${id} left`]
          )
        }
      }, Effect.scoped)
    ))
})

describe("P5: interruption", () => {
  it("a join interrupted at any step of its policy and body leaves nothing", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* (seed) {
        const notes = new Notes()
        const { rooms } = yield* makeSlow(notes, seed % 2 === 0)
        const room = rooms.get(general)
        const alice = new FakeConnection("alice")
        const held = (one: BoardRoom) =>
          Effect.forkChild(Effect.scoped(Effect.andThen(one.join("x", { as: alice }), Effect.never)))
        const joins = [yield* held(room), yield* held(room)]
        const other = yield* Effect.forkChild(room.open("y", { as: { id: "bob" } }))
        yield* Effect.forEach(joins, (join) => Effect.forkChild(Fiber.interrupt(join))).pipe(
          Effect.flatMap((fibers) => Fiber.joinAll(fibers))
        )
        yield* Fiber.join(other)
        assert.strictEqual(alice.waiting, 0)
        assert.deepStrictEqual(ids(yield* room.members), ["bob"])
        if (seed % 2 === 0) {
          yield* notes.flush(room)
          assertPaired(notes.lines, ["bob"])
        }
        yield* room.leave({ id: "bob" })
        assert.deepStrictEqual(yield* settled(rooms), nothing)
      }, Effect.scoped)
    ))
})

describe("the end of the service", () => {
  it("joins × stop: everyone who waits is answered, nothing outlives the service", () =>
    runSeeds(
      seeds,
      Effect.fnUntraced(function* (seed) {
        const scope = yield* Scope.make()
        const { bodies, rooms } = yield* Scope.provide(makeSlow(new Notes(), seed % 4 !== 0), scope)
        const room = rooms.get(general)
        const people = ["a", "b", "c"].map((id) => new FakeConnection(id))
        const joins = yield* Effect.forEach(people, (as) => Effect.forkChild(Effect.exit(room.open("x", { as }))))
        const closing = yield* Effect.forkChild(Effect.andThen(slowly, room.close("end")))
        const stopping = yield* Effect.forkChild(Effect.andThen(slowly, Scope.close(scope, Exit.void)))
        const exits = yield* Fiber.joinAll(joins)
        yield* Fiber.join(stopping)
        assert.strictEqual(bodies.open, 0)
        assert.deepStrictEqual(yield* traces(rooms), nothing)
        yield* Fiber.join(closing)
        for (const exit of exits) assert.include(["ok", "RoomClosed"], brief(exit))
        assert.strictEqual(yield* outcome(room.open("late")), "RoomClosed")
        for (const { waiting } of people) assert.strictEqual(waiting, 0)
      }, Effect.scoped)
    ))
})
