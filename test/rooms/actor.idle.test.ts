/**
 * When the actor of a room nobody needs ends, and what a join finds then.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { general } from "../support/channels.ts"
import { begin, BoardApi, FakeConnection, noActors, Notes, outcome } from "../support/rooms.ts"

const make = (notes: Notes) => Rooms.make(BoardApi, { maxIdleTime: "10 seconds" }, () => Effect.succeed(notes.handlers))

describe("maxIdleTime", () => {
  it.effect("an actor ends when nobody was there for maxIdleTime, and never before", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* make(notes)
      const room = rooms.get(general)
      const held = yield* room.open("x")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* rooms.actors, 1)
      held.leave()
      yield* notes.flush(room)
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* rooms.actors, 1)
      yield* TestClock.adjust("1 millis")
      yield* noActors(rooms)
    })
  )

  it.effect("what comes meanwhile begins the time anew", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* make(notes)
      const room = rooms.get(general)
      ;(yield* room.open("x")).leave()
      yield* notes.flush(room)
      yield* TestClock.adjust("9 seconds")
      ;(yield* room.open("y")).leave()
      yield* notes.flush(room)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* rooms.actors, 1)
      yield* TestClock.adjust("1 second")
      yield* noActors(rooms)
    })
  )

  it.effect("an actor whose first join was refused ends as well", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* make(notes)
      const gone = new FakeConnection("gone")
      gone.close()
      assert.strictEqual(yield* outcome(rooms.get(general).open("x", { as: gone })), "MemberGone")
      yield* notes.flush(rooms.get(general))
      assert.deepStrictEqual([yield* rooms.actors, notes.lines], [1, []])
      yield* TestClock.adjust("10 seconds")
      yield* noActors(rooms)
    })
  )

  it.effect("a body begins only when what the one before it acquired has been released", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const gate = yield* Deferred.make<void>()
      const body = Effect.as(
        Effect.acquireRelease(notes.note("open"), () => Effect.andThen(Deferred.await(gate), notes.note("closed"))),
        { onMessage: notes.onMessage }
      )
      const rooms = yield* Rooms.make(BoardApi, { maxIdleTime: "10 seconds" }, () => body)
      yield* Effect.addFinalizer(() => Deferred.succeed(gate, undefined))
      const room = rooms.get(general)
      ;(yield* room.open("x")).leave()
      yield* notes.flush(room)
      yield* TestClock.adjust("10 seconds")
      const again = yield* begin(room.open("y"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.lines, ["open"])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(again)).member.data, "y")
      assert.deepStrictEqual(notes.lines, ["open", "closed", "open"])
    })
  )

  it.effect("a room without idle time takes joins all the same", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, { maxIdleTime: 0 }, () => Effect.succeed(notes.handlers))
      const room = rooms.get(general)
      const held = yield* room.open("x", { as: { id: "alice" } })
      yield* notes.flush(room)
      held.leave()
      yield* TestClock.adjust("1 millis")
      yield* noActors(rooms)
      assert.deepStrictEqual(notes.lines, ["+alice x", "-alice left"])
    })
  )
})
