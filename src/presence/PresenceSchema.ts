/**
 * How presence travels: schemas of what subscribers are given, for messages to clients and for clients to read.
 */
import * as Schema from "effect/Schema"
import type { AnyEntity } from "../Ref.ts"
import type { Change } from "./PresenceChange.ts"

/** Who can be present, and what can be known of their devices: what schemas are made from. */
export interface Users<U, M> {
  /** The entity of the users. */
  readonly user: AnyEntity<U>
  /** The schema of the metadata of a device; none by default. Values are checked, not changed. */
  readonly meta?: Schema.Codec<M, unknown> | undefined
}

/** The schema of metadata, which is `undefined` where there is none to be had. */
export const metaSchema = <M>(meta: Schema.Codec<M, unknown> | undefined): Schema.Codec<M, unknown> =>
  meta ?? (Schema.Undefined as Schema.Codec<unknown, unknown> as Schema.Codec<M, unknown>)

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
/** How a user wants to be seen. */
export const Status = Schema.Literals(["online", "away", "busy"])
/** Why the last device of a user went. */
export const LeaveReason = Schema.Literals(["left", "expired", "dropped", "removed"])

/**
 * Makes the schema of what `changes` emits, of a presence or of what one is made from.
 *
 * For the outgoing messages of a route, and for a client that reads them. Encodes to JSON of the same shape, with users
 * as their identifiers and metadata as its schema says; `null` where a presence has no metadata.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Presence, Ref } from "effect-rooms"
 *
 * class User extends Ref.Entity<User>()("User") {}
 *
 * const changes = Presence.changeSchema({ user: User, meta: Schema.Struct({ x: Schema.Finite }) })
 * const left = { _tag: "Leave", user: "alice", reason: "left" }
 * const change = Schema.decodeUnknownSync(changes)({ _tag: "Diff", users: 0, devices: 0, events: [left] })
 *
 * console.log(change)
 * ```
 */
export const changeSchema = <U, M = undefined>(users: Users<U, M>): Schema.Codec<Change<U, M>, Schema.Json> => {
  const user = users.user.ref.schema
  const shown = {
    status: Status,
    meta: metaSchema(users.meta),
    lastSeen: Schema.Finite,
    unstable: Schema.Boolean
  }
  const device = Schema.Struct({ device: Schema.NonEmptyString, ...shown })
  const entry = Schema.Struct({ user, ...shown, devices: Schema.NonEmptyArray(device) })
  const event = Schema.TaggedUnion({
    Enter: { entry },
    Update: { entry },
    Leave: { user, reason: LeaveReason }
  })
  const counts = { users: Count, devices: Count }
  const change = Schema.TaggedUnion({
    Snapshot: { ...counts, entries: Schema.Array(entry) },
    Counts: counts,
    Diff: { ...counts, events: Schema.Array(event) }
  })
  return Schema.toCodecJson(change)
}
