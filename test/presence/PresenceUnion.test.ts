/**
 * The laws of what several nodes say together, for whatever they say.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as HashMap from "effect/HashMap"
import * as Schema from "effect/Schema"
import { list } from "../../src/presence/PresenceChange.ts"
import { claims, type Device, type Grave, isGrave, isNewer, isOwn, unite } from "../../src/presence/PresenceDevice.ts"
import * as State from "../../src/presence/PresenceState.ts"
import { merge, rename, type Said, type Settling } from "../../src/presence/PresenceUnion.ts"
import { User } from "../support/channels.ts"
import { brief } from "./support.ts"

type RoomState = State.PresenceState<User, string>

const nodes = ["a", "b", "c"] as const
const generation = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))
const Statement = Schema.Struct({
  owner: Schema.Literals(nodes),
  user: Schema.Literals(["alice", "bob"]),
  device: Schema.Literals(["tab", "phone"]),
  what: Schema.Literals(["held", "free", "unstable", "gone", "nothing"]),
  status: Schema.Literals(["online", "away", "busy"]),
  generation,
  entered: generation,
  /** Decides in which order things become known. */
  rank: Schema.Int
})
type Statement = typeof Statement.Type

const claimOf = (one: Statement, owner: string | undefined): Device<string> | Grave | undefined => {
  const { device, entered, generation: number, status, what } = one
  const claim = { device, owner, generation: number, over: entered }
  if (what === "nothing") return undefined
  if (what === "gone") return { ...claim, reason: "removed", since: 0 }
  return {
    ...claim,
    entered,
    status,
    meta: { value: owner ?? "own", text: `"${owner ?? "own"}"` },
    held: what === "held",
    heldAs: number,
    lastHeartbeatAt: 0,
    lastSeen: 0,
    unstableSince: what === "unstable" ? 0 : undefined,
    moved: false
  }
}

const saidOf = (one: Statement): Said<User, string> => ({
  user: User.ref.make(one.user),
  owner: one.owner,
  device: one.device,
  claim: claimOf(one, one.owner),
  reason: "left"
})

const now = { at: 1_000, wall: 0 }
const settling = (next = 100): Settling => ({
  now,
  remembers: true,
  next: () => ++next,
  knew: ({ generation: number }) => number > 3,
  onOwn: () => undefined
})

const after = (state: RoomState, said: ReadonlyArray<Statement>): RoomState =>
  merge(state, said.map(saidOf), settling())[0]

const nothing = State.empty<User, string>(1_000, "me")

/** The last that is said of each device by each node. */
const last = (all: ReadonlyArray<Statement>): ReadonlyArray<Statement> =>
  Array.from(Map.groupBy(all, (one) => `${one.owner} ${one.user} ${one.device}`).values(), (same) => same.at(-1)!)

const shown = (state: RoomState): ReadonlyArray<string> => {
  const listing = list(state)
  return listing._tag === "Counts" ? [] : listing.entries.map(brief)
}

/** Everything that is said, in an order of its own. */
const known = (state: RoomState) =>
  State.everybody(state)
    .flatMap((one) => claims(one).map((claim) => `${one.user.identifier} ${JSON.stringify(claim)}`))
    .toSorted()

const statements = Arbitrary.array(Arbitrary.schema(Statement), { maxLength: 30 })
const cut = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })))
const arbitrary = { runs: 2_000, size: 300, seed: "effect-rooms" }

const check = (state: RoomState): void => {
  let [devices, own, past] = [0, 0, 0]
  for (const one of State.everybody(state)) {
    const names = one.devices.map(({ device }) => device)
    assert.strictEqual(new Set(names).size, names.length)
    for (const device of one.devices) {
      const rivals = claims(one).filter((other) => other.device === device.device && other !== device)
      for (const rival of rivals) assert.isTrue(isNewer(device, rival, state.self))
    }
    for (const grave of claims(one).filter(isGrave)) {
      const hides = one.devices.filter(({ device }) => device === grave.device)
      for (const device of hides) assert.isTrue(isNewer(device, grave, state.self))
    }
    if (one.devices.length > 0) assert.strictEqual(one.entered, Math.min(...one.devices.map(({ entered }) => entered)))
    devices += one.devices.length
    own += one.devices.filter(isOwn).length
    past += one.hidden.filter(isOwn).length
    const isAbsent = HashMap.has(state.absent, one.user.identifier)
    assert.strictEqual(one.devices.length === 0, isAbsent)
    assert.strictEqual(HashMap.has(state.users, one.user.identifier), !isAbsent)
  }
  assert.deepStrictEqual([state.devices, state.own, state.past], [devices, own, past])
}

/** The next state, of which the events say what is true. */
const committed = (before: RoomState, next: State.Changed<User, string>) => {
  for (const event of next[1]) {
    const { identifier } = event._tag === "Leave" ? event.user : event.entry.user
    assert.strictEqual(State.find(before, identifier) === undefined, event._tag === "Enter")
    assert.strictEqual(State.find(next[0], identifier) === undefined, event._tag === "Leave")
  }
  check(next[0])
  return next[0]
}

describe("what several nodes say", () => {
  it.prop(
    "is shown the same in whatever order and portions it becomes known",
    { statements, cut },
    (input) => {
      const all = last(input.statements)
      const shuffled = all.toSorted((x, y) => x.rank - y.rank)
      const [one, other] = [
        after(nothing, all),
        after(after(nothing, shuffled.slice(0, input.cut)), shuffled.slice(input.cut))
      ]
      assert.deepStrictEqual(shown(one), shown(other))
      assert.deepStrictEqual(known(one), known(other))
      for (const state of [one, other]) check(state)
    },
    { arbitrary }
  )

  it.prop(
    "changes nothing when it is said again",
    { statements },
    (input) => {
      const state = after(nothing, input.statements)
      const [again, events] = merge(state, last(input.statements).map(saidOf), settling())
      assert.deepStrictEqual(events, [])
      assert.deepStrictEqual(known(again), known(state))
    },
    { arbitrary }
  )

  it.prop(
    "does not depend on what was said before",
    { statements },
    (input) => {
      assert.deepStrictEqual(known(after(nothing, input.statements)), known(after(nothing, last(input.statements))))
    },
    { arbitrary }
  )

  it.prop(
    "leaves nothing behind once it is taken back",
    { statements },
    (input) => {
      const state = after(nothing, input.statements)
      const back = input.statements.map((one) => ({ ...one, what: "nothing" as const }))
      assert.isTrue(State.isEmpty(after(state, back)))
    },
    { arbitrary }
  )

  it.prop(
    "is looked at from each node and looks the same, whichever of them one is",
    { statements },
    (input) => {
      const all = last(input.statements).filter(({ user, what }) => what !== "nothing" && user === "alice")
      // What one says oneself is not settled here: that comes after, and is heard by the others then.
      const from = (self: string) => {
        const said = all.map((one) => ({
          ...claimOf(one, one.owner)!,
          owner: one.owner === self ? undefined : one.owner
        }))
        const { devices, entered, hidden } = unite(User.ref`alice`, said, self)
        return [entered, hidden.length, ...devices.map(({ device, meta }) => `${device} of ${meta.value}`)]
      }
      assert.deepStrictEqual(from("a"), from("b"))
      assert.deepStrictEqual(from("b"), from("c"))
    },
    { arbitrary }
  )

  it.prop(
    "leaves of what this node says itself what counts, and no more: withdrawn, kept, or taken over again",
    { statements, own: statements },
    (input) => {
      const mine = Array.from(
        Map.groupBy(input.own, ({ device, user }) => `${user} ${device}`).values(),
        (same) => same[0]!
      )
      let state = nothing
      for (const { device, generation: number, status, user, what } of mine) {
        const hold = what === "free" ? State.set : State.hold
        const appearance = { user: User.ref.make(user), device, status, meta: { value: "own", text: "own" } }
        state = hold(state, { ...appearance, generation: number }, now)[0]
        if (what === "unstable") state = State.drop(state, { user, device, generation: number }, now)[0]
      }
      state = committed(state, merge(state, input.statements.map(saidOf), settling()))
      for (const { devices, hidden } of State.everybody(state)) {
        for (const one of hidden) if (isOwn(one) && !isGrave(one)) assert.isTrue(one.moved)
        for (const one of devices) assert.isFalse(one.moved)
      }
      state = committed(state, State.remove(state, "alice", "tab", now))
      const gone = State.remove(state, "alice", undefined, now)
      state = committed(state, gone)
      const appearance = { user: User.ref`bob`, status: "online", meta: { value: "late", text: "late" } } as const
      state = committed(state, State.hold(state, { ...appearance, device: "tab", generation: 150 }, now))
      state = committed(state, rename(state, "b2", settling(200)))
      const ages = { timeToLive: 10, gracePeriod: 10 }
      const later = { at: 5_000, wall: 0 }
      const back = input.statements.map((one) => ({ ...one, what: "nothing" as const }))
      state = committed(state, merge(state, back.map(saidOf), settling(300)))
      state = committed(state, State.release(state, { user: "bob", device: "tab", generation: 150 }, now))
      state = committed(state, State.expire(state, later, ages, later))
      for (const { devices } of State.everybody(state)) for (const one of devices) assert.isTrue(one.held)
      assert.strictEqual(state.past, 0)
    },
    { arbitrary }
  )
})
