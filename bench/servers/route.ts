/**
 * effect-rooms: a plain `WebSocketRoute` whose handler reads a subscription of a channel, as in the README.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Channels } from "../../src/index.ts"
import { WebSocketRoute } from "../../src/websocket/index.ts"
import { Incoming, Outgoing, Room, said } from "./messages.ts"
import { serve } from "./serve.ts"

const Line = Schema.Struct({ type: Schema.Literal("message"), ...said })
class Chat extends Channels.Service<Chat>()("bench/Chat", { key: Room, message: Line }) {}

const ChatRoute = WebSocketRoute.make("/room/:room", {
  params: { room: Room.ref.schema },
  incoming: Incoming,
  outgoing: Outgoing
})

const ChatLive = WebSocketRoute.layer(
  ChatRoute,
  Effect.fnUntraced(function* ({ connection, messages, params, send }) {
    const chat = yield* Chat
    const own = yield* Effect.scope
    const joined = new Map<string, Scope.Closeable>()

    const read = Effect.fnUntraced(function* (room: typeof params.room) {
      const lines = yield* chat.subscribe(room)
      send({ type: "joined", room })
      return Stream.runForEach(lines.stream, (line) => Effect.sync(() => send(line)))
    })
    const join = Effect.fnUntraced(function* (room: typeof params.room) {
      const scope = yield* Scope.fork(own)
      joined.set(room.identifier, scope)
      yield* Scope.provide(Effect.flatMap(read(room), Effect.forkScoped), scope)
    })
    const leave = Effect.fnUntraced(function* (room: typeof params.room) {
      const scope = joined.get(room.identifier)
      joined.delete(room.identifier)
      if (scope !== undefined) yield* Scope.close(scope, Exit.void)
      send({ type: "left", room })
    })
    const answer = (message: Incoming) => {
      switch (message.type) {
        case "message":
          return chat.publish(params.room, message, { except: connection })
        case "join":
          return join(message.room)
        case "leave":
          return leave(message.room)
      }
    }
    yield* Effect.raceFirst(yield* read(params.room), messages.runForEach(answer))
  })
)

serve(ChatLive, Chat.layer)
