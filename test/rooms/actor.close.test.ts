/**
 * How the actor of a room ends: closed, or stopped with the service.
 */
import { assert, describe, it } from "@effect/vitest"
import { RoomError, Rooms } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { general } from "../support/channels.ts"
import { begin, BoardApi, brief, FakeConnection, ids, noActors, Notes, outcome, traces } from "../support/rooms.ts"

describe("close", () => {
  it.effect("takes everybody out with its reason, and ends the actor when its handlers have been told", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, () =>
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => notes.note("end"))
          return notes.handlers
        })
      )
      const room = rooms.get(general)
      const alice = new FakeConnection("alice")
      const held = yield* room.open("x", { as: alice })
      yield* room.open("y", { as: { id: "bob" } })
      yield* room.close("maintenance")
      assert.deepStrictEqual([yield* room.size, alice.waiting, held.leave()], [0, 0, false])
      yield* noActors(rooms)
      assert.deepStrictEqual(notes.lines, ["+alice x", "+bob y", "-alice maintenance", "-bob maintenance", "end"])
    })
  )

  it.effect("refuses joins and publishes with its reason until the handlers are done, then a join begins anew", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const gate = yield* Deferred.make<void>()
      let bodies = 0
      const rooms = yield* Rooms.make(BoardApi, {}, () =>
        Effect.gen(function* () {
          bodies++
          yield* Effect.addFinalizer(() => notes.note("end"))
          return {
            ...notes.handlers,
            onLeave: (member, reason) => Effect.andThen(Deferred.await(gate), notes.onLeave(member, reason))
          }
        })
      )
      const room = rooms.get(general)
      yield* room.open("x", { as: { id: "alice" } })
      yield* room.close("maintenance")
      const refused = yield* Effect.flip(room.open("y", { as: { id: "bob" } }))
      assert.deepStrictEqual(refused.reason, new RoomError.RoomClosed({ reason: "maintenance" }))
      assert.strictEqual(yield* outcome(room.publish("said", "y", { as: { id: "bob" } })), "RoomClosed")
      assert.deepStrictEqual([bodies, yield* rooms.actors, yield* room.size], [1, 1, 0])
      yield* Deferred.succeed(gate, undefined)
      yield* noActors(rooms)
      yield* room.open("y", { as: { id: "bob" } })
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.lines, ["+alice x", "-alice maintenance", "end", "+bob y"])
      assert.strictEqual(bodies, 2)
    })
  )

  it.effect("fails the joins that wait for the body, at once", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.never)
      const room = rooms.get(general)
      const joining = yield* begin(room.open("x"))
      yield* room.close("maintenance")
      const refused = yield* Effect.flip(Fiber.join(joining))
      assert.deepStrictEqual(refused.reason, new RoomError.RoomClosed({ reason: "maintenance" }))
    })
  )

  it.effect("a room without handlers takes joins again at once", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const room = rooms.get(general)
      yield* room.open("x")
      yield* room.close("maintenance")
      assert.strictEqual(yield* room.size, 0)
      yield* room.open("y", { as: { id: "bob" } })
      assert.deepStrictEqual(ids(yield* room.members), ["bob"])
    })
  )

  it.effect("of a room that is not live does nothing", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.succeed({}))
      yield* rooms.get(general).close("maintenance")
      assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 0 })
      assert.strictEqual(yield* outcome(rooms.get(general).open("x")), "ok")
    })
  )
})

describe("the end of the service", () => {
  it.effect("stops every actor, also one that closes and one whose handler hangs", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const scope = yield* Scope.make()
      const make = Rooms.make(BoardApi, {}, (room) =>
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => notes.note(`end ${room.name}`))
          return { onLeave: () => Effect.never, onMessage: () => Effect.never }
        })
      )
      const rooms = yield* Scope.provide(make, scope)
      const { ref } = BoardApi.key
      yield* rooms.get(ref`closing`).open("x")
      yield* rooms.get(ref`closing`).close("maintenance")
      yield* rooms.get(ref`hanging`).open("x")
      yield* rooms.get(ref`hanging`).publish("said", "x")
      yield* rooms.get(ref`fresh`).open("x")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(notes.lines.toSorted(), ["end closing", "end fresh", "end hanging"])
      assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 0 })
    })
  )

  it.effect("fails the joins that wait and those that come later, and lets nobody's callbacks behind", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const options = {
        canJoin: ({ data }: { readonly data: string }) =>
          Effect.as(data === "slow" ? Deferred.await(gate) : Effect.void, true)
      }
      const rooms = yield* Scope.provide(
        Rooms.make(BoardApi, options, ({ name }) => (name === "general" ? Effect.never : Effect.succeed({}))),
        scope
      )
      const alice = new FakeConnection("alice")
      yield* rooms.get(BoardApi.key.ref`live`).open("x", { as: alice })
      const body = yield* begin(rooms.get(general).open("x", { as: alice }))
      const policy = yield* begin(rooms.get(general).open("slow", { as: alice }))
      yield* Scope.close(scope, Exit.void)
      const refused = yield* Effect.flip(Fiber.join(body))
      assert.deepStrictEqual(refused.reason, new RoomError.RoomClosed({ reason: "the server stops" }))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(brief(yield* Fiber.await(policy)), "RoomClosed")
      assert.strictEqual(yield* outcome(rooms.get(general).open("later")), "RoomClosed")
      assert.strictEqual(alice.waiting, 0)
      assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 0 })
    })
  )

  it.effect("does not wait for a body that has not begun", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const rooms = yield* Scope.provide(
        Rooms.make(BoardApi, {}, () => Effect.succeed({})),
        scope
      )
      const joining = yield* begin(rooms.get(general).open("x"))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(brief(yield* Fiber.await(joining)), "RoomClosed")
    })
  )
})
