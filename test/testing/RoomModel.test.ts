/**
 * Rooms as they should be pass their model, also rooms that do much by themselves; what a check says when one fails.
 */
import { assert, describe, it } from "@effect/vitest"
import { RoomApi, Rooms } from "effect-rooms"
import { RoomModel } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { BoardApi, type BoardRooms, Place } from "../support/rooms.ts"

const said = (data: string) => ({ event: "said", data }) as const
const spec = {
  data: ["first", "second"],
  publishes: [said("hello"), said("bye")],
  broadcasts: [said("news")],
  capacity: 2
}
const options = { capacity: 2 }

const Role = Schema.Literals(["host", "guest"])
const CrewApi = RoomApi.make("crew", {
  key: Place,
  events: { promoted: Role },
  member: Schema.Struct({ name: Schema.String, role: Role })
})

/** What a check that must fail says; the same each time. */
const failure = <E>(check: Effect.Effect<void, E>): Effect.Effect<RoomModel.RoomModelError> =>
  Effect.map(Effect.flip(check).pipe(Effect.orDie, Random.withSeed("planted")), (error) => {
    assert.instanceOf(error, RoomModel.RoomModelError)
    return error
  })

/** A policy: one member at most has the data `first`. */
const onlyOneFirst = (data: string, members: ReadonlyArray<{ readonly data: string }>) =>
  data !== "first" || members.every((member) => member.data !== "first")

const dies = (): never => {
  throw new Error("boom")
}

describe("rooms that pass", () => {
  it("need no test runner and no test clock of their own", () =>
    Effect.runPromise(RoomModel.check(Rooms.make(BoardApi, options), Layer.empty, { ...spec, body: "none" })))

  it.effect("pass with handlers whose events are not foretold, also when time makes them speak", () =>
    RoomModel.check(
      Rooms.make(BoardApi, options, (room) =>
        Effect.as(Effect.forkScoped(Effect.forever(Effect.delay(room.broadcast("counted", 1), "10 seconds"))), {
          onJoin: () => Effect.flatMap(room.size, (size) => room.broadcast("counted", size)),
          onMessage: ({ member, message }) => room.broadcast("said", `${message.data}`, { except: member })
        })
      ),
      Layer.empty,
      spec
    )
  )

  it.effect("pass with handlers that take members out and close their room, when the body of the model does", () =>
    RoomModel.check(
      Rooms.make(BoardApi, options, (room) =>
        Effect.succeed({
          onMessage: ({ member, message }) =>
            message.data === "bye" ? Effect.asVoid(room.leave(member)) : room.close("said hello"),
          onLeave: (member, reason) =>
            Effect.flatMap(room.members, (left) => room.broadcast("said", `${member.id} ${reason} ${left.length}`))
        })
      ),
      Layer.empty,
      {
        ...spec,
        body: (room) => ({
          onMessage: ({ member, message }) => {
            if (message.data === "bye") room.leave(member)
            else room.close("said hello")
          },
          onLeave: (member, reason) => room.broadcast("said", `${member.id} ${reason} ${room.members.length}`)
        })
      }
    )
  )

  it.effect("pass with policies that take their time and look at who is in", () => {
    const making = Effect.gen(function* () {
      const rooms: BoardRooms = yield* Rooms.make(BoardApi, {
        canJoin: ({ data, ref }) =>
          Effect.map(Effect.delay(rooms.get(ref).members, "5 millis"), (members) => onlyOneFirst(data, members)),
        canPublish: ({ message }) => Effect.succeed(message.data !== "bye")
      })
      return rooms
    })
    return RoomModel.check(making, Layer.empty, {
      ...spec,
      capacity: undefined,
      body: "none",
      canJoin: ({ data, members }) => onlyOneFirst(data, members),
      canPublish: ({ message }) => message.data !== "bye"
    })
  })

  it.effect("pass with members whose fields are unions, written in place", () => {
    class Crews extends Rooms.Service<Crews>()("test/Crews", CrewApi, options) {}
    return RoomModel.check(Crews, Crews.layer, {
      capacity: 2,
      body: "none",
      data: [
        { name: "Ann", role: "host" },
        { name: "Bob", role: "guest" }
      ],
      publishes: [{ event: "promoted", data: "host" }]
    })
  })

  it.effect("run a list of commands with members whose fields are literals", () =>
    Effect.flatMap(Rooms.make(CrewApi), (rooms) =>
      RoomModel.run(rooms, { body: "none", data: [{ name: "Ann", role: "host" }] }, [
        { _tag: "Join", room: "red", member: "ann", data: { name: "Ann", role: "guest" }, how: "open" }
      ])
    )
  )

  const own: RoomModel.Spec<Place, (typeof BoardApi)["events"], string> = { ...spec, maxIdleTime: 20, body: "none" }
  const commands = RoomModel.commands(own, { maxLength: 20 })

  it.effect.prop("pass in a property test of one's own", { commands }, (input) =>
    Effect.flatMap(Rooms.make(BoardApi, { ...options, maxIdleTime: 20 }), (rooms) =>
      RoomModel.run(rooms, own, input.commands)
    )
  )

  it.effect("have a clock, random numbers and metrics of their own in every run", () =>
    Effect.gen(function* () {
      class Boards extends Rooms.Service<Boards>()("test/Boards", BoardApi, options) {}
      const numbers = new Set<number>()
      const layer = Layer.tap(Boards.layer, () => Effect.map(Random.next, (number) => numbers.add(number)))
      const metrics = new Map()
      // The same layer, built once for everything around, is not the one of the runs.
      const check = Effect.provide(RoomModel.check(Boards, layer, { ...spec, body: "none" }), layer)
      yield* Effect.provideService(check, Metric.MetricRegistry, metrics)
      assert.strictEqual(numbers.size, 2)
      const refusals = Array.from(metrics.values()).filter(({ id }) => id === "effect_rooms_room_refusals")
      assert.isEmpty(refusals)
    })
  )

  it.effect("what makes no sense does nothing", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, options, () => Effect.succeed({}))
      const [room, member] = ["red", "ann"]
      yield* RoomModel.run(rooms, { ...spec, body: () => ({}) }, [
        { _tag: "Leave", room, member, join: "last", how: "scope" },
        { _tag: "Leave", room, member, join: "before", how: "leave" },
        { _tag: "Remove", room, member },
        { _tag: "LeaveAll", member },
        { _tag: "Publish", room, member, message: said("hello") },
        { _tag: "Close", room },
        { _tag: "Disconnect", member, ending: "lost", again: false },
        { _tag: "Disconnect", member, ending: "clean", again: false },
        { _tag: "Join", room, member, data: "first", how: "open" },
        { _tag: "Pass", millis: 1 }
      ])
    })
  )
})

describe("an invariant", () => {
  it.effect("is given what was sent since the body last ran, and may use what the layer provides", () => {
    class Counts extends Context.Service<Counts, Map<string, number>>()("test/Counts") {}
    const making = Effect.flatMap(Counts, (counts) =>
      Rooms.make(BoardApi, { ...options, maxIdleTime: 20 }, (room) => {
        counts.set(room.name, 0)
        const count = () => {
          const next = counts.get(room.name)! + 1
          counts.set(room.name, next)
          return room.broadcast("counted", next)
        }
        return Effect.succeed({ onJoin: count, onMessage: count })
      })
    )
    return RoomModel.check(
      making,
      Layer.sync(Counts, () => new Map()),
      {
        ...spec,
        broadcasts: [],
        maxIdleTime: 20,
        invariant: ({ events, name }) =>
          Effect.flatMap(Counts, (counts) =>
            Effect.sync(() => assert.strictEqual(events.length, counts.get(name) ?? 0))
          )
      }
    )
  })

  it.effect("that fails or dies is the failure of the check, with its cause", () =>
    Effect.gen(function* () {
      const boom = new Error("boom")
      for (const broken of [Effect.fail(boom), Effect.die(boom)]) {
        const invariant = ({ members }: { readonly members: ReadonlyArray<unknown> }) =>
          members.length > 1 ? broken : Effect.void
        const error = yield* failure(
          RoomModel.check(Rooms.make(BoardApi, options), Layer.empty, { ...spec, body: "none", invariant })
        )
        assert.match(error.observable, /^invariant of /)
        assert.strictEqual(error.actual, "boom")
        assert.strictEqual(error.cause, boom)
        assert.strictEqual(error.commands.length, 2)
      }
    })
  )
})

describe("a check that fails", () => {
  const onlyOne = RoomModel.check(Rooms.make(BoardApi, { capacity: 1 }), Layer.empty, { ...spec, body: "none" })

  it.effect("says what was done, what was looked at, what should be and what is", () =>
    Effect.gen(function* () {
      const error = yield* failure(onlyOne)
      assert.deepStrictEqual([error.observable, error.expected, error.actual], ["answer", "ok", "RoomFull"])
      assert.strictEqual(
        error.message,
        [
          "answer",
          "  expected: ok",
          "  actual:   RoomFull",
          "after 2 command(s)",
          ...error.commands.map((command) => `  ${command}`),
          `replay: ${error.replay}`
        ].join("\n")
      )
      for (const command of error.commands) {
        assert.match(command, /^Join \{"room":"(red|blue)","member":"\w+","data":"first","how":"(scope|nobody)"\}$/)
      }
    })
  )

  it.effect("can be run again by itself, until it is mended", () =>
    Effect.gen(function* () {
      const { commands, replay } = yield* failure(onlyOne)
      const again = (capacity: number) =>
        RoomModel.check(Rooms.make(BoardApi, { capacity }), Layer.empty, { ...spec, body: "none" }, { replay })
      assert.deepStrictEqual((yield* failure(again(1))).commands, commands)
      const exit = yield* Effect.exit(again(2))
      assert.include(String(exit), "Property replay failed")
    })
  )

  it.effect("has the log of its run, and nothing on the console", () =>
    Effect.gen(function* () {
      const dying = Rooms.make(BoardApi, options, () =>
        Effect.succeed({
          onJoin: () => Effect.andThen(Effect.logWarning("about to die"), Effect.die(new Error("boom")))
        })
      )
      const error = yield* failure(RoomModel.check(dying, Layer.empty, spec))
      assert.deepStrictEqual([error.observable, error.actual], ["bodies and handlers that died", 1])
      assert.strictEqual(error.commands.length, 1)
      assert.strictEqual(error.log.length, 2)
      assert.include(error.message, "about to die")
      assert.include(error.message, "boom")
    })
  )

  it.effect("says so when a policy dies or never answers", () =>
    Effect.gen(function* () {
      const boom = new Error("boom")
      const dying = Rooms.make(BoardApi, { ...options, canJoin: () => Effect.die(boom) })
      const died = yield* failure(RoomModel.check(dying, Layer.empty, { ...spec, body: "none" }))
      assert.deepStrictEqual([died.observable, died.actual, died.cause], ["answer", "died: Error: boom", boom])
      const waiting = Rooms.make(BoardApi, { ...options, canPublish: () => Effect.never })
      const never = yield* failure(RoomModel.check(waiting, Layer.empty, { ...spec, body: "none" }))
      assert.deepStrictEqual([never.observable, never.expected], ["answer", "within a minute"])
      assert.strictEqual(never.commands.length, 1)
    })
  )

  it.effect("fails with what the layer fails with", () =>
    Effect.gen(function* () {
      const layer = Layer.effectDiscard(Effect.fail("no database" as const))
      const check = RoomModel.check(Rooms.make(BoardApi, options), layer, { ...spec, body: "none" })
      assert.strictEqual(yield* Effect.flip(check), "no database")
    })
  )

  it.effect("is told of a body of the model that dies, and of a pool that is empty", () =>
    Effect.gen(function* () {
      const rooms = Rooms.make(BoardApi, options, () => Effect.succeed({}))
      const error = yield* failure(RoomModel.check(rooms, Layer.empty, { ...spec, body: dies }))
      assert.deepStrictEqual([error.observable, error.actual], ["the run", "died: Error: boom"])
      const exit = yield* Effect.exit(RoomModel.check(rooms, Layer.empty, { ...spec, data: [] }))
      assert.include(String(exit), "RangeError: data must have at least one value")
    })
  )
})
