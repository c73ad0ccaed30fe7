/**
 * Schedules of the fault test: the same for the same seed, with every kind of fault, and never all nodes at once.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Fault, faultKinds, makeSchedule } from "./schedule.ts"

const seeds = Array.from({ length: 200 }, (_, seed) => seed)
const schedule = (seed: number, seconds = 60) => makeSchedule({ seed, seconds, nodes: 3 })

/** When what a fault has stopped works again, at the latest. */
const over = (fault: Fault): number => fault.at + ("millis" in fault ? fault.millis : 4_000)

describe("a schedule of faults", () => {
  it("is the same for the same seed, and another for another", () => {
    assert.deepStrictEqual(schedule(7), schedule(7))
    assert.notDeepEqual(schedule(7), schedule(8))
  })

  it("has a fault every two seconds, and each kind in twenty seconds", () => {
    for (const seed of seeds) {
      const faults = schedule(seed, 20)
      assert.deepStrictEqual(
        faults.map(({ at }) => at),
        Array.from({ length: 10 }, (_, index) => 2_000 * (index + 1))
      )
      assert.sameMembers(Array.from(new Set(faults.map(({ kind }) => kind))), Array.from(faultKinds))
    }
  })

  it("leaves one node alone at any time, and does nothing twice at a time to a node or the broker", () => {
    for (const seed of seeds) {
      const faults = schedule(seed)
      for (const fault of faults) {
        const others = faults.filter((other) => other !== fault && other.at <= fault.at && over(other) > fault.at)
        if ("node" in fault) {
          const nodes = others.flatMap((other) => ("node" in other ? [other.node] : []))
          assert.notInclude(nodes, fault.node)
          assert.isBelow(nodes.length, 2)
        }
        if (fault.kind.endsWith("broker")) {
          assert.isFalse(
            others.some(({ kind }) => kind.endsWith("broker")),
            `seed ${seed} at ${fault.at}`
          )
        }
      }
    }
  })

  it("has only the kinds that are asked for", () => {
    const faults = makeSchedule({ seed: 1, seconds: 60, nodes: 3, kinds: ["kill node", "freeze broker"] })
    assert.sameMembers(Array.from(new Set(faults.map(({ kind }) => kind))), ["kill node", "freeze broker"])
  })
})
