import * as Nats from "@nats-io/transport-node"
import { assert, describe, it } from "@effect/vitest"
import { configOf } from "../../src/cluster/internal/nats/config.ts"

/** A variable of the environment that is not set, with an exclamation mark behind it. */
const unset = undefined as unknown as string

describe("options of NatsBus", () => {
  it.each([[unset], [""], [[]], [[unset]], [["a:4222", unset]], ["a:4222,"]])(
    "servers that are missing are refused: %j",
    (servers) => {
      assert.throws(() => configOf(Nats, { servers }), TypeError, "servers must name at least one server of NATS")
    }
  )

  it("servers are a list or one text with commas", () => {
    assert.deepStrictEqual(configOf(Nats, { servers: "a:4222, nats://b" }).servers, ["a:4222", "nats://b"])
    assert.deepStrictEqual(configOf(Nats, { servers: ["a:4222"] }).servers, ["a:4222"])
  })

  it("an address with credentials is refused in words that do not quote it", () => {
    assert.throws(() => configOf(Nats, { servers: "nats://me:canary@a" }), TypeError, "has credentials in it")
  })
})
