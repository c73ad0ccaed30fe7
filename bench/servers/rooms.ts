/**
 * effect-rooms: rooms whose members are connections.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { RoomApi, Rooms } from "../../src/index.ts"
import { WebSocketRoute } from "../../src/websocket/index.ts"
import { Incoming, Outgoing, Room, said } from "./messages.ts"
import { serve } from "./serve.ts"

const ChatApi = RoomApi.make("chat", {
  key: Room,
  events: { message: Schema.Struct(said) },
  member: Schema.Struct({})
})
class Chat extends Rooms.Service<Chat>()("bench/Chat", ChatApi) {}

const ChatRoute = WebSocketRoute.make("/room/:room", {
  params: { room: Room.ref.schema },
  incoming: Incoming,
  outgoing: Outgoing
})

const toOutgoing = ({ data, event }: RoomApi.RoomEvent<typeof ChatApi.events>): Outgoing => ({ type: event, ...data })

const ChatLive = WebSocketRoute.layer(
  ChatRoute,
  Effect.fnUntraced(function* ({ connection, join, leave, messages, params, send }) {
    const chat = yield* Chat
    const home = chat.get(params.room)
    const others = { except: connection }

    const enter = (room: typeof home) =>
      Effect.map(join(room, {}, toOutgoing), () => send({ type: "joined", room: room.ref }))

    const answer = (message: Incoming) => {
      switch (message.type) {
        case "message":
          return home.broadcast("message", { content: message.content, at: message.at }, others)
        case "join":
          return enter(chat.get(message.room))
        case "leave":
          return Effect.map(leave(chat.get(message.room)), () => send({ type: "left", room: message.room }))
      }
    }
    yield* enter(home)
    yield* messages.runForEach(answer)
  })
)

serve(ChatLive, Chat.layer)
