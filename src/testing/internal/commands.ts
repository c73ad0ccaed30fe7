/**
 * Commands: how they are generated from the pools of a specification, and how they are shown.
 *
 * The schema holds names and positions in pools, which any value can be behind; `resolve` puts the values in.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Formatter from "effect/Formatter"
import * as Schema from "effect/Schema"
import type { Events } from "../../rooms/RoomApi.ts"
import type { Command, RoomSpec } from "../RoomSpec.ts"

export const defaultRooms: ReadonlyArray<string> = ["red", "blue"]
export const defaultMembers: ReadonlyArray<string> = ["ann", "bob", "cyd"]

/** How many joins can be given back, the earliest ones. */
const memberships = [0, 1, 2, 3, 4, 5]

export const idleMillis = (spec: { readonly maxIdleTime?: Duration.Input | undefined }): number =>
  Duration.toMillis(Duration.fromInputUnsafe(spec.maxIdleTime ?? Duration.minutes(1)))

const positions = (pool: ReadonlyArray<unknown>) => Schema.Literals(pool.map((_, position) => position))

const rawCommand = <E, Ev extends Events, Data, R>(spec: RoomSpec<E, Ev, Data, R>) => {
  const room = Schema.Literals(spec.rooms ?? defaultRooms)
  const member = Schema.Literals(spec.members ?? defaultMembers)
  const members = spec.members ?? defaultMembers
  const idle = idleMillis(spec)
  return Schema.TaggedUnion({
    Join: {
      room,
      member,
      data: positions(spec.data),
      how: Schema.Literals(["scope", "open", "current", "id", "nobody"])
    },
    Publish: { room, member, message: positions(spec.publishes ?? []) },
    Broadcast: { room, message: positions(spec.broadcasts ?? []), except: positions([...members, "nobody"]) },
    Leave: { membership: Schema.Literals(memberships), how: Schema.Literals(["leave", "dispose", "scope"]) },
    Remove: { room, member },
    LeaveAll: { member },
    Disconnect: { member, ending: Schema.Literals(["clean", "lost"]), again: Schema.Boolean },
    Close: { room },
    Pass: { millis: Schema.Literals([idle, Math.ceil(idle / 2)]) }
  })
}
type RawCommand = ReturnType<typeof rawCommand>["Type"]

const resolve =
  <E, Ev extends Events, Data, R>({ broadcasts, data, members, publishes }: RoomSpec<E, Ev, Data, R>) =>
  (raw: RawCommand): Command<Ev, Data> => {
    switch (raw._tag) {
      case "Join":
        return { ...raw, data: data[raw.data]! }
      case "Publish":
        return { ...raw, message: publishes![raw.message]! }
      case "Broadcast": {
        const left = (members ?? defaultMembers)[raw.except]
        return { ...raw, message: broadcasts![raw.message]!, except: left === undefined ? [] : [left] }
      }
      default:
        return raw
    }
  }

/** Lists of commands, of every kind the pools have values for. */
export const commands = <E, Ev extends Events, Data, R>(
  spec: RoomSpec<E, Ev, Data, R>,
  maxLength: number
): Arbitrary.Arbitrary<Array<Command<Ev, Data>>> => {
  const { cases } = rawCommand(spec)
  const { Broadcast, Publish, ...others } = cases
  const possible: ReadonlyArray<Schema.Schema<RawCommand>> = [
    ...Object.values(others),
    ...(spec.publishes?.length ? [Publish] : []),
    ...(spec.broadcasts?.length ? [Broadcast] : [])
  ]
  return Arbitrary.array(Arbitrary.map(Arbitrary.schema(Schema.Union(possible)), resolve(spec)), { maxLength })
}

/** A command in one line. */
export const format = <Ev extends Events, Data>({ _tag, ...fields }: Command<Ev, Data>): string =>
  `${_tag} ${Formatter.format(fields)}`
