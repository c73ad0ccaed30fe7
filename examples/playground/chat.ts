/**
 * The chat: rooms anybody may enter, rooms behind a token, and direct messages between users.
 */
import { DateTime, Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Channels, type Ref } from "effect-rooms"
import { Authenticator, WebSocketRoute } from "effect-rooms/websocket"
import { createHash } from "node:crypto"
import { attend, LobbyMembers, type Members, VaultMembers } from "./members.ts"
import { Direct, Incoming, Line, Outgoing, Room, User, Username } from "./protocol.ts"

class Lobby extends Channels.Service<Lobby>()("playground/Lobby", { key: Room, message: Line }) {}
class Vault extends Channels.Service<Vault>()("playground/Vault", { key: Room, message: Line, prefix: "vault:" }) {}
class Inbox extends Channels.Service<Inbox>()("playground/Inbox", { key: User, message: Direct }) {}

/**
 * A user of a realm: in the lobby a name is a claim, in the vault it comes from a token, and the two are not the same
 * user. Names may have any characters, identifiers may not.
 */
const userOf = (realm: "lobby" | "vault", username: string) =>
  User.ref`${realm}/${createHash("sha256").update(username).digest("hex")}`

const now = Effect.map(DateTime.now, DateTime.formatIso)

type Session = WebSocketRoute.Session<Incoming, Outgoing, { readonly roomId: Ref.Ref<Room> }, unknown, unknown>
type Rooms = Channels.Channels<Room, Line>

const notListed = { type: "error", code: "not_listed", message: "too many windows under this name" } as const

/** One connection in one room, under one name, until it closes. */
const chat = Effect.fnUntraced(function* (
  realm: "lobby" | "vault",
  rooms: Rooms,
  members: Members,
  username: string,
  { forward, messages, params, send }: Session
) {
  const inboxes = yield* Inbox
  const room = params.roomId
  const self = userOf(realm, username)

  const announce = (type: "joined" | "left" | "typing") =>
    Effect.flatMap(now, (timestamp) => rooms.publish(room, { type, username, timestamp }))

  const handle = Effect.fnUntraced(function* (message: Incoming) {
    yield* attendance.heartbeat
    if (message.type === "typing") return yield* announce("typing")
    if (message.type === "members") return yield* attendance.follow
    if (message.type === "status") {
      return (yield* attendance.setStatus(message.status)) || send(notListed)
    }
    const { content, id, type } = message
    const timestamp = yield* now
    if (type === "message") {
      yield* rooms.publish(room, { type, username, content, timestamp })
    } else {
      const receivers = new Set([message.to, username])
      const direct = { type, from: username, to: message.to, content, timestamp }
      yield* Effect.forEach(receivers, (name) => inboxes.publish(userOf(realm, name), direct))
    }
    if (id !== undefined) send({ type: "sent", messageId: id })
  })

  yield* forward(rooms, room)
  yield* forward(inboxes, self)
  const attendance = yield* attend(members, room, self, username, send)
  yield* Effect.acquireRelease(announce("joined"), () => announce("left"))
  yield* Stream.runForEach(messages.stream, handle)
})

/** Who reads too slowly loses the oldest of what was said, and is told so. */
const overflow: WebSocketRoute.OutboxOverflow<Outgoing> = {
  policy: "dropOldest",
  gap: (loss) => ({ type: "gap", ...loss })
}
const common = { params: { roomId: Room.ref.schema }, incoming: Incoming, outgoing: Outgoing, overflow }

const PublicRoom = WebSocketRoute.make("/chat/room/:roomId", {
  ...common,
  query: { username: Schema.optionalKey(Username) }
})

const PublicRoomLive = WebSocketRoute.layer(
  PublicRoom,
  Effect.fn("PublicRoom")(function* (session) {
    yield* chat("lobby", yield* Lobby, yield* LobbyMembers, session.query.username?.trim() || "Anonymous", session)
  })
)

/** Tokens and their users; a real application asks its session store. */
const users = new Map([
  ["alice-token", { name: "Alice" }],
  ["bob-token", { name: "Bob" }]
])

/** The query token is for the demonstration: it can be typed into an address bar, and seen in one. */
const PrivateRoom = WebSocketRoute.make("/chat/private/:roomId", {
  ...common,
  allowQueryToken: true,
  authenticate: ({ token }) => {
    const user = token && users.get(Redacted.value(token))
    return user === undefined ? Authenticator.unauthenticated : Effect.succeed(user)
  }
})

const PrivateRoomLive = WebSocketRoute.layer(
  PrivateRoom,
  Effect.fn("PrivateRoom")(function* (session) {
    yield* chat("vault", yield* Vault, yield* VaultMembers, session.principal.name, session)
  })
)

/** The routes of the chat. */
export const ChatRoutes = Layer.merge(PublicRoomLive, PrivateRoomLive)

/** What the routes' handlers need; provided to the server that serves them. */
export const ChatServices = Layer.mergeAll(
  Lobby.layer,
  Vault.layer,
  Inbox.layer,
  LobbyMembers.layer,
  VaultMembers.layer
)
