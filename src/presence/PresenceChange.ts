/**
 * What a subscriber of a room is given: the whole state first, then what changed, and counts where there are too many.
 *
 * Pure: `between` makes changes out of two states, `apply` folds them into what was known before.
 */
import * as HashMap from "effect/HashMap"
import { eventBetween, toEntry, type UserState } from "./PresenceDevice.ts"
import type { Entry, Event, LeaveReason } from "./PresenceEntry.ts"
import { find, type PresenceState } from "./PresenceUsers.ts"

/** How many are present, without saying who. */
export interface Occupancy {
  readonly users: number
  readonly devices: number
}

/**
 * Lists everybody who is present, in the order they entered, and replaces all that was told before it.
 *
 * At most `listCap` entries, 1,000 by default; for more users than that there is `Counts`.
 */
export interface Snapshot<in out U, out M> extends Occupancy {
  readonly _tag: "Snapshot"
  readonly entries: ReadonlyArray<Entry<U, M>>
}

/** Stands for a snapshot where more users are present than `listCap`. Replaces all that was told before it. */
export interface Counts extends Occupancy {
  readonly _tag: "Counts"
}

/** What happened since the change before it, at most one event per user, and the counts after it. */
export interface Diff<in out U, out M> extends Occupancy {
  readonly _tag: "Diff"
  readonly events: ReadonlyArray<Event<U, M>>
}

/** Who is present: a list, or above `listCap` users counts only. */
export type Listing<U, M> = Snapshot<U, M> | Counts

/** What `changes` emits: a `Snapshot` or `Counts` first, and a `Diff` only after a `Snapshot` or another `Diff`. */
export type Change<U, M> = Snapshot<U, M> | Counts | Diff<U, M>

/** Users touched since the last change, with the reason of their last leave. */
export type Touched = ReadonlyMap<string, LeaveReason>

/** Counts the users and devices of a state. */
export const occupancyOf = <U, M>(state: PresenceState<U, M>): Occupancy => ({
  users: HashMap.size(state.users),
  devices: state.devices
})

const counts = <U, M>(state: PresenceState<U, M>): Counts => ({ _tag: "Counts", ...occupancyOf(state) })

/** In the order they entered, which of two nodes may be the same place: by name then. */
const byEntry = <U, M>(a: UserState<U, M>, b: UserState<U, M>): number =>
  a.entered - b.entered || (a.user.identifier < b.user.identifier ? -1 : 1)

const snapshot = <U, M>(state: PresenceState<U, M>): Snapshot<U, M> => ({
  _tag: "Snapshot",
  ...occupancyOf(state),
  entries: HashMap.toValues(state.users).toSorted(byEntry).map(toEntry)
})

/** Lists a room of at most `listCap` users, and counts any other. */
export const list = <U, M>(state: PresenceState<U, M>): Listing<U, M> =>
  HashMap.size(state.users) > state.listCap ? counts(state) : snapshot(state)

/** What a subscriber of a state begins with. */
export const first = <U, M>(state: PresenceState<U, M>): Listing<U, M> =>
  state.crowded ? counts(state) : snapshot(state)

/**
 * What a subscriber who knows one state must be told of a later one; `undefined` when nothing can be seen. Every user
 * that differs between the two must be in `touched`.
 */
export const between = <U, M>(
  before: PresenceState<U, M>,
  after: PresenceState<U, M>,
  touched: Touched
): Change<U, M> | undefined => {
  const now = counts(after)
  if (after.crowded) {
    const same = before.crowded && now.users === HashMap.size(before.users) && now.devices === before.devices
    return same ? undefined : now
  }
  if (before.crowded) return snapshot(after)
  const events = Array.from(touched).flatMap(
    ([user, reason]) => eventBetween(find(before, user), find(after, user), reason) ?? []
  )
  return events.length === 0 ? undefined : { ...now, _tag: "Diff", events }
}

/**
 * Folds a change into what was known before it. Entries that enter come last, entries that are updated keep their place.
 */
export const apply = <U, M>(known: Listing<U, M>, change: Change<U, M>): Listing<U, M> => {
  if (change._tag !== "Diff") return change
  const { devices, users } = change
  if (known._tag === "Counts") return { _tag: "Counts", users, devices }
  const entries = new Map(known.entries.map((entry) => [entry.user.identifier, entry]))
  for (const event of change.events) {
    if (event._tag === "Leave") entries.delete(event.user.identifier)
    else entries.set(event.entry.user.identifier, event.entry)
  }
  return { _tag: "Snapshot", users, devices, entries: Array.from(entries.values()) }
}
