/**
 * A pure model of presence: one plain array of devices, and for each room what it looked like since when.
 *
 * Everything is looked up by filtering, nothing is kept that could be computed. Commands that make no sense (closing a
 * scope that does not exist) change nothing, so that shrinking may delete any command.
 */
import * as Schema from "effect/Schema"

export const rooms = ["hasOwnProperty", "toString"] as const
export const users = ["constructor-1", "valueOf", "u3"] as const
export const bounds = {
  timeToLive: 60_000,
  sweepInterval: 5_000,
  gracePeriod: 15_000,
  batchWindow: 100,
  listCap: 2,
  maxMetaBytes: 4,
  maxDevices: 2,
  capacity: 6,
  maxBehind: 2
}

const room = Schema.Literals(rooms)
const user = Schema.Literals(users)
const device = Schema.Literals(["default", "tab", "phone"])
const status = Schema.Literals(["online", "away", "busy"])
const meta = Schema.Literals(["x", "y", "too large"])
const slot = Schema.Literals([0, 1, 2, 3])
const maybe = <S extends Schema.Constraint>(schema: S) => Schema.Union([schema, Schema.Undefined])

export const Command = Schema.TaggedUnion({
  Set: { room, user, device, status, meta },
  Heartbeat: { room, user, device },
  Update: { room, user, device, status: maybe(status), meta: maybe(meta) },
  Track: { room, user, device, status, meta },
  Close: { slot },
  Drop: { slot },
  End: { slot, ending: Schema.Literals(["clean", "lost"]) },
  Late: { slot },
  Reappear: { slot },
  TrackedHeartbeat: { slot },
  TrackedUpdate: { slot, status: maybe(status), meta: maybe(meta) },
  Remove: { room, user, device: maybe(device) },
  Cleanup: { maxAge: Schema.Literals([0, 10_000, 60_000]) },
  Advance: { millis: Schema.Literals([1, 60, 100, 4_900, 10_000, 55_000]) },
  Subscribe: { room, eager: Schema.Boolean },
  Watch: { room },
  Read: { slot },
  Unsubscribe: { slot }
})
export type Command = typeof Command.Type

type Status = "online" | "away" | "busy"
export interface Target {
  readonly room: string
  readonly user: string
  readonly device: string
}
interface Device extends Target {
  status: Status
  meta: string
  order: number
  /** The slot of the scope that holds it. */
  holder: number | undefined
  heartbeatAt: number
  lastSeen: number
  lostAt: number | undefined
}
interface Looks {
  readonly since: number
  readonly text: string
}

const best = ["away", "busy", "online"]

export class PresenceModel {
  now = 0
  wall = 0
  #order = 0
  #devices: Array<Device> = []
  readonly #entered = new Map<string, number>()
  readonly #crowded = new Set<string>()
  readonly #looks = new Map<string, Array<Looks>>(rooms.map((name) => [name, [{ since: 0, text: "" }]]))

  #of(target: { readonly room: string; readonly user?: string; readonly device?: string | undefined }): Array<Device> {
    return this.#devices.filter(
      (it) =>
        it.room === target.room &&
        (target.user === undefined || it.user === target.user) &&
        (target.device === undefined || it.device === target.device)
    )
  }

  /** Writes down what the rooms look like now. */
  #look(): void {
    for (const name of rooms) {
      const present = new Set(this.#of({ room: name }).map((it) => it.user))
      for (const who of users) if (!present.has(who)) this.#entered.delete(`${name} ${who}`)
      if (present.size > bounds.listCap) this.#crowded.add(name)
      else if (present.size <= 0.9 * bounds.listCap) this.#crowded.delete(name)
      const looks = this.#looks.get(name)!
      const text = this.#crowded.has(name) ? this.counts(name) : this.entries(name, false).toSorted().join("\n")
      if (looks.at(-1)!.text !== text) looks.push({ since: this.now, text })
    }
  }

  refusal(target: Target, value: string): string | undefined {
    if (value.length + 2 > bounds.maxMetaBytes) return "metaTooLarge"
    if (this.#of(target).length > 0) return undefined
    if (this.#of({ room: target.room, user: target.user }).length >= bounds.maxDevices) return "tooManyDevices"
    return this.#devices.length >= bounds.capacity ? "full" : undefined
  }

  /** Sets a device, or lets the scope of a slot take hold of it. */
  set(target: Target, how: { readonly status: Status; readonly meta: string }, holder?: number): string {
    const refusal = this.refusal(target, how.meta)
    if (refusal !== undefined) return refusal
    const [old] = this.#of(target)
    const order = old === undefined || holder !== undefined ? ++this.#order : old.order
    this.#devices = this.#devices.filter((it) => it !== old)
    this.#devices.push({
      room: target.room,
      user: target.user,
      device: target.device,
      ...how,
      order,
      holder: holder ?? old?.holder,
      heartbeatAt: this.now,
      lastSeen: this.wall,
      lostAt: undefined
    })
    const key = `${target.room} ${target.user}`
    this.#entered.set(key, this.#entered.get(key) ?? order)
    this.#look()
    return "done"
  }

  update(target: Target, fields: { readonly status?: Status | undefined; readonly meta?: string | undefined }): string {
    if (fields.meta !== undefined && fields.meta.length + 2 > bounds.maxMetaBytes) return "metaTooLarge"
    const [found] = this.#of(target)
    if (found === undefined) return "false"
    found.status = fields.status ?? found.status
    found.meta = fields.meta ?? found.meta
    found.heartbeatAt = this.now
    found.lastSeen = this.wall
    found.lostAt = undefined
    this.#look()
    return "true"
  }

  /** The device the scope of a slot holds. */
  held(holder: number): Target | undefined {
    return this.#devices.find((it) => it.holder === holder)
  }

  close(holder: number): void {
    this.#devices = this.#devices.filter((it) => it.holder !== holder)
    this.#look()
  }

  drop(holder: number): string {
    const found = this.#devices.find((it) => it.holder === holder)
    if (found === undefined) return "false"
    found.holder = undefined
    found.lostAt = this.now
    found.heartbeatAt = this.now
    found.lastSeen = this.wall
    this.#look()
    return "true"
  }

  remove(target: { readonly room: string; readonly user: string; readonly device: string | undefined }): string {
    const gone = this.#of(target)
    this.#devices = this.#devices.filter((it) => !gone.includes(it))
    this.#look()
    return String(gone.length > 0)
  }

  cleanup(maxAge: number): string {
    const gone = this.#devices.filter((it) =>
      it.lostAt !== undefined
        ? this.now - it.lostAt >= bounds.gracePeriod
        : it.holder === undefined && this.now - it.heartbeatAt >= maxAge
    )
    this.#devices = this.#devices.filter((it) => !gone.includes(it))
    this.#look()
    return String(gone.length)
  }

  advance(millis: number): void {
    const until = this.now + millis
    for (let at = this.now + 1; at <= until; at++) {
      if (at % bounds.sweepInterval !== 0) continue
      this.wall += at - this.now
      this.now = at
      this.cleanup(bounds.timeToLive)
    }
    this.wall += until - this.now
    this.now = until
  }

  counts(name: string): string {
    const all = this.#of({ room: name })
    return `${new Set(all.map((it) => it.user)).size} users ${all.length} devices`
  }

  entries(name: string, withLastSeen: boolean): ReadonlyArray<string> {
    return users
      .filter((who) => this.#of({ room: name, user: who }).length > 0)
      .toSorted((a, b) => this.#entered.get(`${name} ${a}`)! - this.#entered.get(`${name} ${b}`)!)
      .map((who) => this.entry(name, who, withLastSeen)!)
  }

  entry(name: string, who: string, withLastSeen: boolean): string | undefined {
    const mine = this.#of({ room: name, user: who }).toSorted((a, b) => b.order - a.order)
    const [lead] = mine.toSorted((a, b) => best.indexOf(b.status) - best.indexOf(a.status) || b.order - a.order)
    if (lead === undefined) return undefined
    const devices = mine.map((it) => `${it.device} ${it.status} ${it.meta}${it.lostAt === undefined ? "" : " lost"}`)
    const lost = mine.every((it) => it.lostAt !== undefined) ? " lost" : ""
    const newest = mine.toSorted((a, b) => b.heartbeatAt - a.heartbeatAt)[0]!
    const seen = withLastSeen ? ` seen ${newest.lastSeen}` : ""
    return `${who} ${lead.status} ${lead.meta}${lost} [${devices.join(", ")}]${seen}`
  }

  isPresent(name: string): boolean {
    return this.#of({ room: name }).length > 0
  }

  /** How many users are there, above which a list is counts. */
  isListed(name: string): boolean {
    return new Set(this.#of({ room: name }).map((it) => it.user)).size <= bounds.listCap
  }

  /** How a room looked at some time within the batch window, not before `from`: its number, or -1. */
  looked(name: string, text: string, from: number): number {
    const looks = this.#looks.get(name)!
    return looks.findIndex(
      (it, n) => n >= from && it.text === text && (looks[n + 1]?.since ?? this.now) >= this.now - bounds.batchWindow
    )
  }

  looks(name: string): number {
    return this.#looks.get(name)!.length
  }
}
