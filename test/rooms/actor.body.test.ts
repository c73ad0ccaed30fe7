/**
 * Bodies that die (BUG24), at once, for good or with their finalizers.
 */
import { assert, describe, it } from "@effect/vitest"
import { RoomError, Rooms } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { general } from "../support/channels.ts"
import {
  begin,
  BoardApi,
  type BoardHandlers,
  type BoardRooms,
  boom,
  FakeConnection,
  noActors,
  Notes,
  outcome,
  Place,
  traces,
  until,
  watched
} from "../support/rooms.ts"

describe("BUG24: a body that dies", () => {
  it.effect("runs again while the joins wait, after 100 ms that double", () =>
    watched(
      Effect.fnUntraced(function* (_log, defects) {
        let bodies = 0
        const rooms = yield* Rooms.make(BoardApi, {}, () =>
          Effect.suspend(() => (++bodies <= 4 ? Effect.die(boom) : Effect.succeed({})))
        )
        const joining = yield* begin(rooms.get(general).join("x", { as: { id: "alice" } }))
        yield* Effect.yieldNow
        yield* TestClock.adjust("1 millis")
        for (const [index, wait] of [100, 200, 400, 800].entries()) {
          assert.strictEqual(bodies, index + 1)
          assert.strictEqual(yield* rooms.get(general).size, 0)
          yield* TestClock.adjust(wait)
        }
        assert.strictEqual((yield* Fiber.join(joining)).member.id, "alice")
        assert.deepStrictEqual([bodies, yield* defects], [5, 4])
      })
    )
  )

  it.effect("in a room that has members runs again up to every 10 s, for ever", () =>
    watched(
      Effect.fnUntraced(function* (_log, defects) {
        const notes = new Notes()
        let bodies = 0
        const rooms = yield* Rooms.make(BoardApi, {}, () =>
          Effect.suspend(() => {
            if (++bodies === 1) return Effect.succeed({ onJoin: () => Effect.die(boom) })
            return bodies <= 10 ? Effect.die(boom) : Effect.succeed(notes.handlers)
          })
        )
        const room = rooms.get(general)
        yield* room.open("x", { as: { id: "alice" } })
        yield* Effect.yieldNow
        yield* TestClock.adjust("1 millis")
        for (const [index, wait] of [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000].entries()) {
          assert.strictEqual(bodies, index + 1)
          yield* TestClock.adjust(wait)
        }
        yield* notes.flush(room)
        assert.deepStrictEqual([bodies, yield* defects, yield* room.size], [11, 10, 1])
      })
    )
  )

  const failing = {
    dies: () => Effect.die(boom),
    throws: () => {
      throw boom
    },
    // What its type forbids.
    fails: () => Effect.fail(boom) as unknown as Effect.Effect<BoardHandlers>
  } as const

  for (const [how, fail] of Object.entries(failing)) {
    it.effect(`that ${how} five times before it has ever run through is given up, and a later join begins anew`, () =>
      watched(
        Effect.fnUntraced(function* (log, defects) {
          let bodies = 0
          const rooms = yield* Rooms.make(BoardApi, {}, () => (++bodies > 5 ? Effect.succeed({}) : fail()))
          const room = rooms.get(general)
          const alice = new FakeConnection("alice")
          const joins = [
            yield* begin(Effect.flip(room.open("x", { as: alice }))),
            yield* begin(Effect.flip(room.open("y")))
          ]
          yield* Effect.yieldNow
          yield* TestClock.adjust("1499 millis")
          assert.isUndefined(joins[0]!.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          for (const refused of yield* Fiber.joinAll(joins)) {
            assert.deepStrictEqual(refused.reason, new RoomError.RoomClosed({ reason: "its body failed" }))
          }
          assert.deepStrictEqual([bodies, yield* defects, alice.waiting, alice.rooms], [5, 5, 0, 0])
          assert.deepStrictEqual(new Set(log), new Set(["the body of room general of kind board failed"]))
          assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 0 })
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(bodies, 5)
          assert.strictEqual(yield* outcome(room.open("z")), "ok")
        })
      )
    )
  }

  for (const [when, goodBodies] of [
    ["before it has ever run through", 0],
    ["after it has run through", 1]
  ] as const) {
    it.effect(`that fails on in a room that was closed ${when} keeps it closed no longer than five times`, () =>
      watched(
        Effect.fnUntraced(function* () {
          let bodies = 0
          const rooms = yield* Rooms.make(BoardApi, {}, () =>
            Effect.suspend(() => {
              const isGood = ++bodies <= goodBodies || bodies > goodBodies + 5
              return isGood ? Effect.succeed({ onLeave: () => Effect.die(boom) }) : Effect.die(boom)
            })
          )
          const room = rooms.get(general)
          const joining = yield* begin(outcome(room.open("x")))
          yield* until(Effect.sync(() => bodies === 1))
          yield* Effect.yieldNow
          yield* room.close("over")
          assert.strictEqual(yield* Fiber.join(joining), goodBodies === 0 ? "RoomClosed" : "ok")
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(yield* outcome(room.open("y")), "RoomClosed")
          yield* TestClock.adjust("10 seconds")
          yield* noActors(rooms)
          assert.strictEqual(bodies, goodBodies + 5)
          assert.strictEqual(yield* outcome(room.open("z")), "ok")
        })
      )
    )
  }

  for (const how of ["join", "open"] as const) {
    it.effect(`by its ${how} of its own room, which would wait for the body, says so at once`, () => {
      const causes: Array<string> = []
      const collect = Logger.make(({ cause }) => void causes.push(Cause.pretty(cause)))
      return Effect.gen(function* () {
        const rooms = yield* Rooms.make(BoardApi, {}, (room) => Effect.orDie(Effect.as(room[how]("bot"), {})))
        const joining = yield* begin(outcome(rooms.get(general).open("x")))
        yield* Effect.yieldNow
        yield* TestClock.adjust("1500 millis")
        assert.strictEqual(yield* Fiber.join(joining), "RoomClosed")
        assert.strictEqual(causes.length, 5)
        assert.include(
          causes[0],
          "the body of room general of kind board joins its own room, whose joins wait for it: let a handler do that"
        )
      }).pipe(Effect.provide(Logger.layer([collect])))
    })
  }

  it.effect("is not what a body is whose handlers, or whose fibers in the background, join its own room", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, {}, (room) =>
        Effect.as(Effect.forkScoped(room.open("bot", { as: { id: "bot" } })), {
          onJoin: ({ id }) =>
            id === "bot" ? Effect.void : Effect.ignore(room.open("shadow", { as: { id: "shadow" } }))
        })
      )
      const room = rooms.get(general)
      yield* room.open("x", { as: { id: "alice" } })
      yield* until(Effect.map(room.size, (size) => size === 3))
    })
  )

  it.effect("with a finalizer that joins its own room as it ends says so, and ends", () =>
    watched(
      Effect.fnUntraced(function* (log) {
        const rooms: BoardRooms = yield* Rooms.make(BoardApi, { maxIdleTime: "10 seconds" }, (room) =>
          Effect.as(
            Effect.addFinalizer(() => Effect.orDie(room.open("bot"))),
            {}
          )
        )
        ;(yield* rooms.get(general).open("x")).leave()
        yield* Effect.yieldNow
        yield* TestClock.adjust("10 seconds")
        yield* noActors(rooms)
        assert.deepStrictEqual(log, ["a finalizer of room general of kind board died"])
      })
    )
  )

  it.effect("joins another room of its kind", () =>
    Effect.gen(function* () {
      const rooms: BoardRooms = yield* Rooms.make(BoardApi, {}, ({ name }) =>
        name === "general" ? Effect.orDie(Effect.as(rooms.get(Place.ref`lobby`).open("bot"), {})) : Effect.succeed({})
      )
      yield* rooms.get(general).open("x")
      assert.strictEqual(yield* rooms.get(Place.ref`lobby`).size, 1)
    })
  )

  for (const how of ["dies", "throws"] as const) {
    it.effect(`that ${how} for good fails the joins that wait, and a later join begins anew`, () =>
      watched(
        Effect.fnUntraced(function* (_log, defects) {
          let bodies = 0
          const rooms = yield* Rooms.make(BoardApi, { defectRetryPolicy: Schedule.recurs(2) }, () => {
            if (++bodies > 3) return Effect.succeed({})
            if (how === "throws") throw boom
            return Effect.die(boom)
          })
          const room = rooms.get(general)
          const joins = [yield* begin(Effect.flip(room.open("x"))), yield* begin(Effect.flip(room.open("y")))]
          for (const refused of yield* Fiber.joinAll(joins)) {
            assert.deepStrictEqual(refused.reason, new RoomError.RoomClosed({ reason: "its body failed" }))
          }
          assert.deepStrictEqual([bodies, yield* defects], [3, 3])
          assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 0 })
          assert.strictEqual(yield* outcome(room.open("z")), "ok")
        })
      )
    )
  }

  it.effect(
    "SEC13: runs no more once nobody waits for it and nobody is in: a room that never works leaves no actor",
    () =>
      watched(
        Effect.fnUntraced(function* () {
          let bodies = 0
          const rooms = yield* Rooms.make(BoardApi, {}, () =>
            Effect.sync(() => void bodies++).pipe(Effect.andThen(Effect.die(boom)))
          )
          const room = rooms.get(general)
          const joining = yield* begin(room.open("x"))
          yield* until(Effect.sync(() => bodies === 1))
          yield* room.publish("said", "x")
          yield* Fiber.interrupt(joining)
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual([bodies, yield* rooms.actors], [2, 0])
        })
      )
  )

  it.effect("P5: a room whose handlers failed for good keeps nobody who no handler would ever hear of", () =>
    watched(
      Effect.fnUntraced(function* () {
        const scope = yield* Scope.make()
        const rooms = yield* Rooms.make(BoardApi, { defectRetryPolicy: Schedule.recurs(0) }, () =>
          Effect.succeed({ onMessage: () => Effect.die(boom) })
        )
        const room = rooms.get(general)
        const alice = new FakeConnection("alice")
        const held = yield* Scope.provide(room.join("x", { as: alice }), scope)
        yield* room.publish("said", "x", { as: alice })
        yield* noActors(rooms)
        assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 0 })
        assert.deepStrictEqual([alice.waiting, held.leave()], [0, false])
        yield* Scope.close(scope, Exit.void)
      })
    )
  )

  it.effect("with its finalizer is logged and counted, ends all the same, and never runs again by that", () =>
    watched(
      Effect.fnUntraced(function* (log, defects) {
        const notes = new Notes()
        let bodies = 0
        const rooms = yield* Rooms.make(BoardApi, { maxIdleTime: "10 seconds" }, () =>
          Effect.gen(function* () {
            bodies++
            yield* Effect.addFinalizer(() => Effect.die(boom))
            return notes.handlers
          })
        )
        const room = rooms.get(general)
        ;(yield* room.open("x")).leave()
        yield* notes.flush(room)
        yield* TestClock.adjust("10 seconds")
        yield* noActors(rooms)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(
          [bodies, yield* defects, log],
          [1, 1, ["a finalizer of room general of kind board died"]]
        )
        yield* room.open("y")
        yield* room.close("end")
        yield* noActors(rooms)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([bodies, yield* defects], [2, 2])
      })
    )
  )

  it.effect("a handler that dies in a room that closes is the last to disturb it: the rest is told, then it ends", () =>
    watched(
      Effect.fnUntraced(function* () {
        const notes = new Notes()
        const rooms = yield* Rooms.make(BoardApi, {}, () =>
          Effect.succeed({
            ...notes.handlers,
            onLeave: (member, reason) => (member.id === "alice" ? Effect.die(boom) : notes.onLeave(member, reason))
          })
        )
        const room = rooms.get(general)
        yield* room.open("x", { as: { id: "alice" } })
        yield* room.open("y", { as: { id: "bob" } })
        yield* notes.flush(room)
        yield* room.close("end")
        yield* Effect.yieldNow
        yield* TestClock.adjust("100 millis")
        yield* noActors(rooms)
        assert.deepStrictEqual(notes.lines, ["+alice x", "+bob y", "-bob end"])
      })
    )
  )
})
