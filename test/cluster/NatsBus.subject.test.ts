import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { isPrefix, subjectOf } from "../../src/cluster/internal/nats/subject.ts"
import { oddTopics } from "../support/driverLink.ts"

/** Units that are escaped, what stands for them, and what does not matter. */
const Units = Schema.Literals(["_", ".", "*", ">", " ", "_2e_", "2e", "\uD83C", "\uDF88", "\uFFFD", "a", ":", "é"])
const Topic = Arbitrary.map(Arbitrary.array(Arbitrary.schema(Units), { minLength: 1, maxLength: 5 }), (units) =>
  units.join("")
)

describe("SEC14: the subject of a topic", () => {
  it.each(oddTopics)("is one token of printable ASCII: %j", (topic) => {
    assert.match(subjectOf("er1", topic), /^er1\.[^.*>\s]+$/)
    assert.match(subjectOf("er1", topic), /^[!-~]{1,1300}$/)
  })

  it("is readable where the topic is", () => {
    assert.strictEqual(subjectOf("er1", "app:room/42@eu=x-y"), "er1.app:room/42@eu=x-y")
    assert.strictEqual(subjectOf("app", "a.b_c"), "app.a_2e_b_5f_c")
  })

  it.prop("is of one topic alone", [Topic, Topic], ([one, other]) => {
    assert.strictEqual(subjectOf("er1", one) === subjectOf("er1", other), one === other)
  })

  it("has a prefix that is one token and none of the server's own", () => {
    for (const prefix of ["er1", "my-app_2", "x".repeat(64)]) assert.isTrue(isPrefix(prefix), prefix)
    for (const prefix of ["", "$SYS", "a.b", "*", ">", "a b", "ä", "x".repeat(65)])
      assert.isFalse(isPrefix(prefix), prefix)
  })
})
