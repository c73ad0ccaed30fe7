/**
 * The devices of one user, whichever node owns them: which are shown, and what the user looks like because of them.
 *
 * What is shown is a function of what all nodes say, in whatever order it became known: of the devices of one name the
 * one of the highest generation, and nothing of what it hides.
 */
import type { Ref } from "../Ref.ts"
import type { DeviceEntry, Entry, Event, LeaveReason, Status } from "./PresenceEntry.ts"

/** Metadata with its encoded text, by which two values are compared. */
export interface Meta<out M> {
  readonly value: M
  readonly text: string
}

/** Who says something of a device. */
export interface Claim {
  readonly device: string
  /** The node that says it and alone may change it, by its epoch; `undefined` for this one. */
  readonly owner: string | undefined
  /** Rises with every owner of the device, on whatever node; a late action of an earlier owner is recognised by it. */
  readonly generation: number
  /** The highest generation of it that the owner had heard of from another node. */
  readonly over: number
}

/** A device and what keeps it alive: a scope that holds it, its grace period, or its heartbeats. */
export interface Device<out M> extends Claim {
  /** Generation of the device the user entered with, as far as the owner knew; sorts lists. */
  readonly entered: number
  readonly status: Status
  readonly meta: Meta<M>
  /** A scope holds it: it is alive without heartbeats. */
  readonly held: boolean
  /** The generation under which the scope took hold of it. */
  readonly heldAs: number
  /** Monotonic; of this node's devices only. */
  readonly lastHeartbeatAt: number
  readonly lastSeen: number
  readonly unstableSince: number | undefined
  /**
   * It was taken over on another node: it stays for those who do not know yet, and nothing can be done with it. Where a
   * scope still holds it, it may turn out that it was not.
   */
  readonly moved: boolean
}

/** Stands for a device that has gone, and hides what other nodes may still say of it. */
export interface Grave extends Claim {
  readonly reason: LeaveReason
  readonly since: number
}

/** A user and at least one device, the one that appeared last first. */
export interface UserState<in out U, out M> {
  readonly user: Ref<U>
  /** Generation of the device the user entered with; sorts lists. */
  readonly entered: number
  readonly devices: ReadonlyArray<Device<M>>
  /** What is not shown: devices another of the same name hides, and graves. Empty while this node is alone. */
  readonly hidden: ReadonlyArray<Device<M> | Grave>
}

/** Whether this node owns it. */
export const isOwn = ({ owner }: Claim): boolean => owner === undefined

/** Whether it stands for a device that has gone. */
export const isGrave = <M>(one: Device<M> | Grave): one is Grave => "reason" in one

/** Everything that is said of a user. */
export const claims = <U, M>({ devices, hidden }: UserState<U, M>): ReadonlyArray<Device<M> | Grave> =>
  hidden.length === 0 ? devices : [...devices, ...hidden]

/** Whether other nodes have a say in what is shown of a user. */
export const isShared = <U, M>({ devices, hidden }: UserState<U, M>): boolean =>
  hidden.length > 0 || !devices.every(isOwn)

const order = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1)

/** Orders what appeared last first; `self` is the epoch of this node. */
const byNewest = (self: string) => (a: Claim, b: Claim) =>
  b.generation - a.generation || order(b.owner ?? self, a.owner ?? self) || order(a.device, b.device)

/** Whether one counts and not the other, where both are of the same name. */
export const isNewer = (one: Claim, other: Claim, self: string): boolean => byNewest(self)(one, other) < 0

/** Finds out what is shown of a user. */
export const unite = <U, M>(user: Ref<U>, all: ReadonlyArray<Device<M> | Grave>, self: string): UserState<U, M> => {
  const [first] = all
  if (all.length === 1 && !isGrave(first!)) return { user, entered: first!.entered, devices: [first!], hidden: [] }
  const names = new Set<string>()
  const devices: Array<Device<M>> = []
  const hidden: Array<Device<M> | Grave> = []
  for (const one of all.toSorted(byNewest(self))) {
    if (names.has(one.device) || isGrave(one)) hidden.push(one)
    else devices.push(one)
    names.add(one.device)
  }
  return { user, entered: Math.min(...devices.map(({ entered }) => entered)), devices, hidden }
}

const rank = { online: 2, busy: 1, away: 0 } as const

/** The device a user is shown as: the best status, and on a tie the one that appeared last. */
export const leading = <M>(a: Device<M>, b: Device<M>): Device<M> =>
  (rank[a.status] - rank[b.status] || a.generation - b.generation) < 0 ? b : a

/** Wall time is compared only where there is no other: between nodes, and for display. */
const latest = <M>(a: Device<M>, b: Device<M>): Device<M> =>
  (isOwn(a) && isOwn(b) ? a.lastHeartbeatAt < b.lastHeartbeatAt : a.lastSeen < b.lastSeen) ? b : a

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
  return {
    user,
    status,
    meta: meta.value,
    lastSeen: devices.reduce(latest).lastSeen,
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
