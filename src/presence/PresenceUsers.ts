/**
 * The users of one room as a value: who is present, of whom else something is said, and what is counted of them.
 *
 * Owns that the counts are right: users change in `withUser` only.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { type Device, eventBetween, type Grave, isGrave, isOwn, type UserState } from "./PresenceDevice.ts"
import type { Event, LeaveReason } from "./PresenceEntry.ts"

/** The users of one room. */
export interface PresenceState<in out U, in out M> {
  readonly users: HashMap.HashMap<string, UserState<U, M>>
  /** Users of whom nothing is shown, and something is said by this node or another. */
  readonly absent: HashMap.HashMap<string, UserState<U, M>>
  readonly devices: number
  /** Devices of this node among them. */
  readonly own: number
  /** What this node says beside those: graves, and devices that were taken over. */
  readonly past: number
  /** No device that lives by signs of life gave its last before this, and none was dropped before `lostSince`. */
  readonly idleSince: number
  readonly lostSince: number
  /** Users up to which the room is shown as a list. */
  readonly listCap: number
  /** Shown as counts: set above `listCap` and cleared at nine tenths of it, so that one user cannot flip it each time. */
  readonly crowded: boolean
  /** The epoch of this node; empty while it is alone. */
  readonly self: string
}

/** The next state and what can be seen of the change. */
export type Changed<U, M> = readonly [state: PresenceState<U, M>, events: ReadonlyArray<Event<U, M>>]

/** A room without users. */
export const empty = <U, M>(listCap: number, self = ""): PresenceState<U, M> => ({
  users: HashMap.empty(),
  absent: HashMap.empty(),
  devices: 0,
  own: 0,
  past: 0,
  idleSince: Number.POSITIVE_INFINITY,
  lostSince: Number.POSITIVE_INFINITY,
  listCap,
  crowded: false,
  self
})

/** The user, if present. */
export const find = <U, M>(state: PresenceState<U, M>, user: string): UserState<U, M> | undefined =>
  Option.getOrUndefined(HashMap.get(state.users, user))

/** What is said of a user, present or not. */
export const known = <U, M>(state: PresenceState<U, M>, user: string): UserState<U, M> | undefined =>
  find(state, user) ??
  (HashMap.isEmpty(state.absent) ? undefined : Option.getOrUndefined(HashMap.get(state.absent, user)))

/** Everybody something is said of. */
export const everybody = <U, M>(state: PresenceState<U, M>): ReadonlyArray<UserState<U, M>> => [
  ...HashMap.values(state.users),
  ...HashMap.values(state.absent)
]

/** Those who are said something else of in one state than in the other. */
export const changedUsers = <U, M>(before: PresenceState<U, M>, after: PresenceState<U, M>): ReadonlyArray<string> => {
  const changed = new Set<string>()
  for (const [one, other] of [
    [before, after],
    [after, before]
  ] as const) {
    for (const user of everybody(one)) {
      const { identifier } = user.user
      if (known(other, identifier) !== user) changed.add(identifier)
    }
  }
  return Array.from(changed)
}

/** Whether nobody is present, and nothing is said of anybody. */
export const isEmpty = <U, M>({ absent, users }: PresenceState<U, M>): boolean =>
  HashMap.isEmpty(users) && HashMap.isEmpty(absent)

const idleSince = <M>(one: Device<M>): number =>
  one.held || one.unstableSince !== undefined || !isOwn(one) ? Number.POSITIVE_INFINITY : one.lastHeartbeatAt

const lostSince = <M>(one: Device<M> | Grave): number =>
  isOwn(one) ? ((isGrave(one) ? one.since : one.unstableSince) ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY

const oldest = <U, M>(since: number, { devices, hidden }: UserState<U, M>): number => {
  let earliest = since
  for (const one of devices) earliest = Math.min(earliest, lostSince(one))
  for (const one of hidden) earliest = Math.min(earliest, lostSince(one))
  return earliest
}

const countOwn = (all: ReadonlyArray<Pick<Grave, "owner">> | undefined): number => {
  let count = 0
  if (all !== undefined) for (const { owner } of all) if (owner === undefined) count++
  return count
}

/** Puts what is said of a user into the state; one of whom nothing is said is none. The one place that changes `users`. */
export const withUser = <U, M>(
  state: PresenceState<U, M>,
  before: UserState<U, M> | undefined,
  after: UserState<U, M>,
  reason: LeaveReason
): Changed<U, M> => {
  const { devices, hidden, user } = after
  const key = user.identifier
  const users = devices.length > 0 ? HashMap.set(state.users, key, after) : HashMap.remove(state.users, key)
  const size = HashMap.size(users)
  const event = eventBetween(present(before), present(after), reason)
  const next: PresenceState<U, M> = {
    users,
    absent: withAbsent(state.absent, after),
    devices: state.devices + devices.length - (before?.devices.length ?? 0),
    own: state.own + countOwn(devices) - countOwn(before?.devices),
    past: state.past + countOwn(hidden) - countOwn(before?.hidden),
    idleSince: devices.reduce((since, device) => Math.min(since, idleSince(device)), state.idleSince),
    lostSince: oldest(state.lostSince, after),
    listCap: state.listCap,
    crowded: size > state.listCap || (state.crowded && size > 0.9 * state.listCap),
    self: state.self
  }
  return [next, event === undefined ? [] : [event]]
}

/** The user, if anything is shown of it. */
export const present = <U, M>(user: UserState<U, M> | undefined): UserState<U, M> | undefined =>
  user === undefined || user.devices.length === 0 ? undefined : user

const withAbsent = <U, M>(
  absent: PresenceState<U, M>["absent"],
  after: UserState<U, M>
): PresenceState<U, M>["absent"] => {
  const { devices, hidden, user } = after
  if (devices.length === 0 && hidden.length > 0) return HashMap.set(absent, user.identifier, after)
  return HashMap.isEmpty(absent) ? absent : HashMap.remove(absent, user.identifier)
}

/** Finds out since when the oldest sign of life and the oldest drop are. */
export const withAges = <U, M>(state: PresenceState<U, M>): PresenceState<U, M> => {
  let [idle, lostAt] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const { devices, hidden } of everybody(state)) {
    for (const device of devices) {
      idle = Math.min(idle, idleSince(device))
      lostAt = Math.min(lostAt, lostSince(device))
    }
    for (const one of hidden) lostAt = Math.min(lostAt, lostSince(one))
  }
  return { ...state, idleSince: idle, lostSince: lostAt }
}
