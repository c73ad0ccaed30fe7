/**
 * Who is at a board, by name: for clients that say theirs.
 */
import { Effect, Schema, Stream } from "effect"
import { Presence, type Ref } from "effect-rooms"
import { createHash } from "node:crypto"
import { Status, User } from "./protocol.ts"
import { Board } from "./tasks.ts"

export class BoardPresence extends Presence.Service<BoardPresence>()("playground/BoardPresence", {
  room: Board,
  user: User,
  meta: Schema.Struct({ username: Schema.String })
}) {}

/** Everybody at a board, one entry a user however many windows they have. */
export const PresenceList = Schema.Struct({
  type: Schema.Literal("presence"),
  boardId: Board.ref.schema,
  users: Schema.Array(
    Schema.Struct({
      username: Schema.String,
      status: Status,
      /** Windows that are connected; none while `unstable`. */
      windows: Schema.Int,
      /** The connection of the last window was lost: the user is gone, or back in a moment. Left out otherwise. */
      unstable: Schema.optionalKey(Schema.Literal(true))
    })
  )
})
export type PresenceList = typeof PresenceList.Type

/**
 * Is at a board under a name until the scope closes, and tells of everybody who is, whenever that changes. Answers with
 * the way to change one's status.
 */
export const attend = Effect.fnUntraced(function* (
  board: Ref.Ref<Board>,
  device: string,
  username: string,
  tell: (list: PresenceList) => void
) {
  const presence = yield* BoardPresence
  const user = User.ref`board/${createHash("sha256").update(username).digest("hex")}`
  const tracked = yield* presence.track(board, user, { device, meta: { username } })
  const changes = yield* presence.changes(board)
  const follow = Stream.runForEach(changes.stream, () =>
    Effect.map(presence.list(board), (listing) => {
      if (listing._tag !== "Snapshot") return
      tell({
        type: "presence",
        boardId: board,
        users: listing.entries.map(({ devices, meta, status, unstable }) => ({
          username: meta.username,
          status,
          windows: devices.filter((window) => !window.unstable).length,
          ...(unstable && { unstable })
        }))
      })
    })
  )
  yield* Effect.forkScoped(follow)
  return (status: Status) => tracked.update({ status })
})
