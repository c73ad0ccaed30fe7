/**
 * Who is present in one room, as a value: every change is a function of the state and the time.
 *
 * A change answers the next state and what it means for the user, if anything can be seen of it. A change of something
 * that is not there answers the very same state. Liveness is judged by monotonic milliseconds (`at`) only; wall time
 * (`wall`) is carried along for display. Nothing here waits, counts bounds or knows who is watching.
 *
 * Only devices of this node are changed here; what other nodes say of theirs is taken in by `PresenceUnion.ts`.
 */
import type { Ref } from "../Ref.ts"
import { claims, type Device, type Grave, isGrave, isOwn, type Meta, unite, type UserState } from "./PresenceDevice.ts"
import type { Event, LeaveReason, Status } from "./PresenceEntry.ts"
import {
  type Changed,
  everybody,
  find,
  known,
  present,
  type PresenceState,
  withAges,
  withUser
} from "./PresenceUsers.ts"

export { type Device, leading, type Meta, toEntry, type UserState } from "./PresenceDevice.ts"
export {
  type Changed,
  changedUsers,
  empty,
  everybody,
  find,
  isEmpty,
  known,
  type PresenceState
} from "./PresenceUsers.ts"

/** The time of a change. */
export interface Now {
  /** Monotonic milliseconds; decides what is alive. */
  readonly at: number
  /** Unix milliseconds; for display. */
  readonly wall: number
}

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

/**
 * The user with other devices that are shown, and graves; what other nodes say is kept. Alone, when the user entered does
 * not depend on which devices are left.
 */
const withDevices = <U, M>(
  state: PresenceState<U, M>,
  before: UserState<U, M>,
  devices: ReadonlyArray<Device<M>>,
  graves: ReadonlyArray<Grave>
): UserState<U, M> =>
  state.self === "" ? { ...before, devices } : unite(before.user, [...devices, ...before.hidden, ...graves], state.self)

const deviceAt = <U, M>(state: PresenceState<U, M>, at: At): Device<M> | undefined => {
  const device = find(state, at.user)?.devices.find((other) => other.device === at.device)
  if (device === undefined || !isOwn(device)) return undefined
  return at.generation === undefined || (device.held && device.heldAs === at.generation) ? device : undefined
}

const appear = <U, M>(
  state: PresenceState<U, M>,
  { user, ...appearance }: Appearance<U, M>,
  now: Now,
  hold: boolean
): Changed<U, M> => {
  const before = known(state, user.identifier)
  const others = before?.devices ?? nothing
  const old = others.find(({ device }) => device === appearance.device)
  const own = old !== undefined && isOwn(old) ? old : undefined
  const stays = own !== undefined && !hold
  const generation = stays ? own.generation : appearance.generation
  const device: Device<M> = {
    ...appearance,
    owner: undefined,
    generation,
    over: stays ? own.over : overOf(before, appearance.device),
    entered: stays ? own.entered : (present(before)?.entered ?? generation),
    held: hold || (own?.held ?? false),
    heldAs: hold ? generation : (own?.heldAs ?? generation),
    lastHeartbeatAt: now.at,
    lastSeen: now.wall,
    unstableSince: undefined,
    moved: false
  }
  const devices = stays
    ? others.map((other) => (other === old ? device : other))
    : [device, ...others.filter((other) => other !== old)]
  // What this node has said of the device before is replaced; what others say stays, and is hidden.
  const hidden = (before?.hidden ?? nothing).filter((one) => one.device !== device.device || !isOwn(one))
  const after = { user, entered: present(before)?.entered ?? generation, devices, hidden }
  return withUser(state, before, old === own ? after : { ...after, hidden: [old!, ...hidden] }, "left")
}

const nothing: ReadonlyArray<never> = []

/** The highest generation of a device that other nodes have told of. */
const overOf = <U, M>(user: UserState<U, M> | undefined, device: string): number => {
  if (user === undefined) return 0
  let over = 0
  for (const one of claims(user)) {
    if (one.device === device) over = Math.max(over, isOwn(one) ? one.over : one.generation)
  }
  return over
}

/** A scope takes hold of a device. It belongs to the newest: whoever held it before cannot touch it any more. */
export const hold = <U, M>(state: PresenceState<U, M>, input: Appearance<U, M>, now: Now): Changed<U, M> =>
  appear(state, input, now, true)

/** Sets status and metadata of a device, which appears if it was not there; one that a scope holds stays held. */
export const set = <U, M>(state: PresenceState<U, M>, input: Appearance<U, M>, now: Now): Changed<U, M> =>
  appear(state, input, now, false)

/**
 * What is to be remembered of a device that goes, for other nodes: that it hides what they say of it, and why it went
 * where they could not know.
 */
const graveOf = <U, M>(
  user: UserState<U, M>,
  { device, generation, owner }: Device<M>,
  reason: LeaveReason,
  memory: Now | undefined
): ReadonlyArray<Grave> => {
  if (memory === undefined) return nothing
  if (reason !== "removed" && user.hidden.every((one) => one.device !== device)) return nothing
  return [{ device, generation, owner, over: overOf(user, device), reason, since: memory.at }]
}

const edit = <U, M>(
  state: PresenceState<U, M>,
  at: At,
  reason: LeaveReason,
  change: (device: Device<M>) => Device<M> | undefined,
  memory?: Now
): Changed<U, M> => {
  const before = find(state, at.user)
  const old = deviceAt(state, at)
  const next = old && change(old)
  if (before === undefined || old === undefined || old === next) return [state, []]
  const devices = before.devices.flatMap((device) => (device !== old ? [device] : next === undefined ? [] : [next]))
  const graves = next === undefined ? graveOf(before, old, reason, memory) : nothing
  return withUser(state, before, withDevices(state, before, devices, graves), reason)
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

/** A device whose connection was lost: it stays, unstable, until the grace period ends. */
export const lost = <M>(device: Device<M>, now: Now): Device<M> => ({
  ...device,
  held: false,
  unstableSince: now.at,
  lastHeartbeatAt: now.at,
  lastSeen: now.wall
})

/** The connection of a held device was lost. */
export const drop = <U, M>(state: PresenceState<U, M>, holder: Holder, now: Now): Changed<U, M> =>
  edit(state, holder, "dropped", (device) => lost(device, now))

/** The scope or connection of a device that was taken over elsewhere has ended: it will not come back. */
export const letGo = <U, M>(state: PresenceState<U, M>, { generation, user, device }: Holder): Changed<U, M> => {
  const before = known(state, user)
  const isMeant = (one: Device<M> | Grave) =>
    one.device === device && !isGrave(one) && one.moved && one.held && one.heldAs === generation
  if (before === undefined || !before.hidden.some(isMeant)) return [state, []]
  const hidden = before.hidden.map((one) => (isMeant(one) ? { ...one, held: false } : one))
  return withUser(state, before, { ...before, hidden }, "left")
}

/**
 * The scope that holds a device has closed: the device goes. Here and below, `memory` is the time since when what has
 * gone is remembered for other nodes.
 */
export const release = <U, M>(state: PresenceState<U, M>, holder: Holder, memory?: Now): Changed<U, M> =>
  edit(state, holder, "left", () => undefined, memory)

/** Removes one device of a user, or all of them, whatever keeps them alive; of this node. */
export const remove = <U, M>(
  state: PresenceState<U, M>,
  user: string,
  device?: string,
  memory?: Now
): Changed<U, M> => {
  if (device !== undefined) return edit(state, { user, device }, "removed", () => undefined, memory)
  const before = find(state, user)
  if (before === undefined) return [state, []]
  if (state.self === "") return withUser(state, before, { ...before, devices: [] }, "removed")
  const own = before.devices.filter(isOwn)
  if (own.length === 0) return [state, []]
  const graves = own.flatMap((one) => graveOf(before, one, "removed", memory))
  const others = before.devices.filter((one) => !isOwn(one))
  return withUser(state, before, withDevices(state, before, others, graves), "removed")
}

/** How long what may stay without a sign of life, in milliseconds. */
export interface Ages {
  readonly timeToLive: number
  readonly gracePeriod: number
}

const reasonToGo = <U, M>(
  user: UserState<U, M>,
  one: Device<M> | Grave,
  { at }: Now,
  ages: Ages
): LeaveReason | undefined => {
  if (!isOwn(one)) return undefined
  if (isGrave(one)) {
    const hides = claims(user).some((other) => other !== one && other.device === one.device)
    return !hides && at - one.since >= ages.gracePeriod ? one.reason : undefined
  }
  if (one.unstableSince !== undefined) return at - one.unstableSince >= ages.gracePeriod ? "dropped" : undefined
  return !one.held && at - one.lastHeartbeatAt >= ages.timeToLive ? "expired" : undefined
}

/**
 * Removes the devices of this node whose time is over, and none that gave a sign of life within `timeToLive`. Looks at
 * nobody while nobody's time can be over.
 */
export const expire = <U, M>(state: PresenceState<U, M>, now: Now, ages: Ages, memory?: Now): Changed<U, M> => {
  if (now.at - state.idleSince < ages.timeToLive && now.at - state.lostSince < ages.gracePeriod) return [state, []]
  let next = state
  const events: Array<Event<U, M>> = []
  for (const before of everybody(state)) {
    const reasonOf = (one: Device<M> | Grave) => reasonToGo(before, one, now, ages)
    const gone = claims(before).find((one) => reasonOf(one) !== undefined)
    if (gone === undefined) continue
    const stays = (one: Device<M> | Grave) => reasonOf(one) === undefined
    const hidden = before.hidden.filter(stays)
    const graves = before.devices.flatMap((one) => {
      const reason = reasonOf(one)
      return reason === undefined ? [] : graveOf({ ...before, hidden }, one, reason, memory)
    })
    const after = withDevices(state, { ...before, hidden }, before.devices.filter(stays), graves)
    const [changed, event] = withUser(next, before, after, reasonOf(gone)!)
    next = changed
    events.push(...event)
  }
  return [withAges(next), events]
}
