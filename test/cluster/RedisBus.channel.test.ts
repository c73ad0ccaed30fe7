import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { channelOf } from "../../src/cluster/internal/redis/channel.ts"
import { oddTopics } from "../support/driverLink.ts"

/** Units that are escaped, what stands for them, and what does not matter. */
const Units = Schema.Literals(["_", "\uFFFD", "\uD83C", "\uDF88", "\uD800", "005f", "d83c", "a", ":", "é"])
const Topic = Arbitrary.map(Arbitrary.array(Arbitrary.schema(Units), { maxLength: 5 }), (units) => units.join(""))

describe("SEC14: the channel of a topic", () => {
  it.each(oddTopics)("is the topic: %j", (topic) => {
    assert.strictEqual(channelOf("", topic), topic)
    assert.strictEqual(channelOf("app:", topic), `app:${topic}`)
  })

  it.prop("is of one topic alone, survives the network and is none of Redis's own", [Topic, Topic], ([one, other]) => {
    for (const prefix of ["", "app:", "_", "\uD83C"]) {
      const [channel, next] = [channelOf(prefix, one), channelOf(prefix, other)]
      assert.strictEqual(channel === next, one === other)
      assert.strictEqual(Buffer.from(channel).toString(), channel)
      assert.isFalse(channel.startsWith("__"))
    }
  })
})
