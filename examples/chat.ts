import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DateTime, Effect, Layer, Schema, Stream } from "effect"
import { HttpRouter } from "effect/http"
import { Channels, Ref } from "effect-rooms"
import { RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import { createServer } from "node:http"

const Say = Schema.Struct({ type: Schema.Literals(["message", "typing"]), content: Schema.optionalKey(Schema.String) })
const Line = Schema.Struct({
  type: Schema.Literals(["joined", "left", "message", "typing"]),
  username: Schema.String,
  content: Schema.optionalKey(Schema.String),
  timestamp: Schema.String
})

class Room extends Ref.Entity<Room>()("Room") {}
class Chat extends Channels.Service<Chat>()("app/Chat", { key: Room, message: Line }) {}

const ChatRoute = WebSocketRoute.make("/chat/room/:room", {
  params: { room: Room.ref.schema },
  query: { username: Schema.optionalKey(Schema.String) },
  incoming: Say,
  outgoing: Line
})

const ChatLive = WebSocketRoute.layer(
  ChatRoute,
  Effect.fn("chat")(function* ({ messages, params, query, send }) {
    const chat = yield* Chat
    const username = query.username ?? "Anonymous"
    const say = (line: Pick<typeof Line.Type, "type" | "content">) =>
      Effect.flatMap(DateTime.now, (now) =>
        chat.publish(params.room, { ...line, username, timestamp: DateTime.formatIso(now) })
      )
    const lines = yield* chat.subscribe(params.room)
    yield* Effect.acquireRelease(say({ type: "joined" }), () => say({ type: "left" }))
    yield* Effect.raceFirst(
      Stream.runForEach(lines.stream, (line) => Effect.sync(() => send(line))),
      Stream.runForEach(messages.stream, say)
    )
  })
)

HttpRouter.serve(ChatLive).pipe(
  Layer.provide([Chat.layer, RoomsServer.layer(createServer, { port: 3000, allowNonBrowsers: true })]),
  Layer.launch,
  NodeRuntime.runMain
)
