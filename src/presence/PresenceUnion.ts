/**
 * What the nodes say together: takes what another node says of its devices into the state of a room, and settles what
 * this node says of the same ones.
 *
 * A device that two nodes have is one, that of the higher generation; the other node withdraws its own, silently. It
 * remembers it for a grace period, and takes it back where the newer place says that it was lost, or is gone, and the
 * connection here is still open: nodes that did not hear each other do not know what the client had elsewhere.
 *
 * Taking in the same thing twice changes nothing, and the order in which things come does not matter once all have.
 */
import type { Ref } from "../Ref.ts"
import {
  type Claim,
  claims,
  type Device,
  type Grave,
  isGrave,
  isNewer,
  isOwn,
  isShared,
  unite,
  type UserState
} from "./PresenceDevice.ts"
import type { Event, LeaveReason } from "./PresenceEntry.ts"
import { lost, type Now } from "./PresenceState.ts"
import { type Changed, everybody, known, type PresenceState, withUser } from "./PresenceUsers.ts"

/** What another node says of one device of its own. */
export interface Said<in out U, out M> {
  readonly user: Ref<U>
  readonly owner: string
  readonly device: string
  /** `undefined` when it says nothing any more. */
  readonly claim: Device<M> | Grave | undefined
  /** Why the user left, if that was the last device. */
  readonly reason: LeaveReason
}

/** How this node settles what it says itself. */
export interface Settling {
  readonly now: Now
  /** Whether what was taken over elsewhere is remembered for those who do not know yet. */
  readonly remembers: boolean
  /** A generation above every one that is known. */
  readonly next: () => number
  /** Whether the owner knew this node when the device got its generation. */
  readonly knew: (rival: Claim) => boolean
  /** Told of whom what this node says itself may be another than before. */
  readonly onOwn: (user: string) => void
}

/**
 * Whether a device of this node was taken over, by the claims above it.
 *
 * It was where the other owner had heard of it, or could have, since it had met this node, and so was not without any
 * knowledge, as after a start. It was not where that says itself that it has lost the connection while the one here is
 * open: a node that was held up has accepted what the client gave up before it came here. After a farewell it was.
 */
const isTaken = <M>(own: Device<M>, newer: ReadonlyArray<Device<M> | Grave>, knew: Settling["knew"]): boolean => {
  const [newest] = newer
  if (newest === undefined) return false
  const hadHeard = ({ over }: Claim) => own.generation <= over
  if (isGrave(newest)) return hadHeard(newest)
  const rivals = newer.filter((rival) => !isGrave(rival) && knew(rival))
  if (newest.unstableSince !== undefined) return !own.held && rivals.some(hadHeard)
  return rivals.length > 0
}

/** What is left of what this node says, where `rivals` are said of the same device. */
const settled = <M>(
  own: Device<M> | Grave,
  rivals: ReadonlyArray<Device<M> | Grave>,
  self: string,
  { knew, next, now, remembers }: Settling
): ReadonlyArray<Device<M> | Grave> => {
  const newer = rivals.filter((rival) => isNewer(rival, own, self)).toSorted((a, b) => (isNewer(a, b, self) ? -1 : 1))
  const [newest] = newer
  if (isGrave(own)) return newest === undefined ? [own] : []
  if (newest === undefined && !own.moved) return [own]
  const isHere = own.moved ? own.held : own.unstableSince === undefined
  if (isHere && !isTaken(own, newer, knew)) {
    return [{ ...own, generation: next(), unstableSince: undefined, moved: false }]
  }
  if (newest === undefined || isGrave(newest) || !remembers) return []
  return [{ ...own, unstableSince: own.moved ? own.unstableSince : now.at, moved: true }]
}

const settle = <U, M>(
  user: Ref<U>,
  all: ReadonlyArray<Device<M> | Grave>,
  self: string,
  settling: Settling
): UserState<U, M> => {
  if (!all.some(isOwn)) return unite(user, all, self)
  settling.onOwn(user.identifier)
  const others = all.filter((one) => !isOwn(one))
  const own = all.filter(isOwn).flatMap((one) =>
    settled(
      one,
      others.filter(({ device }) => device === one.device),
      self,
      settling
    )
  )
  return unite(user, [...own, ...others], self)
}

/** All that is said once `some` are said as well; the same where that is nothing new. */
const replaced = <U, M>(
  all: ReadonlyArray<Device<M> | Grave>,
  some: ReadonlyArray<Said<U, M>>
): ReadonlyArray<Device<M> | Grave> => {
  const next = all.slice()
  let changed = false
  for (const { claim, device, owner } of some) {
    const at = next.findIndex((one) => one.owner === owner && one.device === device)
    if (claim === undefined && at < 0) continue
    changed = true
    if (claim === undefined) next.splice(at, 1)
    else if (at < 0) next.push(claim)
    else next[at] = claim
  }
  return changed ? next : all
}

/** Takes in what other nodes say; one event at most for each user. */
export const merge = <U, M>(
  state: PresenceState<U, M>,
  said: ReadonlyArray<Said<U, M>>,
  settling: Settling
): Changed<U, M> => {
  let next = state
  const events: Array<Event<U, M>> = []
  for (const [identifier, some] of Map.groupBy(said, ({ user }) => user.identifier)) {
    const before = known(state, identifier)
    const old = before === undefined ? [] : claims(before)
    const all = replaced(old, some)
    if (all === old) continue
    const after = settle(before?.user ?? some[0]!.user, all, state.self, settling)
    const last = some.findLast(({ claim }) => claim === undefined || isGrave(claim))
    const [merged, event] = withUser(next, before, after, last?.reason ?? "left")
    next = merged
    events.push(...event)
  }
  return [next, events]
}

/** This node has another epoch: what was decided by its name is decided anew. */
export const rename = <U, M>(state: PresenceState<U, M>, self: string, settling: Settling): Changed<U, M> => {
  let next: PresenceState<U, M> = { ...state, self }
  const events: Array<Event<U, M>> = []
  for (const before of everybody(state)) {
    if (!isShared(before)) continue
    const [renamed, event] = withUser(next, before, settle(before.user, claims(before), self, settling), "left")
    next = renamed
    events.push(...event)
  }
  return [next, events]
}

/** A user whose devices on this node lost their connections all at once: the node stops. */
export const abandon = <U, M>(user: UserState<U, M>, now: Now): UserState<U, M> => ({
  ...user,
  devices: user.devices.map((one) => (isOwn(one) && one.unstableSince === undefined ? lost(one, now) : one))
})
