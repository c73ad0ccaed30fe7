/**
 * The bounds and times of a presence, with their defaults.
 */
import * as Duration from "effect/Duration"

/** How long things last and how many there may be; every one has a default. */
export interface Bounds {
  /** How long a device nothing holds stays after its last sign of life; 60 seconds by default. */
  readonly timeToLive?: Duration.Input | undefined
  /** How often devices whose time is over are looked for; 5 seconds by default. */
  readonly sweepInterval?: Duration.Input | undefined
  /** How long a dropped device stays, unstable; 15 seconds by default. */
  readonly gracePeriod?: Duration.Input | undefined
  /** How long changes are collected before subscribers are told; 100 milliseconds by default. */
  readonly batchWindow?: Duration.Input | undefined
  /** Users up to which lists and snapshots have entries, above it counts only; 1,000 by default, at least 1. */
  readonly listCap?: number | undefined
  /** Bytes of metadata as JSON; 1,024 by default, at least 1. */
  readonly maxMetaBytes?: number | undefined
  /** Devices of one user in one room, on all nodes; 20 by default, at least 1. */
  readonly maxDevices?: number | undefined
  /** Devices of this node in all rooms together; 100,000 by default, at least 1. */
  readonly capacity?: number | undefined
  /** Diffs a subscriber may be behind before it is given a snapshot instead; 64 by default, at least 1. */
  readonly maxBehind?: number | undefined
}

/** Checked bounds; times in milliseconds. */
export interface Limits {
  readonly timeToLive: number
  readonly sweepInterval: number
  readonly gracePeriod: number
  readonly batchWindow: number
  readonly listCap: number
  readonly maxMetaBytes: number
  readonly maxDevices: number
  readonly capacity: number
  readonly maxBehind: number
}

const atLeastOne = (name: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`${name} must be a whole number of at least 1, not ${value}`)
}

const positive = (name: string, value: Duration.Input): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(value))
  if (millis > 0) return millis
  throw new RangeError(`${name} must be longer than nothing`)
}

/** Fills in the defaults. Throws a `RangeError` when a bound is no whole number or a time is no time. */
export const checked = (bounds: Bounds): Limits => ({
  timeToLive: positive("timeToLive", bounds.timeToLive ?? 60_000),
  sweepInterval: positive("sweepInterval", bounds.sweepInterval ?? 5_000),
  gracePeriod: positive("gracePeriod", bounds.gracePeriod ?? 15_000),
  batchWindow: positive("batchWindow", bounds.batchWindow ?? 100),
  listCap: atLeastOne("listCap", bounds.listCap ?? 1_000),
  maxMetaBytes: atLeastOne("maxMetaBytes", bounds.maxMetaBytes ?? 1_024),
  maxDevices: atLeastOne("maxDevices", bounds.maxDevices ?? 20),
  capacity: atLeastOne("capacity", bounds.capacity ?? 100_000),
  maxBehind: atLeastOne("maxBehind", bounds.maxBehind ?? 64)
})
