/**
 * Generated histories of three nodes that lose each other, crash, sleep and stop (T-SIM): once all is quiet everybody
 * shows the same, and on the way every reader sees each user enter and leave in turn.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Messages, Presence } from "effect-rooms"
import * as Arbitrary from "effect/Arbitrary"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { CurrentPeers } from "../../src/internal/peers.ts"
import { drain, general, User } from "../support/channels.ts"
import { FakeCluster, type FakeNode } from "../support/fakePeers.ts"
import { FakeConnection } from "../support/rooms.ts"
import { brief, type Change, type Chat, endUnsafe, ManualClock, options } from "./support.ts"

const places = [0, 1, 2] as const
const place = Schema.Literals(places)
const user = Schema.Literals(["alice", "bob"])
const device = Schema.Literals(["tab", "phone"])
const meta = Schema.Literals(["x", "y"])
const slot = Schema.Literals([0, 1, 2, 3, 4, 5])

const Command = Schema.TaggedUnion({
  Track: { place, user, device, meta },
  Close: { slot },
  End: { slot, ending: Schema.Literals(["clean", "lost"]) },
  Change: { slot, meta },
  Set: { place, user, device, meta },
  Update: { place, user, device, meta },
  Remove: { place, user, device: Schema.Union([device, Schema.Undefined]) },
  Deliver: { from: place, to: place, how: Schema.Literals(["deltas", "all"]) },
  Settle: {},
  Advance: { millis: Schema.Literals([100, 5_000, 20_000]) },
  Cut: { from: place, to: place },
  Heal: {},
  Forget: { place, other: place },
  Crash: { place },
  Stop: { place },
  Sleep: { place }
})
type Command = typeof Command.Type

const mostSlots = 6
const bounds = { maxDevices: 20, capacity: 1_000, listCap: 100, maxBehind: 64 }

interface Place {
  readonly node: FakeNode
  readonly chat: Chat
  readonly scope: Scope.Closeable
  readonly clock: ManualClock
  readonly read: () => ReadonlyArray<string>
}

interface Slot {
  readonly on: Place
  readonly name: string
  readonly connection: FakeConnection
  readonly scope: Scope.Closeable
  readonly session: Presence.Tracked<string>
  isOpen: boolean
}

/** Folds changes the strict way: nobody enters twice, and nobody is updated or leaves who is not there. */
const reader = (changes: Pick<Messages.Messages<Change>, "take">) => {
  let known: Presence.Listing<User, string> = { _tag: "Snapshot", users: 0, devices: 0, entries: [] }
  return () => {
    for (const change of drain(changes)) {
      if (change._tag === "Diff" && known._tag === "Snapshot") {
        const there = new Set(known.entries.map((entry) => entry.user.identifier))
        for (const event of change.events) {
          const { identifier } = event._tag === "Leave" ? event.user : event.entry.user
          assert.strictEqual(there.has(identifier), event._tag !== "Enter", `${event._tag} ${identifier}`)
        }
      }
      known = Presence.apply(known, change)
    }
    assert(known._tag === "Snapshot")
    return known.entries.map(brief).toSorted()
  }
}

const start = (cluster: FakeCluster, at: number, now: number): Place => {
  const node = cluster.start("abc"[at]!)
  const clock = new ManualClock()
  clock.at = now
  // P14: the clocks of no two nodes agree.
  clock.wallOffset = 1_000_000_000 + (at - 1) * 3_600_000
  const scope = Scope.makeUnsafe()
  const chat: Chat = Effect.runSync(
    Presence.make({ ...options, ...bounds }).pipe(
      Effect.provideService(Clock.Clock, clock),
      Effect.provideService(CurrentPeers, node),
      Scope.provide(scope)
    )
  )
  const changes = Effect.runSync(Scope.provide(chat.changes(general), scope))
  return { node, chat, scope, clock, read: reader(changes) }
}

const isHere = ({ connection, isOpen, on }: Slot) => isOpen && !connection.closed && !on.node.crashed

class System {
  readonly cluster = new FakeCluster()
  now = 0
  places: Array<Place> = places.map((at) => start(this.cluster, at, 0))
  readonly slots: Array<Slot> = []
  /**
   * Devices that were set or removed, or tracked on two nodes that did not know of each other: it is not said here what
   * becomes of them.
   */
  readonly touched = new Set<string>()
  /** Everybody knows everything. */
  calm = false

  track({ device: name, meta: value, place: at, user: who }: Extract<Command, { _tag: "Track" }>): void {
    if (this.slots.length === mostSlots) return
    const on = this.places[at]!
    const scope = Scope.makeUnsafe()
    const connection = new FakeConnection(`c${this.slots.length}`)
    const tracking = on.chat.track(general, User.ref.make(who), { device: name, meta: value, as: connection })
    const session = Effect.runSync(Scope.provide(tracking, scope))
    if (!this.calm && this.slots.some((other) => other.name === `${who} ${name}` && isHere(other))) {
      this.touched.add(`${who} ${name}`)
    }
    this.slots.push({ on, name: `${who} ${name}`, connection, scope, session, isOpen: true })
  }

  /** Devices that somebody is connected with, and nobody else any more, though others may have been. */
  get connected(): ReadonlyArray<string> {
    return Array.from(Map.groupBy(this.slots, ({ name }) => name)).flatMap(([name, all]) => {
      const last = all.at(-1)!
      return isHere(last) && !all.slice(0, -1).some(isHere) && !this.touched.has(name) ? [name] : []
    })
  }

  advance(millis: number): void {
    this.now += millis
    for (const { clock } of this.places) clock.advance(millis)
  }

  replace(at: number): void {
    const old = this.places[at]!
    this.cluster.crash(old.node)
    Effect.runSync(Scope.close(old.scope, Exit.void))
    this.places[at] = start(this.cluster, at, this.now)
  }

  run(command: Command): void {
    const { cluster, places: all } = this
    switch (command._tag) {
      case "Track":
        return this.track(command)
      case "Set": {
        const { device: name, meta: value, place: at, user: who } = command
        this.touched.add(`${who} ${name}`)
        return Effect.runSync(all[at]!.chat.set(general, User.ref.make(who), { device: name, meta: value }))
      }
      case "Update": {
        const { device: name, meta: value, place: at, user: who } = command
        return void Effect.runSync(all[at]!.chat.update(general, User.ref.make(who), { device: name, meta: value }))
      }
      case "Remove": {
        for (const name of ["tab", "phone"]) this.touched.add(`${command.user} ${name}`)
        const { chat } = all[command.place]!
        return void Effect.runSync(chat.remove(general, User.ref.make(command.user), command))
      }
      case "Deliver":
        return cluster.deliver(all[command.from]!.node, all[command.to]!.node, command.how)
      case "Settle":
        return cluster.settle()
      case "Advance":
        return this.advance(command.millis)
      case "Cut":
        return cluster.cut(all[command.from]!.node, all[command.to]!.node)
      case "Heal":
        return cluster.heal()
      case "Forget":
        return all[command.place]!.node.forget(all[command.other]!.node)
      case "Crash":
        return this.replace(command.place)
      case "Stop": {
        // What it says last is heard, and then nothing more.
        const { node, scope } = all[command.place]!
        Effect.runSync(Scope.close(scope, Exit.void))
        for (const other of all) cluster.deliver(node, other.node)
        return this.replace(command.place)
      }
      case "Sleep":
        return all[command.place]!.node.rebirth()
      default: {
        const mine = this.slots[command.slot]
        if (mine === undefined || mine.on.node.crashed) return
        if (command._tag === "Close") {
          mine.isOpen = false
          Effect.runSync(Scope.close(mine.scope, Exit.void))
        } else if (command._tag === "End") endUnsafe(mine.connection, command.ending)
        else Effect.runSync(mine.session.update({ meta: command.meta }))
      }
    }
  }

  shown(at: Place): ReadonlyArray<string> {
    const listing = Effect.runSync(at.chat.list(general))
    assert(listing._tag === "Snapshot")
    return listing.entries.map(brief)
  }

  /** Everybody reaches everybody, and knows who has crashed. */
  quiet(): void {
    this.cluster.heal()
    this.cluster.notice()
    this.cluster.settle()
  }

  agree(): ReadonlyArray<string> {
    const [first, ...others] = this.places.map((at) => this.shown(at))
    for (const other of others) assert.deepStrictEqual(other, first)
    return first!
  }
}

const check = (input: { readonly commands: ReadonlyArray<Command> }): void => {
  const system = new System()
  for (const command of input.commands) {
    system.run(command)
    system.calm = command._tag === "Settle" && system.cluster.isWhole
    for (const { read } of system.places) read()
  }
  system.quiet()
  const shown = system.agree().join("\n")
  for (const name of system.connected) {
    const [who, which] = name.split(" ") as [string, string]
    assert.match(shown, new RegExp(`^${who} .*\\b${which} online [xy][,\\]]`, "m"))
  }
  for (let n = 0; n < 3; n++) {
    system.advance(100)
    system.cluster.settle()
  }
  const last = system.agree().toSorted()
  for (const { read } of system.places) assert.deepStrictEqual(read(), last)
  // What nobody keeps alive leaves nothing behind, in anybody's table.
  for (const { scope } of system.slots) Effect.runSync(Scope.close(scope, Exit.void))
  for (let n = 0; n < 20; n++) {
    system.advance(5_000)
    system.cluster.settle()
  }
  assert.deepStrictEqual(system.agree(), [])
  for (const { node, read } of system.places) {
    assert.deepStrictEqual(read(), [])
    assert.deepStrictEqual(Array.from(node.own.get("presence/Room/User")!.keys()), ["node"])
  }
  for (const { scope } of system.places) Effect.runSync(Scope.close(scope, Exit.void))
}

const explained = (input: { readonly commands: ReadonlyArray<Command> }) =>
  Effect.suspend(() => {
    const result = Result.try(() => check(input))
    if (Result.isSuccess(result)) return Effect.void
    const all = input.commands.map((command) => `\n  ${JSON.stringify(command)}`).join("")
    const error = result.failure as Error
    return Effect.die(new Error(`${error.message}\nafter${all}`, { cause: error }))
  })

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 40 })
const arbitrary = { runs: 1_000, size: 400, maxShrinks: 5_000, seed: "effect-rooms" }

describe("presence of three nodes", () => {
  it.effect.prop("P7, P8, P14: agrees, whatever was lost on the way", { commands }, explained, {
    arbitrary,
    timeout: 120_000
  })
})
