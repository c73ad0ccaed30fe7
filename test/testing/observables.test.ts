/**
 * Whatever can be seen of rooms is compared: each of these rooms is wrong in one way, and the check says in which.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms, Subscription } from "effect-rooms"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { BoardApi, type BoardRooms } from "../support/rooms.ts"
import { checked, inRoom, options, silent } from "./support.ts"

/** Rooms without handlers that are wrong in one way, and what is said to differ. */
const wrong: Record<string, readonly [wrong: (rooms: BoardRooms) => Partial<BoardRooms>, observable: RegExp]> = {
  "members out of order": [
    inRoom(({ members }) => ({ members: Effect.map(members, (all) => all.toReversed()) })),
    /^members of /
  ],
  "members with the data of another": [
    inRoom(({ members }) => ({
      members: Effect.map(members, (all) => all.map((member) => ({ ...member, data: "third" })))
    })),
    /^members of /
  ],
  "members who came at another time": [
    inRoom(({ members }) => ({
      members: Effect.flatMap(DateTime.now, (joinedAt) =>
        Effect.map(members, (all) => all.map((member) => ({ ...member, joinedAt })))
      )
    })),
    /^members of /
  ],
  "another size": [inRoom(() => ({ size: Effect.succeed(3) })), /^size of /],
  "actors where there are none": [() => ({ actors: Effect.succeed(1) }), /^actors$/],
  "a list without rooms": [() => ({ list: Effect.succeed([]) }), /^rooms with members$/],
  "members who are in no room": [() => ({ roomsOf: () => Effect.succeed([]) }), /^rooms of /],
  "a leave that leaves nothing": [inRoom(() => ({ leave: () => Effect.succeed(false) })), /^answer$/],
  "a leave of nobody": [inRoom(() => ({ leave: () => Effect.succeed(true) })), /^answer$/],
  "another number of rooms left": [
    (rooms) => ({ leaveAll: (member) => Effect.map(rooms.leaveAll(member), (left) => left + 1) }),
    /^answer$/
  ],
  "a close that keeps members": [inRoom(() => ({ close: () => Effect.void })), /^members of /],
  "callbacks that are never called off": [
    inRoom(({ open }) => ({
      open: (data, how) => {
        how?.as?.onClose?.(() => undefined)
        return open(data, how)
      }
    })),
    /^callbacks that wait/
  ],
  "places that are never given back": [
    inRoom(({ open }) => ({
      open: (data, how) => {
        how?.as?.quota?.join()
        return open(data, how)
      }
    })),
    /^places that \w+ is charged for$/
  ],
  "two members with one id": [
    inRoom(({ open }) => ({
      open: (data, how) =>
        Effect.flatMap(Subscription.CurrentReceiver, (current) =>
          open(data, { as: how?.as ?? current ?? { id: "somebody" } })
        )
    })),
    /^answer$/
  ],
  "a broadcast that is lost": [
    inRoom(() => ({ broadcast: () => Effect.void })),
    /^events that \w+ sent to an observer$/
  ],
  "a broadcast that comes twice": [
    inRoom(({ broadcast }) => ({ broadcast: (...event) => Effect.andThen(broadcast(...event), broadcast(...event)) })),
    /^events that \w+ sent to an observer$/
  ],
  "a broadcast to who is left out": [
    inRoom(({ broadcast }) => ({ broadcast: (event, data) => broadcast(event, data) })),
    /^events that \w+ sent to (ann|bob|cyd)/
  ],
  "a publish that comes back to its author": [
    inRoom(({ publish }) => ({ publish: (event, data) => publish(event, data, { as: { id: "somebody" } }) })),
    /^events that \w+ sent to (ann|bob|cyd)/
  ],
  "a subscription that cannot be left out": [
    inRoom(({ subscribe }) => ({
      subscribe: (() => Effect.provideService(subscribe(), Subscription.CurrentReceiver, undefined)) as never
    })),
    /^events that \w+ sent to (ann|bob|cyd)/
  ]
}

describe("the check sees", () => {
  for (const [name, [differ, observable]] of Object.entries(wrong)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        for (const [body, real] of [
          ["none", undefined],
          [() => ({}), silent]
        ] as const) {
          const rooms = Effect.map(Rooms.make(BoardApi, options, real), (right) => ({ ...right, ...differ(right) }))
          const error = yield* checked(rooms, body)
          assert.match(error.observable, observable)
          assert.isAtMost(error.commands.length, 2, error.message)
        }
      })
    )
  }

  for (const [name, [other, observable]] of Object.entries({
    "a room that takes more": [{ capacity: 3 }, /^answer$/],
    "a room that takes less": [{ capacity: 1 }, /^answer$/],
    "more rooms than there may be": [{ maxRooms: 2 }, /^answer$/],
    "rooms that stay too long": [{ maxIdleTime: 21 }, /^actors$/],
    "rooms that go too soon": [{ maxIdleTime: 19 }, /^actors$/],
    "a policy that lets everybody in": [{ canJoin: undefined }, /^answer$/],
    "a policy that lets everything through": [{ canPublish: undefined }, /^answer$/]
  } as const)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const rooms = Rooms.make(BoardApi, { ...options, ...other }, silent)
        assert.match((yield* checked(rooms, () => ({}))).observable, observable)
      })
    )
  }

  it.effect("rooms that stop and keep their members", () =>
    Effect.gen(function* () {
      const neverStops = Scope.provide(Rooms.make(BoardApi, options), yield* Scope.make())
      const error = yield* checked(neverStops, "none")
      assert.strictEqual(error.observable, "connections that stopped rooms wait for")
      assert.strictEqual(error.commands.length, 1)
    })
  )

  it.effect("handlers where there should be none, and none where there should be some", () =>
    Effect.gen(function* () {
      const some = yield* checked(Rooms.make(BoardApi, options, silent), "none")
      const none = yield* checked(Rooms.make(BoardApi, options), undefined)
      for (const { observable } of [some, none]) assert.match(observable, /^(actors|answer)$/)
    })
  )
})
