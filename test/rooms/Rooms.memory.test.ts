/**
 * What rooms hold on to once everybody is gone (T-LEAK, G12): nothing, whichever way they went.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { usedHeap } from "../support/memory.ts"
import { BoardApi, type BoardRoom, type BoardRooms, FakeConnection, noActors, Place, traces } from "../support/rooms.ts"

const mebibyte = 1_048_576
const cycles = 20_000

/** Ways to go, all of a connection and a scope that live on, unless they are what ends. */
const ways = (rooms: BoardRooms, longLived: FakeConnection) => {
  const joined = (room: BoardRoom, as = longLived) => room.join("x", { as })
  return [
    ["its handle", (room: BoardRoom) => Effect.map(joined(room), (membership) => void membership.leave())],
    ["its scope", (room: BoardRoom) => Effect.asVoid(Effect.scoped(joined(room)))],
    ["the room's leave", (room: BoardRoom) => Effect.andThen(joined(room), Effect.asVoid(room.leave(longLived)))],
    ["the room's close", (room: BoardRoom) => Effect.andThen(joined(room), room.close("end"))],
    [
      "leaveAll, joined twice",
      (room: BoardRoom) =>
        Effect.andThen(Effect.andThen(joined(room), joined(room)), Effect.asVoid(rooms.leaveAll(longLived)))
    ],
    [
      "the end of its connection",
      (room: BoardRoom, n: number) => {
        const connection = new FakeConnection(`c${n}`)
        return Effect.map(joined(room, connection), connection.close)
      }
    ],
    [
      "interruption",
      (room: BoardRoom) =>
        Effect.flatMap(
          Effect.forkChild(Effect.scoped(Effect.andThen(joined(room), Effect.never)), { startImmediately: true }),
          (fiber) => Fiber.interrupt(fiber)
        )
    ]
  ] as const
}

describe("G12: twenty thousand joins in one scope that lives on", () => {
  for (const [index, way] of ways(undefined!, undefined!).entries()) {
    it.effect(`ended by ${way[0]} leave nothing behind`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const rooms = yield* Rooms.make(BoardApi)
        const longLived = new FakeConnection("long")
        const go = ways(rooms, longLived)[index]![1]
        const run = (count: number) =>
          Effect.forEach(
            Array.from({ length: count }, (_, n) => n),
            (n) => Scope.provide(go(rooms.get(Place.ref.make(`room/${n}`)), n), scope),
            { discard: true }
          )
        yield* run(2_000)
        const before = yield* Effect.promise(usedHeap)
        yield* run(cycles)
        const after = yield* Effect.promise(usedHeap)
        assert.deepStrictEqual([longLived.waiting, yield* traces(rooms)], [0, { members: 0, rooms: 0, actors: 0 }])
        assert.isBelow(after - before, mebibyte)
        yield* Scope.close(scope, Exit.void)
      })
    )
  }

  it.effect("leave no actor behind once they have been idle", () =>
    Effect.gen(function* () {
      const rooms = yield* Rooms.make(BoardApi, { maxIdleTime: 0 }, () => Effect.succeed({}))
      const longLived = new FakeConnection("long")
      const run = (count: number) =>
        Effect.forEach(
          Array.from({ length: count }, (_, n) => n),
          (n) => Effect.scoped(rooms.get(Place.ref.make(`room/${n}`)).join("x", { as: longLived })),
          { discard: true }
        ).pipe(Effect.andThen(noActors(rooms)))
      yield* run(1_000)
      const before = yield* Effect.promise(usedHeap)
      for (let round = 0; round < 10; round++) yield* run(1_000)
      const after = yield* Effect.promise(usedHeap)
      assert.deepStrictEqual([longLived.waiting, yield* traces(rooms)], [0, { members: 0, rooms: 0, actors: 0 }])
      assert.isBelow(after - before, mebibyte)
    })
  )
})
