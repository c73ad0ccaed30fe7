/**
 * L3: membership on the server's own account.
 */
import { assert, describe, it } from "@effect/vitest"
import { Ref, RoomApi, Rooms } from "effect-rooms"
import { Connections, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { connect, eventually } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class Hall extends Ref.Entity<Hall>()("Hall") {}
const HallApi = RoomApi.make("hall", { key: Hall, events: { said: Schema.String }, member: Schema.String })
class Halls extends Rooms.Service<Halls>()("test/Halls", HallApi, { capacity: 1 }) {}
const hall = Hall.ref`north`

const Desk = WebSocketRoute.make("/desk", { incoming: Schema.Never, outgoing: Schema.String })
const desks = Connections.of(Desk)
const toText = ({ data }: RoomApi.RoomEvent<typeof HallApi.events>) => data

const open = async () => {
  const found: {
    rooms?: Effect.Success<typeof Halls>
    desks?: Effect.Success<typeof desks>
  } = {}
  const DeskLive = WebSocketRoute.layer(
    Desk,
    Effect.fnUntraced(function* ({ connection, send }) {
      found.rooms = yield* Halls
      found.desks = yield* desks
      send(connection.id)
      return yield* Effect.never
    })
  )
  const server = await startServer({ routes: DeskLive, services: Halls.layer })
  return { found, server }
}

describe("L3: a server lets connections into rooms", () => {
  it("whose events reach the client until the server takes it out, or it goes", async () => {
    const { found, server } = await open()
    await using _ = server
    using first = await connect(server.url("/desk"))
    using second = await connect(server.url("/desk"))
    const [id, other] = [String(await first.next()), String(await second.next())]
    const { join } = found.desks!
    const room = found.rooms!.get(hall)

    assert.isTrue(await Effect.runPromise(join(id, room, "first", toText)))
    assert.isFalse(await Effect.runPromise(join("nobody", room, "nobody", toText)))
    const refused = await Effect.runPromise(Effect.flip(join(other, room, "second", toText)))
    assert.strictEqual(refused.reason._tag, "RoomFull")
    await Effect.runPromise(room.broadcast("said", "hello"))
    assert.strictEqual(await first.next(), "hello")

    assert.isTrue(await Effect.runPromise(room.leave({ id })))
    assert.isTrue(await Effect.runPromise(join(other, room, "second", toText)))
    await Effect.runPromise(room.broadcast("said", "again"))
    assert.strictEqual(await second.next(), "again")
    second.socket.terminate()
    await eventually(() => Effect.runSync(room.size) === 0)
    assert.deepStrictEqual(first.messages, [id, "hello"])
  })
})
