/**
 * What rooms refuse: a crowd of publishers (SEC12), and more rooms than a member or the server takes (SEC13).
 */
import { assert, describe, it } from "@effect/vitest"
import { type Room, Rooms, type Subscription } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import {
  begin,
  BoardApi,
  type BoardRoom,
  type BoardRooms,
  FakeConnection,
  noActors,
  outcome,
  Place,
  traces,
  until
} from "../support/rooms.ts"

const name = (n: number) => Place.ref.make(`room/${n}`)
const none = { members: 0, rooms: 0, actors: 0 }

/** Joins and stays in until the scope of the test closes. */
const fill = (room: BoardRoom, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    (n) => room.open("x", { as: { id: `m${n}` } }),
    {
      discard: true
    }
  )

/** A sink, as a transport has them, of which ten bytes go out per message. */
const tenBytes = { open: () => ({ size: 0, deliver: () => 10, close: () => undefined }) }

/** Joins as a transport does, with a sink. */
const attached = (as: FakeConnection): Room.JoinOptions<(typeof BoardApi)["events"]> => ({
  as,
  attach: (attach) =>
    attach(tenBytes, (sink) => {
      sink.size++
      return () => void sink.size--
    })
})

/** A connection that notes what it is charged. */
class Charged extends FakeConnection {
  readonly charges: Array<number> = []
  override readonly quota: Subscription.Quota = {
    join: () => "granted",
    leave: () => undefined,
    charge: (bytes) => void this.charges.push(bytes)
  }
}

/** A connection that is granted every third join. */
class Bounded extends FakeConnection {
  #asked = 0
  override readonly quota: Subscription.Quota = {
    join: () => (["granted", "tooMany", "tooOften"] as const)[this.#asked++ % 3]!,
    leave: () => undefined,
    charge: () => undefined
  }
}

const refusals = (reason: string) =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.filter(
      ({ attributes, id }) => id === "effect_rooms_room_refusals" && attributes?.["reason"] === reason
    )
    return found.reduce((sum, { state }) => sum + (state as Metric.CounterState<number>).count, 0)
  })
const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Metric.MetricRegistry, new Map())

describe("SEC12: publishing to many", () => {
  it.effect("members may publish in rooms of up to a thousand, and above that only the server", () =>
    counted(
      Effect.gen(function* () {
        const room = (yield* Rooms.make(BoardApi)).get(name(0))
        const heard = yield* room.subscribe()
        yield* fill(room, 1000)
        assert.strictEqual(yield* outcome(room.publish("counted", 1, { as: { id: "m0" } })), "ok")
        const last = yield* room.open("x", { as: { id: "the last straw" } })
        assert.strictEqual(yield* outcome(room.publish("counted", 2, { as: { id: "m0" } })), "NotAllowed")
        yield* room.broadcast("counted", 3)
        last.leave()
        assert.strictEqual(yield* outcome(room.publish("counted", 4, { as: { id: "m0" } })), "ok")
        const events = [yield* heard.take, yield* heard.take, yield* heard.take]
        assert.deepStrictEqual(
          events.map(({ data }) => data),
          [1, 3, 4]
        )
        assert.strictEqual(yield* refusals("NotAllowed"), 1)
      })
    )
  )

  it.effect("a policy that is asked decides in rooms of any size", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, {
        canPublish: ({ member }) => Effect.succeed(member.id === "m0"),
        openPublishUpTo: 1
      })
      const room = rooms.get(name(0))
      yield* fill(room, 3)
      assert.strictEqual(yield* outcome(room.publish("counted", 1, { as: { id: "m0" } })), "ok")
      assert.strictEqual(yield* outcome(room.publish("counted", 1, { as: { id: "m1" } })), "NotAllowed")
    })
  )

  it.effect("the bound can be another, and holds for rooms with handlers", () =>
    Effect.gen(function* () {
      const handlers = { onMessage: () => Effect.die(new Error("must not be asked")) }
      const room = (yield* Rooms.make(BoardApi, { openPublishUpTo: 2 }, () => Effect.succeed(handlers))).get(name(0))
      yield* fill(room, 3)
      assert.strictEqual(yield* outcome(room.publish("counted", 1, { as: { id: "m0" } })), "NotAllowed")
    })
  )

  it.effect("a bound that is no whole number is a defect", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Rooms.make(BoardApi, { openPublishUpTo: 0.5 }))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof RangeError)
    })
  )

  it.effect("who publishes is charged for what goes out, whether handlers do it or not, and nobody else is", () =>
    Effect.gen(function* () {
      const kinds: ReadonlyArray<readonly [string, Effect.Effect<BoardRooms, never, Scope.Scope>]> = [
        ["without handlers", Rooms.make(BoardApi)],
        ["with a handler that looks on", Rooms.make(BoardApi, {}, () => Effect.succeed({ onJoin: () => Effect.void }))],
        [
          "with a handler that broadcasts",
          Rooms.make(BoardApi, {}, (room) =>
            Effect.succeed({ onMessage: () => Effect.asVoid(room.broadcast("counted", 2)) })
          )
        ]
      ]
      for (const [label, make] of kinds) {
        const rooms = yield* make
        const room = rooms.get(name(0))
        const alice = new Charged("alice")
        const bob = new Charged("bob")
        yield* room.join("x", attached(bob))
        yield* room.join("x", attached(alice))
        yield* room.publish("counted", 1, { as: alice })
        yield* until(Effect.sync(() => alice.charges.length > 0))
        assert.deepStrictEqual([alice.charges, bob.charges], [[10], []], label)
      }
    })
  )
})

describe("SEC13: rooms without end", () => {
  type Options = Rooms.Options<Place, (typeof BoardApi)["events"], string>
  const kinds = [
    ["without handlers", (options: Options) => Rooms.make(BoardApi, options)],
    ["with handlers", (options: Options) => Rooms.make(BoardApi, options, () => Effect.succeed({}))]
  ] as const

  for (const [label, make] of kinds) {
    it.effect(`${label}: asking for ten thousand rooms makes none`, () =>
      Effect.gen(function* () {
        const rooms = yield* make({})
        for (let n = 0; n < 10_000; n++) {
          const room = rooms.get(name(n))
          assert.deepStrictEqual([yield* room.size, yield* room.members], [0, []])
          assert.isFalse(yield* room.leave({ id: "nobody" }))
          yield* room.close("nobody is in")
        }
        assert.deepStrictEqual(yield* traces(rooms), none)
      })
    )

    it.effect(`${label}: one more than there may be is refused, one there is takes more, an empty one makes room`, () =>
      counted(
        Effect.gen(function* () {
          const rooms = yield* make({ maxRooms: 2, maxIdleTime: 0 })
          const join = (n: number, id: string) => rooms.get(name(n)).open("x", { as: { id } })
          const first = yield* join(1, "a")
          yield* join(2, "a")
          assert.strictEqual(yield* outcome(join(3, "a")), "TooManyRooms")
          assert.strictEqual(yield* outcome(join(2, "b")), "ok")
          assert.strictEqual(yield* refusals("TooManyRooms"), 1)
          first.leave()
          if (label === "with handlers") yield* until(Effect.map(rooms.actors, (count) => count === 1))
          assert.strictEqual(yield* outcome(join(3, "a")), "ok")
        })
      )
    )

    it.effect(`${label}: joins at once do not get past the bound`, () =>
      Effect.gen(function* () {
        const gate = Deferred.makeUnsafe<boolean>()
        const rooms = yield* make({ maxRooms: 5, canJoin: () => Deferred.await(gate) })
        const joins = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          (n) => begin(outcome(rooms.get(name(n)).open("x", { as: { id: `m${n}` } })))
        )
        Deferred.doneUnsafe(gate, Effect.succeed(true))
        const outcomes = yield* Effect.forEach(joins, (fiber) => Fiber.join(fiber))
        assert.deepStrictEqual(
          ["ok", "TooManyRooms"].map((one) => outcomes.filter((other) => other === one).length),
          [5, 15]
        )
        assert.strictEqual((yield* traces(rooms)).rooms, 5)
      })
    )

    it.effect(`${label}: a member that may not leaves nothing in the rooms it asked for`, () =>
      Effect.gen(function* () {
        const rooms = yield* make({ maxIdleTime: 0 })
        const flooding = new Bounded("flooding")
        const outcomes = new Set<string>()
        for (let n = 0; n < 3000; n++) outcomes.add(yield* outcome(rooms.get(name(n)).open("x", { as: flooding })))
        assert.deepStrictEqual([...outcomes].toSorted(), ["TooManyJoins", "TooManyRooms", "ok"])
        assert.strictEqual((yield* traces(rooms)).rooms, 1000)
        flooding.close()
        yield* noActors(rooms)
        assert.deepStrictEqual([yield* traces(rooms), flooding.waiting], [none, 0])
      })
    )
  }
})
