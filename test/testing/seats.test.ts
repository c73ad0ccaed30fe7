/**
 * The example of a property test passes, and finds what can go wrong in such a room, in few commands.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import { RoomModel } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { spreadable } from "./support.ts"
import { boxOffice, ShowApi, Shows } from "../../examples/testing/seats.ts"
// Brings its own test with it.
import { checkSeats } from "../../examples/testing/seats.test.ts"

type Office = ReturnType<typeof boxOffice>

const withBug = (bug: (office: Office) => Office, most = 2) => Shows.toLayer(bug(boxOffice(most)))

/** What is planted, what is said about it, and how many commands it takes at least. */
const bugs: Record<string, readonly [shows: Layer.Layer<Shows>, says: string, least: number]> = {
  "one seat too many for a visitor": [withBug((office) => office, 3), "seats of one visitor", 4],
  "an onLeave that forgets the seats": [
    withBug((office) => (show) => Effect.map(office(show), (handlers) => ({ ...handlers, onLeave: undefined }))),
    "who holds a seat is in",
    3
  ],
  "an onLeave that forgets them when the room is closed": [
    withBug(
      (office) => (show) =>
        Effect.map(office(show), (handlers) => ({
          ...handlers,
          onLeave: (member, reason) => (reason === "closed" ? Effect.void : handlers.onLeave!(member, reason))
        }))
    ),
    "who holds a seat is in",
    3
  ],
  "seats for strangers": [
    withBug((office) => (show) => {
      const anybody = { some: () => true } as unknown as Effect.Success<typeof show.members>
      return office({ ...spreadable(show), members: Effect.succeed(anybody) })
    }),
    "who holds a seat is in",
    2
  ],
  "a seat that is announced twice": [
    withBug((office) => (show) => {
      const broadcast: typeof show.broadcast = (...event) =>
        Effect.andThen(show.broadcast(...event), show.broadcast(...event))
      return office({ ...spreadable(show), broadcast })
    }),
    "was sold twice",
    2
  ],
  "a room that takes one too many": [
    Layer.effect(Shows, Rooms.make(ShowApi, { capacity: 4 }, boxOffice(2))),
    "RoomFull",
    4
  ],
  "a handler that dies": [
    withBug(
      (office) => (show) =>
        Effect.map(office(show), (handlers) => ({ ...handlers, onLeave: () => Effect.die(new Error("boom")) }))
    ),
    "boom",
    2
  ]
}

describe("seats", () => {
  for (const [name, [shows, says, least]] of Object.entries(bugs)) {
    it.effect(`finds ${name}, in ${least} commands`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(checkSeats(shows)).pipe(Random.withSeed("seats"))
        assert.instanceOf(error, RoomModel.RoomModelError)
        assert.include(error.message, says)
        assert.strictEqual(error.commands.length, least)
      })
    )
  }
})
