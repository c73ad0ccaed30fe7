/**
 * Laws of the pure state of rooms (T-PURE), over generated sequences of joins and leaves.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as HashMap from "effect/HashMap"
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
type State = RoomState.RoomState<number>

const steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 40 })
const arbitrary = { runs: 1_000, size: 400, seed: "effect-rooms" }

/** Runs the steps; the n-th join has generation and time n. `each` sees every step with the states around it. */
const run = (
  script: ReadonlyArray<Step>,
  each: (step: Step, before: State, after: State, answer: unknown, generation: number) => void = () => undefined
): State => {
  let state: State = RoomState.empty()
  let generation = 0
  for (const step of script) {
    const before = state
    if (step._tag === "Join") {
      const request = { member: step.member, data: step.data, joinedAt: ++generation, generation }
      const [after, joined] = RoomState.join(before, step.room, request, capacity)
      state = after
      each(step, before, after, joined, generation)
    } else {
      const late = step._tag === "LeaveAs" ? step.nth : undefined
      const [after, left] = RoomState.leave(before, step.room, step.member, late)
      state = after
      each(step, before, after, left, late ?? 0)
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
        for (const members of HashMap.values(state.rooms)) assert.isFalse(HashMap.isEmpty(members))
        for (const each of HashMap.values(state.roomsOf)) assert.isAbove(each.length, 0)
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
        assert.strictEqual((answer as RoomState.Joined<number>)._tag === "Full", full)
        if (full) assert.strictEqual(after, before)
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
          assert.strictEqual(after, before)
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
        const joined = answer as RoomState.Joined<number>
        const present = RoomState.get(before, step.room, step.member)
        const held = RoomState.get(after, step.room, step.member)
        if (joined._tag === "Full") return
        assert.strictEqual(held, joined.membership)
        assert.deepStrictEqual(held, {
          member: step.member,
          data: step.data,
          joinedAt: present?.joinedAt ?? generation,
          generation
        })
        assert.strictEqual(joined._tag, present === undefined ? "Joined" : "JoinedAgain")
        if (joined._tag === "JoinedAgain") assert.strictEqual(joined.replaced, present)
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
      let state = run(script)
      for (const room of rooms) for (const member of people) state = RoomState.leave(state, room, member)[0]
      assert.strictEqual(HashMap.size(state.rooms), 0)
      assert.strictEqual(HashMap.size(state.roomsOf), 0)
    },
    { arbitrary }
  )
})
