/**
 * Bodies that die (BUG24), at once, for good or with their finalizers.
 */
import { assert, describe, it } from "@effect/vitest"
import { RoomError, Rooms } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { general } from "../support/channels.ts"
import {
  begin,
  BoardApi,
  boom,
  FakeConnection,
  noActors,
  Notes,
  outcome,
  traces,
  until,
  watched
} from "../support/rooms.ts"

describe("BUG24: a body that dies", () => {
  it.effect("runs again by its policy while the joins wait, 100 ms doubling up to 10 s by default", () =>
    watched(
      Effect.fnUntraced(function* (_log, defects) {
        let bodies = 0
        const rooms = yield* Rooms.make(BoardApi, {}, () =>
          Effect.suspend(() => (++bodies <= 9 ? Effect.die(boom) : Effect.succeed({})))
        )
        const joining = yield* begin(rooms.get(general).join("x", { as: { id: "alice" } }))
        yield* Effect.yieldNow
        yield* TestClock.adjust("1 millis")
        const waits = [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]
        for (const [index, wait] of waits.entries()) {
          assert.strictEqual(bodies, index + 1)
          assert.strictEqual(yield* rooms.get(general).size, 0)
          yield* TestClock.adjust(wait)
        }
        assert.strictEqual((yield* Fiber.join(joining)).member.id, "alice")
        assert.deepStrictEqual([bodies, yield* defects], [10, 9])
      })
    )
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
        assert.deepStrictEqual([bodies, yield* defects, log], [1, 1, ["a handler of a board room died"]])
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
