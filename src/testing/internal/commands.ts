/**
 * Commands: how they are generated from the pools of a specification, and how they are shown.
 *
 * The schema holds names and positions in pools, which any value can be behind; `resolve` puts the values in.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Formatter from "effect/Formatter"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import type { Events } from "../../rooms/RoomApi.ts"
import type { Command, RoomSpec } from "../RoomSpec.ts"

const defaultRooms: ReadonlyArray<string> = ["red", "blue"]
const defaultMembers: ReadonlyArray<string> = ["ann", "bob", "cyd"]

/** The pools of a specification. Dies of one that is empty. */
export const poolsOf = <E, Ev extends Events, Data, R>(spec: RoomSpec<E, Ev, Data, R>) => ({
  rooms: notEmpty("rooms", spec.rooms ?? defaultRooms),
  members: notEmpty("members", spec.members ?? defaultMembers),
  data: notEmpty("data", spec.data),
  publishes: spec.publishes ?? [],
  broadcasts: spec.broadcasts ?? []
})

const notEmpty = <A>(name: string, pool: ReadonlyArray<A>): ReadonlyArray<A> => {
  if (pool.length > 0) return pool
  throw new RangeError(`${name} must have at least one value`)
}

export const idleMillis = ({ maxIdleTime }: { readonly maxIdleTime?: Duration.Input | undefined }): number =>
  Duration.toMillis(Duration.fromInputUnsafe(maxIdleTime ?? Duration.minutes(1)))

const positions = (pool: ReadonlyArray<unknown>) => Schema.Literals(pool.map((_, position) => position))

const rawCommand = (pools: ReturnType<typeof poolsOf>, idle: number) => {
  const room = Schema.Literals(pools.rooms)
  const member = Schema.Literals(pools.members)
  return Schema.TaggedUnion({
    Join: {
      room,
      member,
      data: positions(pools.data),
      how: Schema.Literals(["scope", "open", "current", "id", "nobody"])
    },
    Publish: { room, member, message: positions(pools.publishes) },
    Broadcast: { room, message: positions(pools.broadcasts), except: positions([...pools.members, "nobody"]) },
    Leave: {
      room,
      member,
      join: Schema.Literals(["last", "before"]),
      how: Schema.Literals(["leave", "dispose", "scope"])
    },
    Remove: { room, member },
    LeaveAll: { member },
    Disconnect: { member, ending: Schema.Literals(["clean", "lost"]), again: Schema.Boolean },
    Close: { room },
    Pass: { millis: Schema.Literals([idle, Math.ceil(idle / 2)]) }
  })
}
type RawCommand = ReturnType<typeof rawCommand>["Type"]

/** How often a command comes, beside the others. */
type Weights = { readonly [Tag in RawCommand["_tag"]]?: number }

/** Everything happens to all rooms. */
const wild: Weights = {
  Join: 4,
  Publish: 4,
  Broadcast: 1,
  Leave: 1,
  Remove: 1,
  LeaveAll: 1,
  Disconnect: 1,
  Close: 1,
  Pass: 1
}

/** One room fills, and what needs many steps has the time to come about. */
const calm: Weights = { Join: 3, Publish: 6, Broadcast: 1, Leave: 1, Pass: 1 }

/** The same command with one of its fields at its most usual. */
const shrinkWith =
  (idle: number) =>
  (raw: RawCommand): ReadonlyArray<RawCommand> => {
    const usual: Readonly<Record<string, unknown>> = {
      how: raw._tag === "Join" ? "scope" : "leave",
      data: 0,
      message: 0,
      join: "last",
      ending: "clean",
      again: false,
      // In which commands that only take time can be left out.
      millis: idle
    }
    const fields = Object.entries(raw).filter(([field, value]) => field in usual && usual[field] !== value)
    return fields.map(([field]) => ({ ...raw, [field]: usual[field] }))
  }

/** Lists of commands, of the kinds that the pools have values for. Every second is calm. */
export const commands = <E, Ev extends Events, Data, R>(
  spec: RoomSpec<E, Ev, Data, R>,
  maxLength: number
): Arbitrary.Arbitrary<Array<Command<Ev, Data>>> => {
  const pools = poolsOf(spec)
  const { broadcasts, data, members, publishes } = pools
  const resolve = (raw: RawCommand): Command<Ev, Data> => {
    switch (raw._tag) {
      case "Join":
        return { ...raw, data: data[raw.data]! }
      case "Publish":
        return { ...raw, message: publishes[raw.message]! }
      case "Broadcast":
        return { ...raw, message: broadcasts[raw.message]!, except: members.slice(raw.except, raw.except + 1) }
      default:
        return raw
    }
  }
  const idle = idleMillis(spec)
  const shrink = shrinkWith(idle)
  const lists = (rooms: ReadonlyArray<string>, weights: Weights) => {
    const { cases } = rawCommand({ ...pools, rooms }, idle)
    const kinds = Struct.keys(cases).flatMap((tag): ReadonlyArray<Schema.Schema<RawCommand>> => {
      const isPossible = (tag !== "Publish" || publishes.length > 0) && (tag !== "Broadcast" || broadcasts.length > 0)
      return isPossible ? Array.from({ length: weights[tag] ?? 0 }, () => cases[tag]) : []
    })
    return Arbitrary.array(Arbitrary.schema(Schema.Union(kinds), { shrink }), { maxLength })
  }
  const moods = [lists(pools.rooms, wild), lists(pools.rooms.slice(0, 1), calm)]
  return Arbitrary.schema(Schema.Literals([0, 1])).pipe(
    Arbitrary.flatMap((mood) => moods[mood]!),
    Arbitrary.map((list) => list.map(resolve))
  )
}

/** What came of joins, for commands that give it back. */
export class ByJoin<A> {
  readonly #joins = new Map<string, ReadonlyArray<A>>()

  add(room: string, member: string, join: A): void {
    const key = `${room} ${member}`
    this.#joins.set(key, [...(this.#joins.get(key) ?? []), join])
  }

  get(command: { readonly room: string; readonly member: string; readonly join: "last" | "before" }): A | undefined {
    return this.#joins.get(`${command.room} ${command.member}`)?.at(command.join === "last" ? -1 : -2)
  }
}

/** A command in one line. */
export const format = <Ev extends Events, Data>({ _tag, ...fields }: Command<Ev, Data>): string =>
  `${_tag} ${Formatter.format(fields)}`
