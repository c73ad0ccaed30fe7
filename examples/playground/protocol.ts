/**
 * What the chat page and `wscat` say and hear: plain JSON text frames.
 */
import { Schema } from "effect"
import { Ref } from "effect-rooms"

export class Room extends Ref.Entity<Room>()("Room") {}
export class User extends Ref.Entity<User>()("User") {}

const Content = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(4000))
const MessageId = Schema.String.check(Schema.isMaxLength(100))

export const Username = Schema.String.check(Schema.isMaxLength(40))

/** From the client. */
export const Incoming = Schema.Union([
  Schema.Struct({ type: Schema.Literal("message"), content: Content, id: Schema.optionalKey(MessageId) }),
  Schema.Struct({ type: Schema.Literal("typing") }),
  Schema.Struct({
    type: Schema.Literal("direct"),
    to: Username,
    content: Content,
    id: Schema.optionalKey(MessageId)
  })
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

export const Outgoing = Schema.Union([Line, Direct, Sent])
