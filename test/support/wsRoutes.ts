/**
 * Routes the WebSocket tests have in common: an echo, and the two-loop chat.
 */
import { Channels, Ref } from "effect-rooms"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

export class Room extends Ref.Entity<Room>()("Room") {}
export const general = Room.ref`general`

export const Echo = WebSocketRoute.make("/echo", { incoming: Schema.String, outgoing: Schema.String })

/** Sends back what it gets. */
export const EchoLive = WebSocketRoute.layer(Echo, ({ messages, send }) =>
  Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
)

export const Line = Schema.Struct({
  type: Schema.Literals(["joined", "left", "message"]),
  author: Schema.String,
  text: Schema.String
})
export class Chat extends Channels.Service<Chat>()("test/Chat", { key: Room, message: Line }) {}

export const ChatRoute = WebSocketRoute.make("/chat/:room", {
  params: { room: Room.ref.schema },
  query: { username: Schema.optionalKey(Schema.String) },
  incoming: Schema.Struct({ text: Schema.String }),
  outgoing: Line
})

/** The ways a chat handler of these tests can end by itself, asked for by what is said. */
const ends: Readonly<Record<string, Effect.Effect<never, string>>> = {
  "/die": Effect.sync(() => {
    throw new Error("a defect")
  }),
  "/fail": Effect.fail("a failure"),
  "/interrupt": Effect.interrupt
}

/** Two loops, room to client and client to room, until either ends; joining and leaving are announced. */
export const ChatLive = WebSocketRoute.layer(
  ChatRoute,
  Effect.fn("chat")(function* ({ messages, params, query, send }) {
    const chat = yield* Chat
    const author = query.username ?? "Anonymous"
    const say = (type: "joined" | "left" | "message", text = "") => chat.publish(params.room, { type, author, text })
    const lines = yield* chat.subscribe(params.room)
    yield* Effect.acquireRelease(say("joined"), () => say("left"))
    yield* Effect.raceFirst(
      Effect.promise(async () => {
        for await (const line of lines) send(line)
      }),
      Stream.runForEach(messages.stream, ({ text }) => ends[text] ?? say("message", text))
    )
  })
)
