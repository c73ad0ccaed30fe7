import { assert, describe, it } from "@effect/vitest"
import { Parties } from "../../../src/websocket/internal/parties.ts"

/** Parties that have rested ten milliseconds after they were last used. */
const make = () => {
  const made: Array<number> = []
  const parties = new Parties((now) => {
    made.push(now)
    const party = { usedAt: now, rested: (at: number) => at - party.usedAt >= 10 }
    return party
  })
  return { parties, made }
}

describe("parties", () => {
  it("are known by name, with their connections", () => {
    const { parties } = make()
    parties.enter("a", 0)
    parties.enter("a", 0)
    parties.enter("b", 0)
    assert.deepStrictEqual([parties.connections("a"), parties.connections("b"), parties.connections("c")], [2, 1, 0])
    parties.leave("a")
    parties.leave("b")
    parties.leave("b")
    assert.deepStrictEqual([parties.connections("a"), parties.connections("b")], [1, 0])
  })

  it("are remembered beyond their last connection until they have rested", () => {
    const { made, parties } = make()
    parties.enter("a", 0)
    const party = parties.of("a", 0)
    parties.leave("a")
    parties.forget(9)
    assert.strictEqual(parties.of("a", 9), party)
    assert.strictEqual(parties.size, 1)
    parties.forget(10)
    assert.strictEqual(parties.size, 0)
    assert.notStrictEqual(parties.of("a", 10), party)
    assert.deepStrictEqual(made, [0, 10])
  })

  it("with connections are not forgotten, however long they rest", () => {
    const { made, parties } = make()
    parties.enter("a", 0)
    parties.forget(1_000_000)
    parties.enter("a", 1_000_000)
    assert.deepStrictEqual([parties.connections("a"), made.length], [2, 1])
  })

  it("of ever new names are ten thousand at most, the longest unused go first, and never one with a connection", () => {
    const { made, parties } = make()
    parties.enter("connected", 0)
    for (let n = 0; n < 10_000; n++) parties.of(`n${n}`, 0)
    const kept = parties.of("n0", 0)
    for (let n = 10_000; n < 19_999; n++) parties.of(`n${n}`, 0)
    assert.strictEqual(parties.size, 10_001)
    assert.strictEqual(parties.of("n0", 0), kept)
    assert.strictEqual(parties.connections("connected"), 1)
    const before = made.length
    parties.of("n1", 0)
    assert.strictEqual(made.length, before + 1, "n1 was forgotten")
  })
})
