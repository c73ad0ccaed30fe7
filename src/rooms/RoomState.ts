/**
 * Who is in which room: a pure value and the steps it makes. Times and generations come from outside.
 *
 * Two indexes, members by room and rooms by member, which change in the same function or not at all. Every join has a
 * generation: what is late of an earlier one never touches its successor.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

/** One member of one room. */
export interface Membership<Data> {
  readonly member: string
  readonly data: Data
  /** Wall time in milliseconds, for display. A member that joins again keeps it. */
  readonly joinedAt: number
  /** The number of the join that holds this membership; rises from join to join. */
  readonly generation: number
}

/** All rooms with members. */
export interface RoomState<Data> {
  readonly rooms: HashMap.HashMap<string, HashMap.HashMap<string, Membership<Data>>>
  /** Most members are in one room, so that is a list. */
  readonly roomsOf: HashMap.HashMap<string, ReadonlyArray<string>>
}

/** Nobody anywhere. */
export const empty = <Data>(): RoomState<Data> => ({ rooms: HashMap.empty(), roomsOf: HashMap.empty() })

const none = HashMap.empty<string>()
const nowhere: ReadonlyArray<string> = []

const membersOf = <Data>(state: RoomState<Data>, room: string): HashMap.HashMap<string, Membership<Data>> =>
  Option.getOrElse(HashMap.get(state.rooms, room), () => none)

/** What became of a join. */
export type Joined<Data> =
  | { readonly _tag: "Joined"; readonly membership: Membership<Data> }
  | { readonly _tag: "JoinedAgain"; readonly membership: Membership<Data>; readonly replaced: Membership<Data> }
  | { readonly _tag: "Full" }

/**
 * Lets a member in, unless the room is full. A member that is in the room already gets its new data and generation, and
 * takes no second place.
 */
export const join = <Data>(
  state: RoomState<Data>,
  room: string,
  request: Membership<Data>,
  capacity: number
): readonly [RoomState<Data>, Joined<Data>] => {
  const members = membersOf(state, room)
  const present = HashMap.get(members, request.member)
  if (Option.isNone(present) && HashMap.size(members) >= capacity) return [state, { _tag: "Full" }]
  const replaced = Option.getOrUndefined(present)
  const membership = replaced === undefined ? request : { ...request, joinedAt: replaced.joinedAt }
  const rooms = roomsOf(state, request.member)
  return [
    {
      rooms: HashMap.set(state.rooms, room, HashMap.set(members, request.member, membership)),
      roomsOf: replaced === undefined ? HashMap.set(state.roomsOf, request.member, [...rooms, room]) : state.roomsOf
    },
    replaced === undefined ? { _tag: "Joined", membership } : { _tag: "JoinedAgain", membership, replaced }
  ]
}

/**
 * Lets a member out. With a generation, only if the membership is still held by that join.
 */
export const leave = <Data>(
  state: RoomState<Data>,
  room: string,
  member: string,
  generation?: number
): readonly [RoomState<Data>, Membership<Data> | undefined] => {
  const members = membersOf(state, room)
  const present = Option.getOrUndefined(HashMap.get(members, member))
  if (present === undefined || (generation !== undefined && present.generation !== generation))
    return [state, undefined]
  const remaining = HashMap.remove(members, member)
  const rooms = roomsOf(state, member).filter((other) => other !== room)
  return [
    {
      rooms: HashMap.isEmpty(remaining) ? HashMap.remove(state.rooms, room) : HashMap.set(state.rooms, room, remaining),
      roomsOf: rooms.length === 0 ? HashMap.remove(state.roomsOf, member) : HashMap.set(state.roomsOf, member, rooms)
    },
    present
  ]
}

/** The membership of one member of a room. */
export const get = <Data>(state: RoomState<Data>, room: string, member: string): Membership<Data> | undefined =>
  Option.getOrUndefined(HashMap.get(membersOf(state, room), member))

/** The members of a room, in the order of their joins. */
export const members = <Data>(state: RoomState<Data>, room: string): ReadonlyArray<Membership<Data>> =>
  Array.from(HashMap.values(membersOf(state, room))).toSorted((a, b) => a.generation - b.generation)

/** How many members a room has. */
export const size = <Data>(state: RoomState<Data>, room: string): number => HashMap.size(membersOf(state, room))

/** The rooms a member is in. */
export const roomsOf = <Data>(state: RoomState<Data>, member: string): ReadonlyArray<string> =>
  Option.getOrElse(HashMap.get(state.roomsOf, member), () => nowhere)

/** The rooms that have members, with their sizes. */
export const list = <Data>(state: RoomState<Data>): ReadonlyArray<readonly [room: string, size: number]> =>
  Array.from(HashMap.entries(state.rooms), ([room, present]) => [room, HashMap.size(present)] as const)

/** How many rooms have members. */
export const count = <Data>(state: RoomState<Data>): number => HashMap.size(state.rooms)
