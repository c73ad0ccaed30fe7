/**
 * The actor of a live room: turns, order, bounds and idleness.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { drain, general } from "../support/channels.ts"
import { begin, BoardApi, FakeConnection, noActors, Notes, outcome, Place, until } from "../support/rooms.ts"

const other = Place.ref`other`

describe("turns", () => {
  it.effect("handlers run one at a time, in the order in which things came", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      let running = 0
      const alone = (line: string) =>
        Effect.gen(function* () {
          assert.strictEqual(++running, 1)
          yield* Effect.yieldNow
          yield* notes.note(line)
          yield* Effect.yieldNow
          running--
        })
      const rooms = yield* Rooms.make(BoardApi, {}, () =>
        Effect.succeed({
          onJoin: ({ data }) => alone(`+${data}`),
          onLeave: ({ data }, reason) => alone(`-${data} ${reason}`),
          onMessage: (request) =>
            request.message.event === "flush" ? notes.onMessage(request) : alone(`${request.message.data}`)
        })
      )
      const room = rooms.get(general)
      const [alice, bob] = [new FakeConnection("alice"), new FakeConnection("bob")]
      const first = yield* room.join("alice", { as: alice })
      yield* room.publish("said", "one", { as: alice })
      yield* room.join("bob", { as: bob })
      yield* room.publish("said", "two", { as: bob })
      first.leave()
      yield* room.publish("said", "three", { as: bob })
      bob.close()
      yield* room.join("carol")
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.lines, [
        "+alice",
        "one",
        "+bob",
        "two",
        "-alice left",
        "three",
        "-bob gone",
        "+carol"
      ])
    })
  )

  it.effect("rooms run in parallel: one whose handler hangs holds up no other", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, (room) =>
        Effect.succeed({
          ...notes.handlers,
          onJoin: (member) => (room.name === "general" ? Effect.never : notes.onJoin(member))
        })
      )
      yield* rooms.get(general).join("x", { as: { id: "stuck" } })
      yield* rooms.get(other).join("y", { as: { id: "bob" } })
      yield* notes.flush(rooms.get(other))
      assert.deepStrictEqual(notes.lines, ["+bob y"])
      assert.strictEqual(yield* rooms.actors, 2)
    })
  )

  it.effect("a member that joins again is not announced twice, and leaves once", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, () => Effect.succeed(notes.handlers))
      const room = rooms.get(general)
      const alice = new FakeConnection("alice")
      yield* room.join("old", { as: alice })
      yield* room.join("new", { as: alice })
      alice.close()
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.lines, ["+alice old", "-alice gone"])
    })
  )

  it.effect("what members publish goes to onMessage, and without it to the others", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, (room) =>
        Effect.succeed(room.name === "general" ? notes.handlers : {})
      )
      const alice = new FakeConnection("alice")
      const everything = [yield* rooms.get(general).subscribe(), yield* rooms.get(other).subscribe()] as const
      yield* rooms.get(general).join("x", { as: alice })
      yield* rooms.get(other).join("x", { as: alice })
      yield* rooms.get(general).publish("said", "one", { as: alice })
      yield* rooms.get(other).publish("said", "two", { as: alice })
      yield* notes.flush(rooms.get(general))
      const seen = yield* everything[1].take
      assert.deepStrictEqual(notes.lines, ["+alice x", "alice: one"])
      assert.deepStrictEqual(drain(everything[0]), [])
      assert.deepStrictEqual(seen, { event: "said", data: "two" })
    })
  )

  it.effect("RoomBusy: beyond mailboxCapacity joins and publishes are refused, leaving is not", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const gate = yield* Deferred.make<void>()
      const rooms = yield* Rooms.make(BoardApi, { mailboxCapacity: 2 }, () =>
        Effect.succeed({
          ...notes.handlers,
          onJoin: (member) => Effect.andThen(Deferred.await(gate), notes.onJoin(member))
        })
      )
      const room = rooms.get(general)
      const alice = new FakeConnection("alice")
      const held = yield* room.join("x", { as: alice })
      yield* Effect.yieldNow
      assert.deepStrictEqual(
        [
          yield* outcome(room.publish("said", "1", { as: alice })),
          yield* outcome(room.publish("said", "2", { as: alice })),
          yield* outcome(room.publish("said", "3", { as: alice })),
          yield* outcome(room.open("y"))
        ],
        ["ok", "ok", "RoomBusy", "RoomBusy"]
      )
      assert.strictEqual(yield* room.size, 1)
      const refused = yield* Effect.flip(room.open("y"))
      assert.deepStrictEqual(refused.message, "the room is busy: 2 messages wait for its handlers")
      assert.isTrue(held.leave())
      yield* Deferred.succeed(gate, undefined)
      yield* until(Effect.sync(() => notes.lines.length === 4))
      assert.deepStrictEqual(notes.lines, ["+alice x", "alice: 1", "alice: 2", "-alice left"])
    })
  )
})

describe("the body", () => {
  it.effect("runs once per live room, in a scope that ends with the actor", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, { maxIdleTime: "1 minute" }, (room) =>
        Effect.gen(function* () {
          yield* notes.note(`open ${room.name}`)
          yield* Effect.addFinalizer(() => notes.note(`close ${room.name}`))
          let count = 0
          return { ...notes.handlers, onJoin: () => notes.note(`${++count}`) }
        })
      )
      const room = rooms.get(general)
      const both = [yield* room.open("x"), yield* room.open("y")]
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.taken(), ["open general", "1", "2"])
      for (const membership of both) membership.leave()
      yield* notes.flush(room)
      yield* TestClock.adjust("1 minute")
      yield* noActors(rooms)
      assert.deepStrictEqual(notes.taken().slice(-1), ["close general"])
      yield* room.open("z")
      yield* notes.flush(room)
      assert.deepStrictEqual(notes.lines, ["open general", "1"])
    })
  )

  it.effect("has run before the first join returns; others that join meanwhile wait for the same run", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      let runs = 0
      const rooms = yield* Rooms.make(BoardApi, {}, () =>
        Effect.suspend(() => {
          runs++
          return Effect.as(Deferred.await(gate), {})
        })
      )
      const room = rooms.get(general)
      const joins = [yield* begin(room.open("x")), yield* begin(room.open("y"))]
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual(yield* room.size, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(joins)
      assert.deepStrictEqual([runs, yield* room.size], [1, 2])
    })
  )

  it.effect("sees the services of whoever made the rooms, and acquires into the room's own scope", () =>
    Effect.gen(function* () {
      class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}
      const notes = new Notes()
      const scope = yield* Scope.make()
      const make = Rooms.make(BoardApi, { maxIdleTime: "1 second" }, (room) =>
        Effect.gen(function* () {
          const greeting = yield* Greeting
          yield* Effect.acquireRelease(notes.note(greeting), () => notes.note(`bye ${room.name}`))
          return { onMessage: notes.onMessage }
        })
      )
      const rooms = yield* make.pipe(Effect.provideService(Greeting, "hello"), Scope.provide(scope))
      ;(yield* rooms.get(general).open("x")).leave()
      yield* notes.flush(rooms.get(general))
      yield* TestClock.adjust("1 second")
      yield* noActors(rooms)
      assert.deepStrictEqual(notes.taken(), ["hello", "bye general"])
      yield* rooms.get(other).open("x")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(notes.taken(), ["hello", "bye other"])
    })
  )

  it.effect("may look at, publish to and broadcast in its own room", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, (room) =>
        Effect.gen(function* () {
          const before = [yield* room.size, yield* room.members]
          yield* room.broadcast("said", `body sees ${JSON.stringify(before)}`)
          yield* Effect.orDie(room.publish("said", "from the body", { as: { id: "body" } }))
          return notes.handlers
        })
      )
      const room = rooms.get(general)
      const events = yield* room.subscribe()
      yield* room.join("x", { as: { id: "alice" } })
      yield* notes.flush(room)
      assert.deepStrictEqual(drain(events), [{ event: "said", data: "body sees [0,[]]" }])
      assert.deepStrictEqual(notes.lines, ["body: from the body", "+alice x"])
    })
  )

  it.effect("a handler that publishes to, joins and closes its own room does not wait for itself", () =>
    Effect.gen(function* () {
      const notes = new Notes()
      const rooms = yield* Rooms.make(BoardApi, {}, (room) =>
        Effect.succeed({
          ...notes.handlers,
          onJoin: (member) =>
            Effect.andThen(
              notes.onJoin(member),
              member.id === "bot" ? Effect.void : Effect.orDie(room.open("robot", { as: { id: "bot" } }))
            ),
          onMessage: ({ member, message }) =>
            Effect.andThen(
              notes.note(`${member.id}: ${message.data}`),
              message.data === "hello"
                ? Effect.orDie(room.publish("said", "end", { as: { id: "bot" } }))
                : room.close("end")
            )
        })
      )
      const room = rooms.get(general)
      yield* room.join("x", { as: { id: "alice" } })
      yield* room.publish("said", "hello", { as: { id: "alice" } })
      yield* noActors(rooms)
      assert.deepStrictEqual(notes.lines, [
        "+alice x",
        "alice: hello",
        "+bot robot",
        "bot: end",
        "-alice end",
        "-bot end"
      ])
      assert.strictEqual(yield* room.size, 0)
    })
  )
})
