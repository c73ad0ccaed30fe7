/**
 * Laws of the state of rooms (T-PURE), over generated sequences of joins and leaves.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as RoomState from "../../src/rooms/RoomState.ts"

const rooms = ["toString", "valueOf"] as const
const people = ["hasOwnProperty", "b", "c"] as const
const capacity = 2

const Step = Schema.TaggedUnion({
  Join: { room: Schema.Literals(rooms), member: Schema.Literals(people), data: Schema.Int },
  Leave: { room: Schema.Literals(rooms), member: Schema.Literals(people) },
  /** With the generation of the n-th join so far, whoever it was of. */
  LeaveAs: { room: Schema.Literals(rooms), member: Schema.Literals(people), nth: Schema.Literals([0, 1, 2, 3, 4, 5]) }
})
type Step = typeof Step.Type
type State = RoomState.RoomState<RoomState.Membership<number>>

const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 40 })
const arbitrary = { runs: 1_000, size: 400, seed: "effect-rooms" }

/** A state with the same members that does not change with it. */
const copyOf = (state: State): State => ({
  rooms: new Map(Array.from(state.rooms, ([room, each]) => [room, { ...each, members: new Map(each.members) }])),
  roomsOf: new Map(state.roomsOf)
})

/** What a step is told: what a join replaced or `"full"`, what a leave took out. */
type Answer = RoomState.Membership<number> | "full" | undefined

/** Runs the steps; the n-th join has generation and time n. `each` sees every step with the states around it. */
const run = (
  script: ReadonlyArray<Step>,
  each: (step: Step, before: State, after: State, answer: Answer, generation: number) => void = () => undefined
): State => {
  const state: State = RoomState.make()
  let generation = 0
  for (const step of script) {
    const before = copyOf(state)
    const { member, room } = step
    if (step._tag === "Join") {
      const joinedAt = RoomState.get(state, room, member)?.joinedAt ?? generation + 1
      const membership = { member, data: step.data, joinedAt, generation: ++generation }
      const takes = RoomState.takes(state, room, member, capacity)
      each(step, before, state, takes ? RoomState.join(state, room, membership) : "full", generation)
    } else {
      const late = step._tag === "LeaveAs" ? step.nth : undefined
      each(step, before, state, RoomState.leave(state, room, member, late), late ?? 0)
    }
  }
  return state
}

describe("the state of rooms", () => {
  it.prop(
    "its two indexes agree after every step",
    { script: steps },
    ({ script }) => {
      run(script, (_step, _before, state) => {
        for (const room of rooms) {
          const present = RoomState.members(state, room)
          assert.strictEqual(RoomState.size(state, room), present.length)
          for (const member of people) {
            const isIn = present.some((each) => each.member === member)
            assert.strictEqual(RoomState.roomsOf(state, member).includes(room), isIn)
            assert.strictEqual(RoomState.get(state, room, member) !== undefined, isIn)
          }
        }
        // No entry of nobody stays behind in either index.
        for (const { members } of state.rooms.values()) assert.isAbove(members.size, 0)
        for (const each of state.roomsOf.values()) assert.isAbove(each.length, 0)
        assert.deepStrictEqual(
          new Map(RoomState.list(state)),
          new Map(rooms.map((room) => [room, RoomState.size(state, room)] as const).filter(([, size]) => size > 0))
        )
      })
    },
    { arbitrary }
  )

  it.prop(
    "a room never takes more members than its capacity, and refuses only when it is full",
    { script: steps },
    ({ script }) => {
      run(script, (step, before, after, answer) => {
        for (const room of rooms) assert.isAtMost(RoomState.size(after, room), capacity)
        if (step._tag !== "Join") return
        const isIn = RoomState.get(before, step.room, step.member) !== undefined
        const full = !isIn && RoomState.size(before, step.room) === capacity
        assert.strictEqual(answer === "full", full)
        if (full) assert.deepStrictEqual(after, before)
      })
    },
    { arbitrary }
  )

  it.prop(
    "P19: what is late of an earlier join never touches its successor",
    { script: steps },
    ({ script }) => {
      run(script, (step, before, after, answer, generation) => {
        if (step._tag !== "LeaveAs") return
        const present = RoomState.get(before, step.room, step.member)
        if (present?.generation === generation) {
          assert.strictEqual(answer, present)
          assert.isUndefined(RoomState.get(after, step.room, step.member))
        } else {
          assert.isUndefined(answer)
          assert.deepStrictEqual(after, before)
        }
      })
    },
    { arbitrary }
  )

  it.prop(
    "a member that joins again keeps joinedAt, gets its new data and generation, and takes no second place",
    { script: steps },
    ({ script }) => {
      run(script, (step, before, after, answer, generation) => {
        if (step._tag !== "Join") return
        const present = RoomState.get(before, step.room, step.member)
        const held = RoomState.get(after, step.room, step.member)
        if (answer === "full") return
        assert.deepStrictEqual(held, {
          member: step.member,
          data: step.data,
          joinedAt: present?.joinedAt ?? generation,
          generation
        })
        assert.strictEqual(answer, present)
        const grown = RoomState.size(after, step.room) - RoomState.size(before, step.room)
        assert.strictEqual(grown, present === undefined ? 1 : 0)
      })
    },
    { arbitrary }
  )

  it.prop(
    "members are in the order of the joins that hold their places",
    { script: steps },
    ({ script }) => {
      const state = run(script)
      for (const room of rooms) {
        const generations = RoomState.members(state, room).map(({ generation }) => generation)
        assert.deepStrictEqual(
          generations,
          generations.toSorted((a, b) => a - b)
        )
      }
    },
    { arbitrary }
  )

  it.prop(
    "a step changes nothing but the room and the member it is about",
    { script: steps },
    ({ script }) => {
      run(script, (step, before, after) => {
        for (const room of rooms) {
          for (const member of people) {
            if (room === step.room && member === step.member) continue
            assert.strictEqual(RoomState.get(after, room, member), RoomState.get(before, room, member))
          }
        }
      })
    },
    { arbitrary }
  )

  it.prop(
    "I7: when everybody has left, nothing is left",
    { script: steps },
    ({ script }) => {
      const state = run(script)
      for (const room of rooms) for (const member of people) RoomState.leave(state, room, member)
      assert.strictEqual(state.rooms.size, 0)
      assert.strictEqual(state.roomsOf.size, 0)
    },
    { arbitrary }
  )
})
