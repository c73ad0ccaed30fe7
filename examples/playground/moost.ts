/**
 * A chat in events and paths: `{ "event", "path", "data", "id" }` in, `{ "id", "data" }` and `{ "event", "path", "data" }`
 * out. `join`, `leave`, `message`, `notify` under `/chat/<room>`; `announce` to everybody; `dm` to one connection.
 */
import { Effect, Schema } from "effect"
import { Ref } from "effect-rooms"
import { EventRouter } from "effect-rooms/websocket"

class Room extends Ref.Entity<Room>()("Room") {}

const params = { room: Room.ref.schema }
const Name = Schema.Struct({ name: Schema.String.check(Schema.isMaxLength(40)) })
const Text = Schema.Struct({ text: Schema.String.check(Schema.isMaxLength(4000)) })

/** Enters the room of the path, and says so to the others. */
const join = EventRouter.on("join", "/chat/:room", { data: Name, params }, (request) =>
  Effect.gen(function* () {
    yield* request.join()
    yield* request.broadcast("joined", { name: request.data.name })
    return { room: request.params.room.identifier, rooms: yield* request.rooms, you: request.connection.id }
  })
)

const leave = EventRouter.on("leave", "/chat/:room", { data: Name }, (request) =>
  Effect.gen(function* () {
    const left = yield* request.leave()
    if (left) yield* request.broadcast("left", { name: request.data.name })
    return { left }
  })
)

/** Says something in a room one is in; everybody there hears it, the sender included. */
const message = EventRouter.on("message", "/chat/:room", { data: Text }, (request) =>
  Effect.gen(function* () {
    if (!(yield* request.rooms).includes(request.path)) {
      return yield* new EventRouter.EventError({ code: "not_in_room", detail: "join the room first" })
    }
    const line = { from: request.connection.id, text: request.data.text }
    return yield* request.broadcast("message", line, { excludeSelf: false })
  })
)

/** Says something in a room one need not be in. */
const notify = EventRouter.on("notify", "/chat/:room", { data: Text }, ({ broadcast, data }) =>
  broadcast("notice", data)
)

const announce = EventRouter.on("announce", "/", { data: Text }, ({ data, toOthers }) =>
  Effect.map(toOthers("announcement", data), (receivers) => ({ receivers }))
)

const dm = EventRouter.on(
  "dm",
  "/",
  { data: Schema.Struct({ to: Schema.String, ...Text.fields }) },
  ({ connection, data, toConnection }) =>
    Effect.map(toConnection(data.to, "dm", { from: connection.id, text: data.text }), (delivered) => ({ delivered }))
)

export const MoostRoutes = EventRouter.layer("/moost", [join, leave, message, notify, announce, dm])
