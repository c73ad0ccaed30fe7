/**
 * What a kind of room offers: membership, policies, events, the callback form, services and metrics.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Ref, RoomApi, RoomError, Rooms, Subscription } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { drain, general, User } from "../support/channels.ts"
import {
  BoardApi,
  type BoardEvent,
  type BoardRooms,
  FakeConnection,
  ids,
  outcome,
  Place,
  traces
} from "../support/rooms.ts"

const other = Place.ref`other`
const nothing = { members: 0, rooms: 0, actors: 0 }
const said = (data: string): BoardEvent => ({ event: "said", data })

describe("membership", () => {
  it.effect("J4: members are listed with their data and wall time until their scope closes", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const room = rooms.get(general)
      const scope = yield* Scope.make()
      const before = yield* DateTime.now
      yield* Scope.provide(room.join("Alice", { as: { id: "alice" } }), scope)
      yield* TestClock.adjust("1 minute")
      yield* room.join("Bob", { as: { id: "bob" } })
      const joinedAt = [before, DateTime.add(before, { minutes: 1 })] as const
      assert.deepStrictEqual(yield* room.members, [
        { id: "alice", data: "Alice", joinedAt: joinedAt[0] },
        { id: "bob", data: "Bob", joinedAt: joinedAt[1] }
      ])
      const [listed] = yield* rooms.list
      assert.deepStrictEqual([listed!.ref.identifier, listed!.size], ["general", 2])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(ids(yield* room.members), ["bob"])
    })
  )

  it.effect("J4: using gives a place back at the end of the block, and the empty room with it", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const room = rooms.get(general)
      const open = () => Effect.runPromise(room.open("Alice"))
      yield* Effect.promise(async () => {
        using membership = await open()
        assert.strictEqual(membership.member.data, "Alice")
        assert.strictEqual(Effect.runSync(room.size), 1)
      })
      assert.deepStrictEqual(yield* traces(rooms), nothing)
    })
  )

  it.effect("the member is the connection the fiber works for, and leaves in the step in which that closes", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const alice = new FakeConnection("alice")
      const joining = Effect.all([rooms.get(general).open("x"), rooms.get(other).open("y")])
      yield* Effect.provideService(joining, Subscription.CurrentReceiver, alice)
      assert.deepStrictEqual((yield* rooms.roomsOf(alice)).map(({ identifier }) => identifier).toSorted(), [
        "general",
        "other"
      ])
      alice.close()
      assert.deepStrictEqual(yield* traces(rooms), nothing)
    })
  )

  it.effect("members without a connection have ids of their own", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const joined = yield* Effect.forEach([general, general, other], (ref) => rooms.get(ref).join("x"))
      assert.strictEqual(new Set(ids(joined.map(({ member }) => member))).size, 3)
    })
  )

  it.effect("P5: a join into a scope that is closed leaves nothing", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi)
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const alice = new FakeConnection("alice")
      yield* Effect.exit(Scope.provide(rooms.get(general).join("x", { as: alice }), scope))
      assert.deepStrictEqual([alice.waiting, yield* traces(rooms)], [0, nothing])
    })
  )

  it.effect("a full room refuses with its capacity, but not who is in already", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, { capacity: 1 })
      const room = rooms.get(general)
      const bob = new FakeConnection("bob")
      yield* room.open("x", { as: { id: "alice" } })
      const refused = yield* Effect.flip(room.open("y", { as: bob }))
      assert.deepStrictEqual(refused, new RoomError.RoomError({ reason: new RoomError.RoomFull({ capacity: 1 }) }))
      assert.strictEqual(refused.message, "the room is full: it takes 1 members")
      assert.strictEqual(bob.waiting, 0)
      assert.strictEqual(yield* outcome(room.open("z", { as: { id: "alice" } })), "ok")
      yield* room.leave({ id: "alice" })
      assert.strictEqual(yield* outcome(room.open("y", { as: bob })), "ok")
    })
  )

  for (const [name, value] of [
    ["capacity", 0],
    ["capacity", 1.5],
    ["mailboxCapacity", Number.NaN]
  ] as const) {
    it.effect(`dies with a RangeError when ${name} is ${value}`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Rooms.make(BoardApi, { [name]: value }))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Cause.squash(exit.cause), RangeError)
      })
    )
  }
})

describe("policies", () => {
  it.effect("canJoin runs on every join with everything it needs, in a scope of the question", () =>
    Effect.gen(function* () {
      class Bans extends Context.Service<Bans, ReadonlyArray<string>>()("test/Bans") {}
      const log: Array<string> = []
      const rooms = yield* Rooms.make(BoardApi, {
        canJoin: ({ data, member, ref }) =>
          Effect.gen(function* () {
            yield* Effect.addFinalizer(() => Effect.sync(() => void log.push("asked")))
            log.push(`${member.id} ${ref.identifier} ${data}`)
            return !(yield* Bans).includes(data)
          })
      }).pipe(Effect.provideService(Bans, ["bad"]))
      const room = rooms.get(general)
      const alice = new FakeConnection("alice")
      assert.strictEqual(yield* outcome(room.open("good", { as: alice })), "ok")
      assert.strictEqual(yield* outcome(room.open("bad", { as: alice })), "NotAllowed")
      assert.deepStrictEqual(log, ["alice general good", "asked", "alice general bad", "asked"])
      assert.deepStrictEqual(
        (yield* room.members).map(({ data }) => data),
        ["good"]
      )
    })
  )

  it.effect("canPublish decides about what members publish, and not about the server's broadcasts", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, {
        canPublish: ({ message }) => Effect.succeed(message.event === "said" && message.data !== "spam")
      })
      const room = rooms.get(general)
      const events = yield* room.subscribe()
      const refused = yield* Effect.flip(room.publish("said", "spam"))
      assert.deepStrictEqual(refused.reason, new RoomError.NotAllowed({ action: "publish" }))
      yield* room.publish("said", "hello")
      yield* room.broadcast("said", "spam")
      assert.deepStrictEqual(drain(events), [said("hello"), said("spam")])
    })
  )

  it.effect("SEC13: a join that is refused, and looking at rooms, starts no actor and leaves no trace", () =>
    Effect.gen(function* () {
      let bodies = 0
      const rooms = yield* Rooms.make(BoardApi, { canJoin: () => Effect.succeed(false) }, () =>
        Effect.sync(() => {
          bodies++
          return {}
        })
      )
      for (let n = 0; n < 100_000; n++) rooms.get(Place.ref.make(`room/${n}`))
      const room = rooms.get(general)
      yield* Effect.all([room.members, room.size, room.close("x"), room.leave({ id: "x" }), rooms.roomsOf({ id: "x" })])
      assert.strictEqual(yield* outcome(room.open("x")), "NotAllowed")
      assert.deepStrictEqual([bodies, yield* traces(rooms)], [0, nothing])
    })
  )
})

describe("services", () => {
  class Boards extends Rooms.Service<Boards>()("test/Boards", BoardApi, { capacity: 1 }) {}

  it.effect("layer provides rooms without handlers, toLayer rooms with a body, both with the options", () =>
    Effect.gen(function* () {
      const look = Effect.gen(function* () {
        const boards = yield* Boards
        yield* boards.get(general).open("x")
        return [yield* outcome(boards.get(general).open("y")), yield* boards.actors] as const
      })
      assert.deepStrictEqual(yield* Effect.provide(look, Boards.layer), ["RoomFull", 0])
      const live = Boards.toLayer(() => Effect.succeed({}))
      assert.deepStrictEqual(yield* Effect.provide(look, live), ["RoomFull", 1])
    })
  )

  it.effect("a body's scope and services come from the layer", () =>
    Effect.gen(function* () {
      class Tasks extends Context.Service<Tasks, Array<string>>()("test/Tasks") {}
      const live = Boards.toLayer((room) =>
        Effect.gen(function* () {
          const tasks = yield* Tasks
          yield* Effect.addFinalizer(() => Effect.sync(() => void tasks.push(`end ${room.name}`)))
          tasks.push(`begin ${room.name}`)
          return {}
        })
      )
      expectTypeOf(live).toEqualTypeOf<Layer.Layer<Boards, never, Tasks>>()
      const tasks: Array<string> = []
      const use = Effect.flatMap(Boards, (boards) => boards.get(general).open("x"))
      yield* Effect.provide(use, Layer.provide(live, Layer.succeed(Tasks, tasks)))
      assert.deepStrictEqual(tasks, ["begin general", "end general"])
    })
  )

  it.effect("members and refusals are counted by kind of room, never by room", () =>
    Effect.gen(function* () {
      const metrics = Effect.map(Metric.snapshot, (all) =>
        all
          .filter(({ id }) => id.startsWith("effect_rooms_room_"))
          .map(({ attributes, id, state }) => {
            const amount = "count" in state ? state.count : "value" in state ? state.value : ""
            return `${id} ${JSON.stringify(attributes)} ${String(amount)}`
          })
          .toSorted()
      )
      const scope = yield* Scope.make()
      const rooms = yield* Scope.provide(Rooms.make(BoardApi, { capacity: 1 }), scope)
      yield* rooms.get(general).open("x")
      yield* rooms.get(other).open("x")
      yield* outcome(rooms.get(other).open("y"))
      assert.deepStrictEqual(yield* metrics, [
        'effect_rooms_room_members {"kind":"board"} 2',
        'effect_rooms_room_refusals {"kind":"board","reason":"RoomFull"} 1'
      ])
      yield* Scope.close(scope, Exit.void)
      assert.include(yield* metrics, 'effect_rooms_room_members {"kind":"board"} 0')
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

/** Compiled, never run. */
const misuse = (rooms: BoardRooms) => {
  const room = rooms.get(general)
  return [
    // @ts-expect-error a user is no place
    rooms.get(User.ref`alice`),
    // @ts-expect-error no such event
    room.broadcast("shouted", "x"),
    // @ts-expect-error counted is a number
    room.broadcast("counted", "x"),
    // @ts-expect-error said is a string
    room.publish("said", 1),
    // @ts-expect-error what is known of a member is a string
    room.join({ username: "Alice" })
  ]
}

describe("types", () => {
  it("refuse a reference of another entity, unknown events and data of another type", () => {
    expectTypeOf(misuse).parameters.toEqualTypeOf<[BoardRooms]>()
    expectTypeOf<BoardRooms["perNode"]>().toEqualTypeOf<true>()
    expectTypeOf<BoardEvent>().toEqualTypeOf<
      | { readonly event: "said"; readonly data: string }
      | { readonly event: "counted"; readonly data: number }
      | { readonly event: "flush"; readonly data: number }
    >()
    class Thing extends Ref.Entity<Thing>()("Thing") {}
    const things = RoomApi.make("thing", { key: Thing, events: { moved: Schema.Int }, member: Schema.Int })
    expectTypeOf(things).toEqualTypeOf<RoomApi.RoomApi<Thing, { readonly moved: typeof Schema.Int }, number>>()
    assert.deepStrictEqual(Object.keys(things), ["name", "key", "events", "member"])
    // @ts-expect-error who may join is for `canJoin` to say
    RoomApi.make("thing", { key: Thing, events: {}, member: Schema.Int, join: "client" })
  })
})
