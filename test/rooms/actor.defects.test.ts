/**
 * Handlers, bodies and policies that die (BUG24, P20): contained, logged, counted, and nobody else is harmed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { general } from "../support/channels.ts"
import {
  begin,
  boom,
  BoardApi,
  type BoardHandlers,
  brief,
  FakeConnection,
  ids,
  Notes,
  outcome,
  Place,
  traces,
  until,
  watched
} from "../support/rooms.ts"

const other = Place.ref`other`
const dying = {
  dies: () => Effect.die(boom),
  throws: () => {
    throw boom
  },
  "interrupts itself": () => Effect.interrupt
} as const

describe("BUG24, P20: a handler that dies", () => {
  for (const handler of ["onJoin", "onLeave", "onMessage"] as const) {
    for (const [how, die] of Object.entries(dying)) {
      it.effect(`${handler} that ${how} is logged and counted; the body runs again and what waited is handled`, () =>
        watched(
          Effect.fnUntraced(function* (log, defects) {
            const notes = new Notes()
            let bodies = 0
            const rooms = yield* Rooms.make(BoardApi, {}, ({ name }) =>
              Effect.sync((): BoardHandlers => {
                if (name === "other") return notes.handlers
                const first = ++bodies === 1
                return first && handler !== "onMessage"
                  ? { ...notes.handlers, [handler]: die }
                  : {
                      ...notes.handlers,
                      onMessage: (request) =>
                        first && request.message.data === "die" ? die() : notes.onMessage(request)
                    }
              })
            )
            const room = rooms.get(general)
            const alice = new FakeConnection("alice")
            const bob = yield* rooms.get(other).join("y", { as: { id: "bob" } })
            yield* room.join("x", { as: alice })
            ;(yield* room.open("z", { as: { id: "carol" } })).leave()
            yield* room.publish("said", "die", { as: alice })
            const flushed = yield* begin(notes.flush(room))
            yield* until(Effect.sync(() => log.length === 1))
            yield* TestClock.adjust("99 millis")
            assert.isUndefined(flushed.pollUnsafe())
            // By default the body runs again after 100 ms.
            yield* TestClock.adjust("1 millis")
            yield* Fiber.join(flushed)
            assert.deepStrictEqual(
              [yield* defects, bodies, log],
              [1, 2, ["a handler of room general of kind board died"]]
            )
            const all = ["+bob y", "+alice x", "+carol z", "-carol left", "alice: die"]
            const lost = { onJoin: "+alice x", onLeave: "-carol left", onMessage: "alice: die" }[handler]
            assert.deepStrictEqual(
              notes.lines,
              all.filter((line) => line !== lost)
            )
            assert.deepStrictEqual([ids(yield* room.members), bob.leave()], [["alice"], true])
            alice.close()
            assert.deepStrictEqual(yield* traces(rooms), { members: 0, rooms: 0, actors: 2 })
          })
        )
      )
    }
  }

  it.effect("its room's scope closes before the body runs again, and no other room notices", () =>
    watched(
      Effect.fnUntraced(function* () {
        const notes = new Notes()
        const rooms = yield* Rooms.make(BoardApi, {}, (room) =>
          Effect.as(
            Effect.acquireRelease(notes.note(`open ${room.name}`), () => notes.note(`close ${room.name}`)),
            { ...notes.handlers, onJoin: ({ data }) => (data === "die" ? Effect.die(boom) : Effect.void) }
          )
        )
        yield* rooms.get(other).join("x")
        yield* rooms.get(general).join("die")
        yield* notes.flush(rooms.get(other))
        yield* TestClock.adjust("100 millis")
        yield* notes.flush(rooms.get(general))
        assert.deepStrictEqual(notes.lines, ["open other", "open general", "close general", "open general"])
      })
    )
  )

  it.effect("while the body waits to run again, the mailbox keeps its bound and who goes is taken out at once", () =>
    watched(
      Effect.fnUntraced(function* () {
        const notes = new Notes()
        let bodies = 0
        const rooms = yield* Rooms.make(BoardApi, { mailboxCapacity: 2 }, () =>
          Effect.sync(() => (++bodies === 1 ? { onJoin: () => Effect.die(boom) } : notes.handlers))
        )
        const room = rooms.get(general)
        const alice = new FakeConnection("alice")
        yield* room.join("x", { as: alice })
        yield* Effect.yieldNow
        yield* TestClock.adjust("50 millis")
        const outcomes = [
          yield* outcome(room.publish("said", "1", { as: alice })),
          yield* outcome(room.open("y", { as: { id: "bob" } })),
          yield* outcome(room.open("z"))
        ]
        assert.deepStrictEqual(outcomes, ["ok", "ok", "RoomBusy"])
        alice.close()
        assert.deepStrictEqual(ids(yield* room.members), ["bob"])
        yield* TestClock.adjust("50 millis")
        yield* notes.flush(room)
        assert.deepStrictEqual(notes.lines, ["alice: 1", "+bob y", "-alice gone"])
      })
    )
  )
})

/** A policy that dies when eve asks. */
const refusing =
  (how: "dies" | "throws") =>
  ({ member }: { readonly member: { readonly id: string } }) =>
    member.id === "eve" ? dying[how]() : Effect.succeed(true)

describe("BUG24: a policy that dies", () => {
  for (const how of ["dies", "throws"] as const) {
    it.effect(`when it ${how}, its asker dies of it, and nothing is left or lost`, () =>
      watched(
        Effect.fnUntraced(function* () {
          const policy = refusing(how)
          const rooms = yield* Rooms.make(BoardApi, { canJoin: policy, canPublish: policy })
          const room = rooms.get(general)
          const [alice, eve] = [new FakeConnection("alice"), new FakeConnection("eve")]
          const events = yield* room.subscribe()
          yield* room.join("x", { as: alice })
          assert.strictEqual(brief(yield* Effect.exit(room.open("x", { as: eve }))), "died")
          assert.strictEqual(brief(yield* Effect.exit(room.publish("said", "x", { as: eve }))), "died")
          assert.deepStrictEqual([ids(yield* room.members), eve.waiting, events.pending], [["alice"], 0, 0])
        })
      )
    )
  }
})
