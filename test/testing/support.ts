/**
 * What the tests of the model share: rooms with every bound and policy, their specification, and ways to be wrong.
 */
import { type Room, type RoomApi, Rooms } from "effect-rooms"
import { RoomModel } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { BoardApi, type BoardRoom, type BoardRooms, type Place } from "../support/rooms.ts"

const said = (data: string) => ({ event: "said", data }) as const
const spec = {
  data: ["first", "second"],
  publishes: [said("hello"), said("bye")],
  broadcasts: [said("news")],
  capacity: 2,
  maxRooms: 1,
  maxIdleTime: 20,
  canJoin: ({ data }: { readonly data: string }) => data !== "second",
  canPublish: ({ message }: { readonly message: { readonly data: unknown } }) => message.data !== "bye"
}
export const options = {
  capacity: 2,
  maxRooms: 1,
  maxIdleTime: 20,
  canJoin: ({ data }: { readonly data: string }) => Effect.succeed(data !== "second"),
  canPublish: ({ message }: { readonly message: { readonly data: unknown } }) => Effect.succeed(message.data !== "bye")
}

type Events = (typeof BoardApi)["events"]
type Spec = RoomModel.Spec<Place, Events, string>

/** What a room offers, as an object that can be spread. */
export const spreadable = <E, Ev extends RoomApi.Events, Data>(
  room: Room.Room<E, Ev, Data>
): Room.Room<E, Ev, Data> => ({
  ref: room.ref,
  api: room.api,
  name: room.name,
  join: room.join,
  open: room.open,
  leave: room.leave,
  members: room.members,
  size: room.size,
  count: room.count,
  everyone: room.everyone,
  countChanges: room.countChanges,
  broadcast: room.broadcast,
  publish: room.publish,
  subscribe: room.subscribe,
  close: room.close
})

/** Rooms that are wrong in what each of them is. */
export const inRoom = (change: (room: BoardRoom) => Partial<BoardRoom>) => (rooms: BoardRooms) => ({
  get: (ref: BoardRoom["ref"]) => ({ ...spreadable(rooms.get(ref)), ...change(rooms.get(ref)) })
})

/** A body whose handlers do nothing. */
export const silent = () => Effect.succeed({})

/** What a check that must fail says; the same each time. */
export const checked = (making: ReturnType<typeof Rooms.make<Place, Events, string>>, body: Spec["body"]) =>
  Effect.flip(RoomModel.check(making, Layer.empty, { ...spec, body })).pipe(Random.withSeed("planted"))
