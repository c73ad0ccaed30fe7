/**
 * What nodes ask of each other's rooms. A letter that comes is decoded by this schema before anybody looks at it.
 */
import * as Schema from "effect/Schema"

/** Takes a member out of a room on the node it is sent to. */
const Leave = Schema.TaggedStruct("Leave", { room: Schema.String, member: Schema.String, reason: Schema.String })
export type Leave = typeof Leave.Type

export const decodeLetter = Schema.decodeUnknownExit(Leave)

export const leaveLetter = (room: string, member: string, reason: string): Leave => ({
  _tag: "Leave",
  room,
  member,
  reason
})
