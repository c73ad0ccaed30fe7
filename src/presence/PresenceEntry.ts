/**
 * What is shown of a user who is present, and what can happen to it.
 *
 * Presence is about users, not sockets: a user with three devices is one entry. This module owns the words; how
 * entries come about is `PresenceState.ts`.
 */
import type { Ref } from "../Ref.ts"

/** How a user wants to be seen. */
export type Status = "online" | "away" | "busy"

/** One device of a user: a tab, a phone, a connection. */
export interface DeviceEntry<out M> {
  /** Names the device among the devices of its user. */
  readonly device: string
  readonly status: Status
  readonly meta: M
  /**
   * Wall time of the last sign of life in Unix milliseconds, for display. Of a device of another node it is that of its
   * last change that could be seen, by the clock of that node.
   */
  readonly lastSeen: number
  /** Its connection was lost, and the grace period has not ended. */
  readonly unstable: boolean
}

/**
 * One user who is present in a room, whatever the number of devices.
 *
 * `status` is the best of the devices' (`online` before `busy` before `away`, on a tie the device that appeared last)
 * and `meta` is that device's. A device that is unstable counts like the others until its grace period ends.
 */
export interface Entry<in out U, out M> {
  readonly user: Ref<U>
  readonly status: Status
  readonly meta: M
  /** Wall time of the last sign of life of any device in Unix milliseconds, for display. Not announced on its own. */
  readonly lastSeen: number
  /** Every device is unstable: the user may be gone, or back in a moment. */
  readonly unstable: boolean
  /** The devices, the one that appeared last first; never empty. */
  readonly devices: ReadonlyArray<DeviceEntry<M>>
}

/**
 * Why the last device of a user went.
 *
 * - `"left"`: the scope it was tracked in closed.
 * - `"expired"`: no sign of life for `timeToLive`.
 * - `"dropped"`: its connection was lost and it did not come back within the grace period, or its node went.
 * - `"removed"`: `remove` was called.
 */
export type LeaveReason = "left" | "expired" | "dropped" | "removed"

/** What happened to one user. A change of status, metadata or devices is one `Update`, never a leave and an enter. */
export type Event<U, M> =
  | { readonly _tag: "Enter"; readonly entry: Entry<U, M> }
  | { readonly _tag: "Update"; readonly entry: Entry<U, M> }
  | { readonly _tag: "Leave"; readonly user: Ref<U>; readonly reason: LeaveReason }
