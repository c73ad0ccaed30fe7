/**
 * The laws of the pure state, for generated histories of one room.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as HashMap from "effect/HashMap"
import * as Schema from "effect/Schema"
import { apply, between, first, type Listing } from "../../src/presence/PresenceChange.ts"
import type { LeaveReason } from "../../src/presence/PresenceEntry.ts"
import * as State from "../../src/presence/PresenceState.ts"
import { User } from "../support/channels.ts"
import { brief } from "./support.ts"

type RoomState = State.PresenceState<User, string>

const ages = { timeToLive: 60, gracePeriod: 15 }
const user = Schema.Literals(["alice", "bob", "carol"])
const device = Schema.Literals(["tab", "phone"])
const status = Schema.Literals(["online", "away", "busy"])
const meta = Schema.Literals(["x", "y"])
const generation = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 }))
const after = Schema.Literals([0, 1, 10, 50])

const Step = Schema.TaggedUnion({
  Hold: { user, device, status, meta, after },
  Set: { user, device, status, meta, after },
  Update: { user, device, status, after },
  Heartbeat: { user, device, after },
  Drop: { user, device, generation, after },
  Release: { user, device, generation, after },
  Remove: { user, after },
  Expire: { after }
})
type Step = typeof Step.Type

const metaOf = (value: string): State.Meta<string> => ({ value, text: JSON.stringify(value) })

const step = (state: RoomState, one: Step, n: number, now: State.Now): State.Changed<User, string> => {
  switch (one._tag) {
    case "Hold":
    case "Set": {
      const how = one._tag === "Hold" ? State.hold : State.set
      const input = { user: User.ref.make(one.user), device: one.device, status: one.status, meta: metaOf(one.meta) }
      return how(state, { ...input, generation: n }, now)
    }
    case "Update":
      return State.update(state, one, { status: one.status }, now)
    case "Heartbeat":
      return State.heartbeat(state, one, now)
    case "Drop":
      return State.drop(state, one, now)
    case "Release":
      return State.release(state, one)
    case "Remove":
      return State.remove(state, one.user)
    case "Expire":
      return State.expire(state, now, ages)
  }
}

interface Moment {
  readonly now: State.Now
  readonly state: RoomState
  readonly events: State.Changed<User, string>[1]
}

/** Every state of a history, the empty one first. */
const history = (steps: ReadonlyArray<Step>, listCap = 1_000): ReadonlyArray<Moment> => {
  const moments: Array<Moment> = [{ now: { at: 0, wall: 0 }, state: State.empty(listCap), events: [] }]
  for (const [index, one] of steps.entries()) {
    const last = moments.at(-1)!
    // Wall time runs backwards: nothing may depend on it.
    const now = { at: last.now.at + one.after, wall: last.now.wall - 3_600_000 }
    const [state, events] = step(last.state, one, index + 1, now)
    moments.push({ now, state, events })
  }
  return moments
}

const touchedBy = (moments: ReadonlyArray<Moment>): Map<string, LeaveReason> => {
  const touched = new Map<string, LeaveReason>()
  for (const event of moments.flatMap(({ events }) => events)) {
    if (event._tag === "Leave") touched.set(event.user.identifier, event.reason)
    else touched.set(event.entry.user.identifier, touched.get(event.entry.user.identifier) ?? "left")
  }
  return touched
}

const shown = (listing: Listing<User, string>): unknown =>
  listing._tag === "Counts" ? listing : { ...listing, entries: listing.entries.map(brief).toSorted() }

const devicesOf = (state: RoomState) =>
  HashMap.toValues(state.users).flatMap(({ devices, user: { identifier } }) =>
    devices.map((one) => ({ ...one, user: identifier }))
  )

const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 40 })
const cut = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })))
const arbitrary = { runs: 1_000, size: 400, seed: "effect-rooms" }
const statuses = Arbitrary.array(Arbitrary.schema(status), { minLength: 3, maxLength: 3 })

describe("the state of a room", () => {
  it.prop(
    "expire removes exactly the devices nothing keeps alive",
    { steps },
    (input) => {
      const { now, state } = history(input.steps).at(-1)!
      const stays = devicesOf(state).filter((one) => {
        if (one.unstableSince !== undefined) return now.at - one.unstableSince < ages.gracePeriod
        return one.held || now.at - one.lastHeartbeatAt < ages.timeToLive
      })
      const [swept] = State.expire(state, now, ages)
      const names = (devices: ReturnType<typeof devicesOf>) =>
        devices.map((one) => `${one.user} ${one.device}`).toSorted()
      assert.deepStrictEqual(names(devicesOf(swept)), names(stays))
    },
    { arbitrary }
  )

  it.prop(
    "a diff applied to the old view is the new view, whatever happened between, and so are the events",
    { steps, cut },
    (input) => {
      const moments = history(input.steps)
      const from = Math.min(input.cut, moments.length - 1)
      const [before, later] = [moments[from]!, moments.slice(from + 1)]
      const last = moments.at(-1)!
      const change = between(before.state, last.state, touchedBy(later))
      const view = change === undefined ? first(before.state) : apply(first(before.state), change)
      assert.deepStrictEqual(shown(view), shown(first(last.state)))
      const eventful = later.reduce<Listing<User, string>>(
        (known, { events, state }) =>
          apply(known, { _tag: "Diff", users: HashMap.size(state.users), devices: state.devices, events }),
        first(before.state)
      )
      assert.deepStrictEqual(shown(eventful), shown(first(last.state)))
    },
    { arbitrary }
  )

  it.prop(
    "a change can always be applied to a view that counts, and to one that may not list everybody",
    { steps, cut },
    (input) => {
      const moments = history(input.steps, 1)
      const from = Math.min(input.cut, moments.length - 1)
      const last = moments.at(-1)!.state
      const change = between(moments[from]!.state, last, touchedBy(moments.slice(from + 1)))
      const view = first(moments[from]!.state)
      if (change?._tag === "Diff") assert.strictEqual(view._tag, "Snapshot")
      assert.deepStrictEqual(shown(change === undefined ? view : apply(view, change)), shown(first(last)))
      if (HashMap.size(last.users) > 1) assert.strictEqual(first(last)._tag, "Counts")
    },
    { arbitrary }
  )

  it.prop(
    "P19: an action of an owner that is not the device's leaves the very same state",
    { steps, generation: Arbitrary.schema(generation) },
    (input) => {
      const { now, state } = history(input.steps).at(-1)!
      for (const one of devicesOf(state)) {
        if (one.held && one.generation === input.generation) continue
        const late = { user: one.user, device: one.device, generation: input.generation }
        assert.strictEqual(State.release(state, late)[0], state)
        assert.strictEqual(State.drop(state, late, now)[0], state)
        assert.strictEqual(State.heartbeat(state, late, now)[0], state)
        assert.strictEqual(State.update(state, late, { status: "busy" }, now)[0], state)
      }
    },
    { arbitrary }
  )

  it.prop(
    "counts its devices, keeps no user without one and no two devices of one name",
    { steps },
    (input) => {
      for (const { state } of history(input.steps)) {
        const names = devicesOf(state).map((one) => `${one.user} ${one.device}`)
        assert.strictEqual(state.devices, names.length)
        assert.strictEqual(new Set(names).size, names.length)
        for (const one of HashMap.values(state.users)) assert.isNotEmpty(one.devices)
      }
    },
    { arbitrary }
  )

  it.prop(
    "which device leads does not depend on the order they are looked at",
    { statuses },
    (input) => {
      const [a, b, c] = input.statuses.map((one, n) => ({
        device: `d${n}`,
        generation: n,
        status: one,
        meta: metaOf("x"),
        held: true,
        lastHeartbeatAt: 0,
        lastSeen: 0,
        unstableSince: undefined
      })) as [State.Device<string>, State.Device<string>, State.Device<string>]
      assert.strictEqual(State.leading(a, a), a)
      assert.strictEqual(State.leading(a, b), State.leading(b, a))
      assert.strictEqual(State.leading(State.leading(a, b), c), State.leading(a, State.leading(b, c)))
    },
    { arbitrary }
  )
})
