/**
 * What the fault test takes for a difference between what a node knows and what is so.
 */
import { assert, describe, it } from "@effect/vitest"
import { differences, type Truth, type View } from "./views.ts"

const truth: Truth = {
  up: ["a", "b"],
  sessions: { red: ["s1", "s2", "s3"], blue: ["s1"] },
  userOf: (session) => (session === "s3" ? "u2" : "u1")
}

const view: View = {
  up: ["b", "a"],
  stale: [],
  bus: "Up",
  halls: { red: ["s3", "s1", "s2"], blue: ["s1"], green: [] },
  counts: { red: 3, blue: 1, green: 0 },
  present: { red: ["u1/s1", "u1/s2", "u2/s3"], blue: ["u1/s1"], green: [] }
}

describe("the view of a node", () => {
  it("is right when it says who is where, in whatever order", () => {
    assert.deepStrictEqual(differences(view, truth), [])
  })

  for (const [name, wrong, text] of [
    ["a bus that does not work", { bus: "Degraded" }, "the bus is Degraded"],
    ["a node not known wholly", { stale: ["b"] }, "b not known wholly"],
    ["a node that is not there", { up: ["a"] }, "up are a, not a b"],
    ["a node twice", { up: ["a", "b", "b"] }, "up are a b b, not a b"],
    [
      "a member who has gone",
      { halls: { ...view.halls, red: ["s1", "s2", "s3", "s4"] } },
      "members of red: 1 (s4) too many, 0 () missing"
    ],
    [
      "a member who is there twice",
      { halls: { ...view.halls, red: ["s1", "s2", "s3", "s3"] } },
      "members of red: 1 (s3) too many, 0 () missing"
    ],
    [
      "a member who is missing",
      { halls: { ...view.halls, red: ["s1", "s2"] } },
      "members of red: 0 () too many, 1 (s3) missing"
    ],
    [
      "members of a room that is empty",
      { halls: { ...view.halls, green: ["s9"] } },
      "members of green: 1 (s9) too many, 0 () missing"
    ],
    ["a wrong count", { counts: { ...view.counts, red: 4 } }, "4 in red, not 3"],
    [
      "a device whose connection was lost",
      { present: { ...view.present, blue: ["u1/s1?"] } },
      "present in blue: 1 (u1/s1?) too many, 1 (u1/s1) missing"
    ]
  ] as const) {
    it(`is wrong with ${name}`, () => {
      assert.deepStrictEqual(differences({ ...view, ...wrong }, truth), [text])
    })
  }
})
