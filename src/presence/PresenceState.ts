/**
 * Who is present in one room, as a value: every change is a function of the state and the time.
 *
 * A change answers the next state and what it means for the user, if anything can be seen of it. A change of something
 * that is not there answers the very same state. Liveness is judged by monotonic milliseconds (`at`) only; wall time
 * (`wall`) is carried along for display. Nothing here waits, counts bounds or knows who is watching.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Ref } from "../Ref.ts"
import type { DeviceEntry, Entry, Event, LeaveReason, Status } from "./PresenceEntry.ts"

/** The time of a change. */
export interface Now {
  /** Monotonic milliseconds; decides what is alive. */
  readonly at: number
  /** Unix milliseconds; for display. */
  readonly wall: number
}

/** Metadata with its encoded text, by which two values are compared. */
export interface Meta<out M> {
  readonly value: M
  readonly text: string
}

/** A device and what keeps it alive: a scope that holds it, its grace period, or its heartbeats. */
export interface Device<out M> {
  readonly device: string
  /** Rises with every owner of the device; a late action of an earlier owner is recognised by it. */
  readonly generation: number
  readonly status: Status
  readonly meta: Meta<M>
  /** A scope holds it: it is alive without heartbeats. */
  readonly held: boolean
  readonly lastHeartbeatAt: number
  readonly lastSeen: number
  readonly unstableSince: number | undefined
}

/** A user and at least one device, the one that appeared last first. */
export interface UserState<in out U, out M> {
  readonly user: Ref<U>
  /** Generation of the device the user entered with; sorts lists. */
  readonly entered: number
  readonly devices: ReadonlyArray<Device<M>>
}

/** The users of one room. */
export interface PresenceState<in out U, in out M> {
  readonly users: HashMap.HashMap<string, UserState<U, M>>
  readonly devices: number
  /** No device that lives by signs of life gave its last before this, and none was dropped before `lostSince`. */
  readonly idleSince: number
  readonly lostSince: number
  /** Users up to which the room is shown as a list. */
  readonly listCap: number
  /** Shown as counts: set above `listCap` and cleared at nine tenths of it, so that one user cannot flip it each time. */
  readonly crowded: boolean
}

/** The next state and what can be seen of the change. */
export type Changed<U, M> = readonly [state: PresenceState<U, M>, events: ReadonlyArray<Event<U, M>>]

/** Which device is meant; with a generation, only while the scope that took hold of it as that one holds it. */
export interface At {
  readonly user: string
  readonly device: string
  readonly generation?: number | undefined
}

/** A scope and the device it took hold of. */
export interface Holder extends At {
  readonly generation: number
}

/** What can be changed of a device. */
export interface Edit<M> {
  readonly status?: Status | undefined
  readonly meta?: Meta<M> | undefined
}

/** A device that appears, or appears again. */
export interface Appearance<in out U, out M> {
  readonly user: Ref<U>
  readonly device: string
  /** Above the generation of every device before it. */
  readonly generation: number
  readonly status: Status
  readonly meta: Meta<M>
}

/** A room without users. */
export const empty = <U, M>(listCap: number): PresenceState<U, M> => ({
  users: HashMap.empty(),
  devices: 0,
  idleSince: Number.POSITIVE_INFINITY,
  lostSince: Number.POSITIVE_INFINITY,
  listCap,
  crowded: false
})

const rank = { online: 2, busy: 1, away: 0 } as const

/** The device a user is shown as: the best status, and on a tie the one that appeared last. */
export const leading = <M>(a: Device<M>, b: Device<M>): Device<M> =>
  (rank[a.status] - rank[b.status] || a.generation - b.generation) < 0 ? b : a

const toDeviceEntry = <M>({ device, lastSeen, meta, status, unstableSince }: Device<M>): DeviceEntry<M> => ({
  device,
  status,
  meta: meta.value,
  lastSeen,
  unstable: unstableSince !== undefined
})

/** What is shown of a user. */
export const toEntry = <U, M>({ devices, user }: UserState<U, M>): Entry<U, M> => {
  const { meta, status } = devices.reduce(leading)
  const latest = devices.reduce((a, b) => (a.lastHeartbeatAt < b.lastHeartbeatAt ? b : a))
  return {
    user,
    status,
    meta: meta.value,
    lastSeen: latest.lastSeen,
    unstable: devices.every((device) => device.unstableSince !== undefined),
    devices: devices.map(toDeviceEntry)
  }
}

const looksLike = <M>(a: Device<M>, b: Device<M>): boolean =>
  a.device === b.device &&
  a.status === b.status &&
  a.meta.text === b.meta.text &&
  (a.unstableSince === undefined) === (b.unstableSince === undefined)

/** What can be seen between two states of one user; nothing when only `lastSeen` differs. */
export const eventBetween = <U, M>(
  before: UserState<U, M> | undefined,
  after: UserState<U, M> | undefined,
  reason: LeaveReason
): Event<U, M> | undefined => {
  if (after === undefined) return before && { _tag: "Leave", user: before.user, reason }
  if (before === undefined) return { _tag: "Enter", entry: toEntry(after) }
  const same =
    before.devices.length === after.devices.length &&
    before.devices.every((device, index) => looksLike(device, after.devices[index]!))
  return same ? undefined : { _tag: "Update", entry: toEntry(after) }
}

/** The user, if present. */
export const find = <U, M>(state: PresenceState<U, M>, user: string): UserState<U, M> | undefined =>
  Option.getOrUndefined(HashMap.get(state.users, user))

const idleSince = <M>({ held, lastHeartbeatAt, unstableSince }: Device<M>): number =>
  held || unstableSince !== undefined ? Number.POSITIVE_INFINITY : lastHeartbeatAt

const lostSince = <M>({ unstableSince }: Device<M>): number => unstableSince ?? Number.POSITIVE_INFINITY

/** Puts a user's new devices into the state; a user without devices is none. The one place that changes `users`. */
const withUser = <U, M>(
  state: PresenceState<U, M>,
  before: UserState<U, M> | undefined,
  after: UserState<U, M>,
  reason: LeaveReason
): Changed<U, M> => {
  const stays = after.devices.length > 0
  const key = after.user.identifier
  const users = stays ? HashMap.set(state.users, key, after) : HashMap.remove(state.users, key)
  const size = HashMap.size(users)
  const event = eventBetween(before, stays ? after : undefined, reason)
  const next: PresenceState<U, M> = {
    users,
    devices: state.devices + after.devices.length - (before?.devices.length ?? 0),
    idleSince: Math.min(state.idleSince, ...after.devices.map(idleSince)),
    lostSince: Math.min(state.lostSince, ...after.devices.map(lostSince)),
    listCap: state.listCap,
    crowded: size > state.listCap || (state.crowded && size > 0.9 * state.listCap)
  }
  return [next, event === undefined ? [] : [event]]
}

const deviceAt = <U, M>(state: PresenceState<U, M>, at: At): Device<M> | undefined => {
  const device = find(state, at.user)?.devices.find((other) => other.device === at.device)
  const holds = device?.held === true && device.generation === at.generation
  return at.generation === undefined || holds ? device : undefined
}

const appear = <U, M>(
  state: PresenceState<U, M>,
  { user, ...appearance }: Appearance<U, M>,
  now: Now,
  hold: boolean
): Changed<U, M> => {
  const before = find(state, user.identifier)
  const others = before?.devices ?? []
  const old = others.find(({ device }) => device === appearance.device)
  const stays = old !== undefined && !hold
  const device: Device<M> = {
    ...appearance,
    generation: stays ? old.generation : appearance.generation,
    held: hold || (old?.held ?? false),
    lastHeartbeatAt: now.at,
    lastSeen: now.wall,
    unstableSince: undefined
  }
  const devices = stays
    ? others.map((other) => (other === old ? device : other))
    : [device, ...others.filter((other) => other !== old)]
  return withUser(state, before, { user, entered: before?.entered ?? device.generation, devices }, "left")
}

/** A scope takes hold of a device. It belongs to the newest: whoever held it before cannot touch it any more. */
export const hold = <U, M>(state: PresenceState<U, M>, input: Appearance<U, M>, now: Now): Changed<U, M> =>
  appear(state, input, now, true)

/** Sets status and metadata of a device, which appears if it was not there; one that a scope holds stays held. */
export const set = <U, M>(state: PresenceState<U, M>, input: Appearance<U, M>, now: Now): Changed<U, M> =>
  appear(state, input, now, false)

const edit = <U, M>(
  state: PresenceState<U, M>,
  at: At,
  reason: LeaveReason,
  change: (device: Device<M>) => Device<M> | undefined
): Changed<U, M> => {
  const before = find(state, at.user)
  const old = deviceAt(state, at)
  const next = old && change(old)
  if (before === undefined || old === next) return [state, []]
  const devices = before.devices.flatMap((device) => (device !== old ? [device] : next === undefined ? [] : [next]))
  return withUser(state, before, { ...before, devices }, reason)
}

/** Changes what is given and keeps the rest; a sign of life. */
export const update = <U, M>(state: PresenceState<U, M>, at: At, fields: Edit<M>, now: Now): Changed<U, M> =>
  edit(state, at, "left", (device) => ({
    ...device,
    status: fields.status ?? device.status,
    meta: fields.meta ?? device.meta,
    lastHeartbeatAt: now.at,
    lastSeen: now.wall,
    unstableSince: undefined
  }))

/** A sign of life: begins a new `timeToLive` and ends a grace period. Creates nothing. */
export const heartbeat = <U, M>(state: PresenceState<U, M>, at: At, now: Now): Changed<U, M> =>
  update(state, at, {}, now)

/** The connection of a held device was lost: it stays, unstable, until the grace period ends. */
export const drop = <U, M>(state: PresenceState<U, M>, holder: Holder, now: Now): Changed<U, M> =>
  edit(state, holder, "dropped", (device) => ({
    ...device,
    held: false,
    unstableSince: now.at,
    lastHeartbeatAt: now.at,
    lastSeen: now.wall
  }))

/** The scope that holds a device has closed: the device goes. */
export const release = <U, M>(state: PresenceState<U, M>, holder: Holder): Changed<U, M> =>
  edit(state, holder, "left", () => undefined)

/** Removes one device of a user, or all of them, whatever keeps them alive. */
export const remove = <U, M>(state: PresenceState<U, M>, user: string, device?: string): Changed<U, M> => {
  const before = find(state, user)
  if (before === undefined) return [state, []]
  if (device !== undefined) return edit(state, { user, device }, "removed", () => undefined)
  return withUser(state, before, { ...before, devices: [] }, "removed")
}

/** How long what may stay without a sign of life, in milliseconds. */
export interface Ages {
  readonly timeToLive: number
  readonly gracePeriod: number
}

const reasonToGo = <M>(device: Device<M>, { at }: Now, ages: Ages): LeaveReason | undefined => {
  if (device.unstableSince !== undefined) return at - device.unstableSince >= ages.gracePeriod ? "dropped" : undefined
  return !device.held && at - device.lastHeartbeatAt >= ages.timeToLive ? "expired" : undefined
}

/** Finds out since when the oldest sign of life and the oldest drop are. */
const withAges = <U, M>(state: PresenceState<U, M>): PresenceState<U, M> => {
  let [idle, lost] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const { devices } of HashMap.values(state.users)) {
    for (const device of devices) {
      idle = Math.min(idle, idleSince(device))
      lost = Math.min(lost, lostSince(device))
    }
  }
  return { ...state, idleSince: idle, lostSince: lost }
}

/**
 * Removes the devices whose time is over, and none that gave a sign of life within `timeToLive`. Looks at nobody while
 * nobody's time can be over.
 */
export const expire = <U, M>(state: PresenceState<U, M>, now: Now, ages: Ages): Changed<U, M> => {
  if (now.at - state.idleSince < ages.timeToLive && now.at - state.lostSince < ages.gracePeriod) return [state, []]
  let next = state
  const events: Array<Event<U, M>> = []
  for (const before of HashMap.values(state.users)) {
    const gone = before.devices.find((device) => reasonToGo(device, now, ages) !== undefined)
    if (gone === undefined) continue
    const devices = before.devices.filter((device) => reasonToGo(device, now, ages) === undefined)
    const [changed, event] = withUser(next, before, { ...before, devices }, reasonToGo(gone, now, ages)!)
    next = changed
    events.push(...event)
  }
  return [withAges(next), events]
}
