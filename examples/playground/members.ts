/**
 * Who is in a room of the chat: one entry a user, with status, windows and when they were last heard of.
 */
import { DateTime, Effect, FiberHandle, Option, Schema, Stream } from "effect"
import { Presence, type Ref } from "effect-rooms"
import { type Member, type Members as Everybody, type MembersChanged, Room, type Status, User } from "./protocol.ts"

const Meta = Schema.Struct({ username: Schema.String })
type Meta = typeof Meta.Type

const options = { room: Room, user: User, meta: Meta, listCap: 200, maxDevices: 100 }

/** Lobby and vault have rooms of the same names, and are not the same rooms. */
export class LobbyMembers extends Presence.Service<LobbyMembers>()("playground/LobbyMembers", options) {}
export class VaultMembers extends Presence.Service<VaultMembers>()("playground/VaultMembers", options) {}

export type Members = Presence.Presence<Room, User, Meta>
type Told = typeof Everybody.Type | typeof MembersChanged.Type

const toMember = ({ devices, lastSeen, meta, status, unstable }: Presence.Entry<User, Meta>): Member => ({
  username: meta.username,
  status,
  windows: devices.filter((window) => !window.unstable).length,
  lastSeen: DateTime.formatIso(DateTime.makeUnsafe(lastSeen)),
  unstable
})

/** Puts changes into words for one reader. Clients know users by name, which a leave does not say: it is kept here. */
const makeTeller = () => {
  const names = new Map<string, string>()
  const named = (entry: Presence.Entry<User, Meta>): Member => {
    names.set(entry.user.identifier, entry.meta.username)
    return toMember(entry)
  }
  return (change: Presence.Change<User, Meta>): Told => {
    const { users } = change
    if (change._tag !== "Diff") names.clear()
    switch (change._tag) {
      case "Counts":
        return { type: "members", users }
      case "Snapshot":
        return { type: "members", users, members: change.entries.map(named) }
      case "Diff": {
        const members: Array<Member> = []
        const left: Array<(typeof MembersChanged.Type)["left"][number]> = []
        for (const event of change.events) {
          if (event._tag !== "Leave") {
            members.push(named(event.entry))
            continue
          }
          const username = names.get(event.user.identifier)
          names.delete(event.user.identifier)
          if (username !== undefined) left.push({ username, reason: event.reason })
        }
        return { type: "members_changed", users, members, left }
      }
    }
  }
}

/**
 * Is in a room until the scope closes.
 *
 * A hundred windows of one name are counted, "Anonymous" included; one more chats all the same.
 */
export const attend = Effect.fnUntraced(function* (
  members: Members,
  room: Ref.Ref<Room>,
  user: Ref.Ref<User>,
  username: string,
  send: (told: Told) => boolean
) {
  const tracked = yield* Effect.option(members.track(room, user, { meta: { username } }))
  const following = yield* FiberHandle.make()

  const follow = Effect.gen(function* () {
    const changes = yield* members.changes(room)
    const put = makeTeller()
    yield* Stream.runForEach(changes.stream, (change) => Effect.sync(() => send(put(change))))
  }).pipe(Effect.scoped)

  return {
    /** Changes the status of this window; false where it is not counted. */
    setStatus: (status: Status) =>
      // A status alone is never refused.
      Option.isSome(tracked) ? Effect.orDie(tracked.value.update({ status })) : Effect.succeed(false),
    /** Renews `lastSeen`. */
    heartbeat: Option.isSome(tracked) ? tracked.value.heartbeat : Effect.succeed(false),
    /** Tells this connection who is in the room, from the beginning if it was told before. */
    follow: FiberHandle.run(following, follow)
  }
})
