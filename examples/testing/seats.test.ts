/**
 * Whatever visitors do, in whatever order: a seat has one holder, who is in and has at most two.
 */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { RoomModel } from "effect-rooms/testing"
import { Shows, ShowsLive } from "./seats.ts"

export const checkSeats = (shows: Layer.Layer<Shows>) =>
  RoomModel.check(Shows, shows, {
    capacity: 3,
    data: [{ name: "Ann" }, { name: "Bob" }],
    publishes: [1, 2, 3].map((seat) => ({ event: "reserve", data: seat })),
    invariant: ({ events, members }) =>
      Effect.sync(() => {
        const holders = new Map<number, string>()
        for (const { data, event } of events) {
          if (event === "reserved") {
            assert.isFalse(holders.has(data.seat), `seat ${data.seat} was sold twice`)
            holders.set(data.seat, data.by)
          }
          if (event === "freed") holders.delete(data)
        }
        const visitors = members.map(({ id }) => id)
        for (const id of holders.values()) {
          assert.include(visitors, id, "who holds a seat is in")
          assert.isAtMost([...holders.values()].filter((by) => by === id).length, 2, "seats of one visitor")
        }
      })
  })

it.effect("a seat has one holder, who is in and has at most two", () => checkSeats(ShowsLive))
