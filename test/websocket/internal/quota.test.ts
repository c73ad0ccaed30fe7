import { assert, describe, it } from "@effect/vitest"
import { Limits } from "effect-rooms/websocket"
import { Quota } from "../../../src/websocket/internal/quota.ts"

const make = (limits: Partial<Limits.Limits>) => {
  let now = 0
  const quota = new Quota({ ...Limits.trusted, ...limits }, () => now)
  return { quota, at: (millis: number) => (now = millis) }
}

describe("the quota of a connection", () => {
  it("grants joins at a rate after a burst", () => {
    const { at, quota } = make({ joinsPerSecond: 10, joinBurst: 3 })
    const answers = Array.from({ length: 4 }, () => quota.join())
    assert.deepStrictEqual(answers, ["granted", "granted", "granted", "tooOften"])
    at(100)
    assert.deepStrictEqual([quota.join(), quota.join()], ["granted", "tooOften"])
  })

  it("grants as many rooms as it may be in, and again what was given back", () => {
    const { quota } = make({ roomsPerConnection: 2 })
    assert.deepStrictEqual([quota.join(), quota.join(), quota.join()], ["granted", "granted", "tooMany"])
    // As whoever keeps it for later calls it.
    const { leave } = quota
    leave()
    assert.deepStrictEqual([quota.join(), quota.join()], ["granted", "tooMany"])
  })

  it("a join that is refused for its rate holds no place", () => {
    const { at, quota } = make({ joinsPerSecond: 10, joinBurst: 1, roomsPerConnection: 2 })
    assert.deepStrictEqual([quota.join(), quota.join(), quota.join()], ["granted", "tooOften", "tooOften"])
    at(100)
    assert.strictEqual(quota.join(), "granted")
  })

  it("is exhausted by what goes out because of it, until that is made up for", () => {
    const { at, quota } = make({ fanOutBytesPerSecond: 1000 })
    assert.isFalse(quota.exhausted)
    quota.charge(1000)
    assert.isFalse(quota.exhausted)
    quota.charge(500)
    assert.isTrue(quota.exhausted)
    at(499)
    assert.isTrue(quota.exhausted)
    at(500)
    assert.isFalse(quota.exhausted)
  })

  it("without bounds is never exhausted", () => {
    const { quota } = make({})
    quota.charge(1e12)
    assert.isFalse(quota.exhausted)
  })
})
