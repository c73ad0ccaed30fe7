/**
 * Generated commands against the published model of rooms (T-MODEL): after every command all observables are equal.
 */
import { describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import { RoomModel } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BoardApi, type BoardEvent } from "../support/rooms.ts"

/** Identifiers that the rule allows and that an index made of an object would get wrong. */
const names = ["toString", "valueOf", "hasOwnProperty"] as const
const said = (data: string) => ({ event: "said", data }) as const
const bounds = { capacity: 2, maxRooms: 2, maxIdleTime: 20 }
const mayJoin = ({ data }: { readonly data: string }) => data !== "barred"
const mayPublish = ({ message }: { readonly message: BoardEvent }) => message.data !== "barred"

const options = {
  ...bounds,
  canJoin: (request: { readonly data: string }) => Effect.sync(() => mayJoin(request)),
  canPublish: (request: { readonly message: BoardEvent }) => Effect.sync(() => mayPublish(request))
}
const spec = {
  ...bounds,
  rooms: names,
  data: ["first", "second", "third", "barred"],
  publishes: [said("hello"), said("bye"), said("barred")],
  broadcasts: [said("news"), said("weather")],
  canJoin: mayJoin,
  canPublish: mayPublish
}

/** Says to the room what it is told; only the first handles what members publish, the others send it on. */
const sayAll = <A>(name: string, say: (line: string) => A) => ({
  onJoin: ({ data, id }: RoomModel.Member<string>) => say(`+${id} ${data}`),
  onLeave: ({ id }: RoomModel.Member<string>, reason: string) => say(`-${id} ${reason}`),
  onMessage:
    name === names[0]
      ? ({ member, message }: { readonly member: { readonly id: string }; readonly message: BoardEvent }) =>
          say(`${member.id}: ${message.data}`)
      : undefined
})

const check = { runs: 1_000, maxLength: 60, size: 600, maxShrinks: 2_000, seed: "effect-rooms" }

describe("rooms behave like their model", () => {
  it.effect("without handlers", () =>
    RoomModel.check(Rooms.make(BoardApi, options), Layer.empty, { ...spec, body: "none" }, check)
  )

  it.effect("with handlers", () =>
    RoomModel.check(
      Rooms.make(BoardApi, options, (room) =>
        Effect.sync(() => sayAll(room.name, (line) => room.broadcast("said", line)))
      ),
      Layer.empty,
      { ...spec, body: (room) => sayAll(room.name, (line) => room.broadcast("said", line)) },
      check
    )
  )
})
