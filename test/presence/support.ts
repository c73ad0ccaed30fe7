/**
 * What the tests of presence share: a presence with small bounds, a clock turned by hand, short words for entries.
 */
import { Presence, type Subscription } from "effect-rooms"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Room, User } from "../support/channels.ts"
import type { FakeConnection } from "../support/rooms.ts"

export const alice = User.ref`alice`
export const bob = User.ref`bob`
export const carol = User.ref`carol`

export const options = { room: Room, user: User, meta: Schema.String }
export type Chat = Presence.Presence<Room, User, string>
export type Change = Presence.Change<User, string>
export type Entry = Presence.Entry<User, string>

/** A connection goes, in one of the ways. */
export const endUnsafe = (connection: FakeConnection, ending: Subscription.Ending): void => {
  connection.ending = ending
  connection.close()
}

export const end = (connection: FakeConnection, ending: Subscription.Ending): Effect.Effect<void> =>
  Effect.sync(() => endUnsafe(connection, ending))

interface Sleep {
  readonly at: number
  readonly resume: () => void
}

/** Time turned by hand: `advance` wakes what sleeps until then, one after the other, before it returns. */
export class ManualClock implements Clock.Clock {
  #sleeps: Array<Sleep> = []
  /** Monotonic milliseconds. */
  at = 0
  /** Wall time is monotonic time and this much. */
  wallOffset = 0

  currentTimeMillisUnsafe = () => this.at + this.wallOffset
  currentTimeNanosUnsafe = () => BigInt(Math.round(this.currentTimeMillisUnsafe() * 1_000_000))
  monotonicTimeNanosUnsafe = () => BigInt(Math.round(this.at * 1_000_000))
  currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  monotonicTimeNanos = Effect.sync(this.monotonicTimeNanosUnsafe)

  sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const sleep = { at: this.at + Duration.toMillis(duration), resume: () => resume(Effect.void) }
      this.#sleeps.push(sleep)
      return Effect.sync(() => {
        this.#sleeps = this.#sleeps.filter((other) => other !== sleep)
      })
    })

  advance(millis: number): void {
    const until = this.at + millis
    for (;;) {
      const due = this.#sleeps.filter(({ at }) => at <= until)
      const next = due.reduce<Sleep | undefined>((a, b) => (a !== undefined && a.at <= b.at ? a : b), undefined)
      if (next === undefined) break
      this.#sleeps = this.#sleeps.filter((other) => other !== next)
      this.at = next.at
      next.resume()
    }
    this.at = until
  }

  /** Time passes and nobody wakes: the process is held up. */
  stall(millis: number): void {
    this.at += millis
  }
}

/** An entry in short: `alice busy x [phone busy x, tab away y lost]`. */
export const brief = (entry: Entry): string => {
  const devices = entry.devices.map(
    ({ device, meta, status, unstable }) => `${device} ${status} ${meta}${unstable ? " lost" : ""}`
  )
  const lost = entry.unstable ? " lost" : ""
  return `${entry.user.identifier} ${entry.status} ${entry.meta}${lost} [${devices.join(", ")}]`
}

/** A change in short, one line for each user. */
export const lines = (change: Change): ReadonlyArray<string> => {
  if (change._tag === "Snapshot") return change.entries.map((entry) => `= ${entry.user.identifier} ${entry.status}`)
  if (change._tag === "Counts") return [`# ${change.users} ${change.devices}`]
  return change.events.map((event) =>
    event._tag === "Leave"
      ? `- ${event.user.identifier} ${event.reason}`
      : `${event._tag === "Enter" ? "+" : "~"} ${event.entry.user.identifier} ${event.entry.status}`
  )
}
