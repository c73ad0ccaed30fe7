/**
 * A room is a channel: broadcasts, who is left out, and the callback form of subscribing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms, Subscription } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { drain, general } from "../support/channels.ts"
import { BoardApi, type BoardEvent, FakeConnection, Place, traces, until } from "../support/rooms.ts"

const other = Place.ref`other`
const nothing = { members: 0, rooms: 0, actors: 0 }
const said = (data: string): BoardEvent => ({ event: "said", data })

describe("events", () => {
  it.effect("a subscription sees every broadcast of its room, the excepted see the others", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const [room, alice] = [rooms.get(general), new FakeConnection("alice")]
      const everything = yield* room.subscribe()
      const hers = yield* Effect.provideService(room.subscribe(), Subscription.CurrentReceiver, alice)
      yield* room.broadcast("said", "one")
      yield* room.broadcast("counted", 2, { except: alice })
      yield* room.publish("said", "three", { as: alice })
      yield* rooms.get(other).broadcast("said", "elsewhere")
      assert.deepStrictEqual(drain(everything), [said("one"), { event: "counted", data: 2 }, said("three")])
      assert.deepStrictEqual(drain(hers), [said("one")])
    })
  )

  it.effect("W3: subscribe with a function calls it with every event until it is called off; it creates nothing", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const room = rooms.get(general)
      const [seen, marks]: [Array<BoardEvent>, Array<BoardEvent>] = [[], []]
      assert.strictEqual(room.name, "general")
      const off = room.subscribe((event) => void seen.push(event))
      const marked = (count: number) => until(Effect.sync(() => marks.length === count))
      const offMarks = room.subscribe((event) => void marks.push(event))
      yield* room.broadcast("said", "one")
      yield* room.publish("said", "two")
      yield* marked(2)
      assert.deepStrictEqual(seen, [said("one"), said("two")])
      yield* room.broadcast("said", "late")
      off()
      off()
      yield* room.broadcast("said", "after")
      yield* marked(4)
      assert.deepStrictEqual(seen, [said("one"), said("two")])
      offMarks()
      assert.deepStrictEqual(yield* traces(rooms), nothing)
    })
  )

  it.effect("what handlers are there to look at does not pass them by while the room is not live", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.succeed({ onMessage: () => Effect.void }))
      const room = rooms.get(general)
      const events = yield* room.subscribe()
      const { reason } = yield* Effect.flip(room.publish("said", "unmoderated"))
      assert.strictEqual(reason._tag, "RoomClosed")
      assert.strictEqual(events.pending, 0)
      assert.strictEqual(yield* rooms.actors, 0)
    })
  )

  it.effect("W3: a function that calls itself off is called no more, one that throws is logged and called again", () =>
    Effect.gen(function* () {
      const log: Array<unknown> = []
      const collect = Logger.make(({ message }) => void log.push(Array.isArray(message) ? message[0] : message))
      const rooms = yield* Rooms.make(BoardApi).pipe(Effect.provide(Logger.layer([collect])))
      const room = rooms.get(general)
      const once: Array<BoardEvent> = []
      const off = room.subscribe((event) => {
        once.push(event)
        off()
      })
      const seen: Array<BoardEvent> = []
      room.subscribe((event) => {
        seen.push(event)
        throw new Error("boom")
      })
      for (const text of ["one", "two", "three"]) yield* room.broadcast("said", text)
      yield* until(Effect.sync(() => seen.length === 3))
      assert.deepStrictEqual(once, [said("one")])
      assert.deepStrictEqual(log, [
        "a room's subscriber threw",
        "a room's subscriber threw",
        "a room's subscriber threw"
      ])
    })
  )

  it.effect("W3: a function is called no more when the service has stopped", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const rooms = yield* Scope.provide(Rooms.make(BoardApi), scope)
      const seen: Array<BoardEvent> = []
      const off = rooms.get(general).subscribe((event) => void seen.push(event))
      yield* Scope.close(scope, Exit.void)
      yield* rooms.get(general).broadcast("said", "late")
      off()
      assert.deepStrictEqual(seen, [])
    })
  )
})
