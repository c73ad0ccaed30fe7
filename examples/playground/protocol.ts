/**
 * What the chat page and `wscat` say and hear: plain JSON text frames.
 *
 * Who is in the room is told to a connection that asks with `{"type":"members"}`, from then on: first a `members` with
 * everybody, then a `members_changed` whenever that changes, at most ten a second. To others nothing of that is sent.
 */
import { Schema } from "effect"
import { Ref } from "effect-rooms"

export class Room extends Ref.Entity<Room>()("Room") {}
export class User extends Ref.Entity<User>()("User") {}

const Content = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(4000))
const MessageId = Schema.String.check(Schema.isMaxLength(100))

export const Username = Schema.String.check(Schema.isMaxLength(40))

/** How a user wants to be seen. One with several windows is shown as the most available of them. */
export const Status = Schema.Literals(["online", "away", "busy"])
export type Status = typeof Status.Type

/** From the client. Who it comes from is known already: nothing in a message names its author. */
export const Incoming = Schema.Union([
  Schema.Struct({ type: Schema.Literal("message"), content: Content, id: Schema.optionalKey(MessageId) }),
  Schema.Struct({ type: Schema.Literal("typing") }),
  Schema.Struct({
    type: Schema.Literal("direct"),
    to: Username,
    content: Content,
    id: Schema.optionalKey(MessageId)
  }),
  Schema.Struct({ type: Schema.Literal("status"), status: Status }),
  Schema.Struct({ type: Schema.Literal("members") })
])
export type Incoming = typeof Incoming.Type

/** To everybody in a room. */
export const Line = Schema.Union([
  Schema.Struct({
    type: Schema.Literals(["joined", "left", "typing"]),
    username: Schema.String,
    timestamp: Schema.String
  }),
  Schema.Struct({
    type: Schema.Literal("message"),
    username: Schema.String,
    content: Schema.String,
    timestamp: Schema.String
  })
])
export type Line = typeof Line.Type

/** To one user, in whichever rooms their windows are, and to the author's windows. */
export const Direct = Schema.Struct({
  type: Schema.Literal("direct"),
  from: Schema.String,
  to: Schema.String,
  content: Schema.String,
  timestamp: Schema.String
})

/** To the author of a message with an id, once everybody has it. */
export const Sent = Schema.Struct({ type: Schema.Literal("sent"), messageId: Schema.String })

/** A user who is in the room, however many windows they have. */
export const Member = Schema.Struct({
  username: Schema.String,
  status: Status,
  /** Windows that are connected; none while `unstable`. */
  windows: Schema.Int,
  /** When the last message of any window came; told along with a change, and no reason for one. */
  lastSeen: Schema.String,
  /** The connection of the last window was lost: the user is gone, or back in a moment. */
  unstable: Schema.Boolean
})
export type Member = typeof Member.Type

/** To who asked, again if asked again: everybody in the order they came, in place of all that was told before. */
export const Members = Schema.Struct({
  type: Schema.Literal("members"),
  users: Schema.Int,
  /** Left out where there are more than 200. */
  members: Schema.optionalKey(Schema.Array(Member))
})

/** To who asked: the users who came or are otherwise than before, and those who left. */
export const MembersChanged = Schema.Struct({
  type: Schema.Literal("members_changed"),
  users: Schema.Int,
  members: Schema.Array(Member),
  left: Schema.Array(
    Schema.Struct({ username: Schema.String, reason: Schema.Literals(["left", "expired", "dropped", "removed"]) })
  )
})

/** How many messages were lost, and the positions of the first and the last of them in their room. */
export const lost = { from: Schema.Int, to: Schema.Int, missed: Schema.Int }

/** To who reads too slowly, where lines were lost; or direct messages, then `room` is the inbox they were sent to. */
export const Gap = Schema.Struct({ type: Schema.Literal("gap"), room: Schema.String, ...lost })

/** To the author of a message that cannot be done. */
export const Refused = Schema.Struct({
  type: Schema.Literal("error"),
  code: Schema.Literal("not_listed"),
  message: Schema.String
})

export const Outgoing = Schema.Union([Line, Direct, Sent, Members, MembersChanged, Gap, Refused])
export type Outgoing = typeof Outgoing.Type
