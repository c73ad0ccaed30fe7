/**
 * How a device is told to other nodes: its entry in the table that the nodes share, under its room, user and name.
 *
 * Only what can be seen, or decides between nodes. When a device gave its last sign of life is not told: its owner alone
 * judges that, and time means nothing between nodes; `lastSeen` is the owner's wall clock, for display.
 *
 * Measured on a bus, for a room of 7 characters, users of 9, devices of 16 and 17 bytes of metadata: 135 bytes for each
 * change that can be seen, told to each other node once, and some 120 for the packet around all changes of 50
 * milliseconds. In memory a device of another node takes 750 bytes.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Shared } from "../../internal/peers.ts"
import type { AnyEntity } from "../../Ref.ts"
import { type Device, type Grave, isGrave } from "../PresenceDevice.ts"
import { LeaveReason, Status } from "../PresenceSchema.ts"
import type { Said } from "../PresenceUnion.ts"

/** The entities and the schema of what is told. */
export interface Kinds<E, U, M> {
  readonly room: AnyEntity<E>
  readonly user: AnyEntity<U>
  readonly meta: Schema.Codec<M, unknown>
}

export const DeviceName = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(128))
/** Far from the end of what can be counted, so that nobody can bring the others there. */
const Generation = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 52 }))

const Alive = Schema.Tuple([
  Generation,
  Generation,
  Generation,
  Status,
  Schema.Literals(["held", "free", "unstable"]),
  Schema.Finite,
  Schema.Unknown
])
const Gone = Schema.Tuple([Generation, Generation, LeaveReason])

/** Names a device among all of a presence. */
export const keyOf = (room: string, user: string, device: string): string => JSON.stringify([room, user, device])

const aliveness = ({ held, unstableSince }: Device<unknown>) =>
  unstableSince !== undefined ? "unstable" : held ? "held" : "free"

/** What others are told of a device. */
export const toJson = <M>(one: Device<M> | Grave): Schema.Json =>
  isGrave(one)
    ? [one.generation, one.over, one.reason]
    : [
        one.generation,
        one.over,
        one.entered,
        one.status,
        aliveness(one),
        one.lastSeen,
        JSON.parse(one.meta.text) as Schema.Json
      ]

/** Whether others are told the same of both. */
export const isSame = <M>(a: Device<M> | Grave, b: Device<M> | Grave): boolean => {
  if (a.generation !== b.generation) return false
  if (isGrave(a) || isGrave(b)) return isGrave(a) && isGrave(b) && a.reason === b.reason && a.over === b.over
  return a.status === b.status && a.meta.text === b.meta.text && aliveness(a) === aliveness(b)
}

/** Why a device has gone of which its owner says nothing any more. */
export const reasonOf = <M>(last: Device<M> | Grave): LeaveReason =>
  isGrave(last) ? last.reason : ({ unstable: "dropped", held: "left", free: "expired" } as const)[aliveness(last)]

type LeaveReason = typeof LeaveReason.Type

/** What another node has said, and in which room. */
export interface Heard<U, M> {
  readonly room: string
  readonly said: Omit<Said<U, M>, "reason">
}

/** Reads what another node says; `now` is monotonic time of this one. `undefined` where it cannot be read at all. */
export const makeRead = <E, U, M>(kinds: Kinds<E, U, M>) => {
  const key = Schema.decodeUnknownResult(
    Schema.fromJsonString(Schema.Tuple([kinds.room.ref.schema, kinds.user.ref.schema, DeviceName]))
  )
  const entry = Schema.decodeUnknownResult(Schema.Union([Alive, Gone]))
  const meta = Schema.decodeUnknownResult(Schema.toCodecJson(kinds.meta))

  const claimOf = (owner: string, device: string, value: unknown, now: number): Device<M> | Grave | undefined => {
    const read = entry(value)
    if (Result.isFailure(read)) return undefined
    const one = read.success
    const [generation, over] = one
    if (one.length === 3) return { device, owner, generation, over, reason: one[2], since: now }
    const [, , entered, status, state, lastSeen, json] = one
    const decoded = meta(json)
    if (Result.isFailure(decoded)) return undefined
    return {
      device,
      owner,
      generation,
      over,
      entered,
      status,
      meta: { value: decoded.success, text: JSON.stringify(json) },
      held: state === "held",
      heldAs: generation,
      lastHeartbeatAt: now,
      lastSeen,
      unstableSince: state === "unstable" ? now : undefined,
      moved: false
    }
  }

  return ({ key: name, owner, value }: Shared, now: number): Heard<U, M> | undefined => {
    const read = key(name)
    if (Result.isFailure(read)) return undefined
    const [room, user, device] = read.success
    const claim = value === undefined ? undefined : claimOf(owner, device, value, now)
    return { room: room.identifier, said: { user, owner, device, claim } }
  }
}
