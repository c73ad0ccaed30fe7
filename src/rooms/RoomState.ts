/**
 * Who is in which room: two indexes and the steps they make. Times and generations come from outside.
 *
 * Members by room and rooms by member change in the same function or not at all. Every join has a generation: what is
 * late of an earlier one never touches its successor. The indexes are changed in place: joins and leaves are what a
 * server does most, and a persistent map costs ten times the memory of each.
 */

/** One member of one room. */
export interface Membership<Data> {
  readonly member: string
  readonly data: Data
  /** Wall time in milliseconds, for display. A member that joins again keeps it. */
  readonly joinedAt: number
  /** The number of the join that holds this membership; rises from join to join. */
  readonly generation: number
}

type AnyMembership = Membership<unknown>

/** A room with members. */
interface Occupied<M> {
  readonly members: Map<string, M>
  /** The list of the rooms of a member that is in this one only, as most are; shared by all of them. */
  readonly alone: ReadonlyArray<string>
}

/** All rooms with members. */
export interface RoomState<M extends AnyMembership> {
  readonly rooms: Map<string, Occupied<M>>
  readonly roomsOf: Map<string, ReadonlyArray<string>>
}

/** Nobody anywhere. */
export const make = <M extends AnyMembership>(): RoomState<M> => ({
  rooms: new Map(),
  roomsOf: new Map()
})

const nowhere: ReadonlyArray<string> = []

/** Whether there is a place for a member: it is in the room already, or the room is not full. */
export const takes = <M extends AnyMembership>(
  state: RoomState<M>,
  room: string,
  member: string,
  capacity: number
): boolean => {
  const present = state.rooms.get(room)?.members
  return present === undefined ? capacity > 0 : present.size < capacity || present.has(member)
}

/**
 * Lets a member in, who was asked about with `takes`. One that is in the room already gets its new data and generation,
 * and takes no second place; what it held so far is returned.
 */
export const join = <M extends AnyMembership>(state: RoomState<M>, room: string, membership: M): M | undefined => {
  const { member } = membership
  let occupied = state.rooms.get(room)
  if (occupied === undefined) {
    occupied = { members: new Map(), alone: [room] }
    state.rooms.set(room, occupied)
  }
  const replaced = occupied.members.get(member)
  occupied.members.set(member, membership)
  if (replaced === undefined) {
    const others = state.roomsOf.get(member)
    state.roomsOf.set(member, others === undefined ? occupied.alone : [...others, room])
  }
  return replaced
}

/** Lets a member out; what it held. With a generation, only if the membership is still held by that join. */
export const leave = <M extends AnyMembership>(
  state: RoomState<M>,
  room: string,
  member: string,
  generation?: number
): M | undefined => {
  const others = state.rooms.get(room)?.members
  const left = others?.get(member)
  if (others === undefined || left === undefined) return undefined
  if (generation !== undefined && left.generation !== generation) return undefined
  others.delete(member)
  if (others.size === 0) state.rooms.delete(room)
  const rest = roomsOf(state, member).filter((other) => other !== room)
  if (rest.length === 0) state.roomsOf.delete(member)
  else state.roomsOf.set(member, rest.length === 1 ? (state.rooms.get(rest[0]!)?.alone ?? rest) : rest)
  return left
}

/** The membership of one member of a room. */
export const get = <M extends AnyMembership>(state: RoomState<M>, room: string, member: string): M | undefined =>
  state.rooms.get(room)?.members.get(member)

/** The members of a room, in the order of their joins. */
export const members = <M extends AnyMembership>(state: RoomState<M>, room: string): ReadonlyArray<M> =>
  Array.from(state.rooms.get(room)?.members.values() ?? []).toSorted((a, b) => a.generation - b.generation)

/** How many members a room has. */
export const size = <M extends AnyMembership>(state: RoomState<M>, room: string): number =>
  state.rooms.get(room)?.members.size ?? 0

/** The rooms a member is in. */
export const roomsOf = <M extends AnyMembership>(state: RoomState<M>, member: string): ReadonlyArray<string> =>
  state.roomsOf.get(member) ?? nowhere

/** The rooms that have members, with their sizes. */
export const list = <M extends AnyMembership>(
  state: RoomState<M>
): ReadonlyArray<readonly [room: string, size: number]> =>
  Array.from(state.rooms, ([room, occupied]) => [room, occupied.members.size] as const)

/** How many rooms have members. */
export const count = <M extends AnyMembership>(state: RoomState<M>): number => state.rooms.size
