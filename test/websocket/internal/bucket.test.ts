import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { Bucket } from "../../../src/websocket/internal/bucket.ts"

describe("a token bucket", () => {
  it("gives a burst at once, and nothing more in the same moment", () => {
    const bucket = new Bucket(10, 3, 0)
    assert.deepStrictEqual(
      [1, 1, 1, 1].map((cost) => bucket.take(cost, 0)),
      [true, true, true, false]
    )
  })

  it("fills with its rate up to its burst", () => {
    const bucket = new Bucket(10, 3, 0)
    for (let i = 0; i < 3; i++) bucket.take(1, 0)
    assert.isFalse(bucket.take(1, 99))
    assert.isTrue(bucket.take(1, 100))
    assert.isFalse(bucket.take(1, 100))
    assert.deepStrictEqual(
      [1, 1, 1, 1].map((cost) => bucket.take(cost, 60_000)),
      [true, true, true, false]
    )
  })

  it("lets what costs more than a burst pass when it is full", () => {
    const bucket = new Bucket(10, 3, 0)
    assert.isTrue(bucket.take(100, 0))
    assert.isFalse(bucket.take(1, 0))
    assert.isFalse(bucket.take(100, 299))
    assert.isTrue(bucket.take(100, 300))
  })

  it("bounds nothing without a bound", () => {
    const bucket = new Bucket(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0)
    for (let i = 0; i < 1000; i++) assert.isTrue(bucket.take(1e9, 0))
    bucket.charge(1e9, 0)
    assert.isTrue(bucket.isFull(0))
    const withoutRate = new Bucket(Number.POSITIVE_INFINITY, 3, 0)
    for (let i = 0; i < 10; i++) assert.isTrue(withoutRate.take(1, 0))
  })

  it("takes on debts, and gives nothing before they are made up for", () => {
    const bucket = new Bucket(10, 3, 0)
    bucket.charge(13, 0)
    assert.isFalse(bucket.take(0, 999))
    assert.isTrue(bucket.take(0, 1000))
    assert.isFalse(bucket.take(1, 1000))
    assert.isTrue(bucket.take(1, 1100))
  })

  it("is full as long as nothing was taken, and again when that is made up for", () => {
    const bucket = new Bucket(10, 3, 0)
    assert.isTrue(bucket.isFull(0))
    bucket.take(1, 0)
    assert.isFalse(bucket.isFull(99))
    assert.isTrue(bucket.isFull(100))
  })

  it("gives nothing for time that runs backwards", () => {
    const bucket = new Bucket(10, 3, 1000)
    for (let i = 0; i < 3; i++) bucket.take(1, 1000)
    assert.isFalse(bucket.take(1, 0))
    assert.isFalse(bucket.take(1, 1099))
    assert.isTrue(bucket.take(1, 1100))
  })

  const Takes = Schema.Array(
    Schema.Struct({ after: Schema.Literals([0, 1, 50, 400]), cost: Schema.Literals([1, 2, 5]) })
  )
  it.prop("never gives more than a burst and what the rate has brought since", [Takes], ([takes]) => {
    const bucket = new Bucket(10, 5, 0)
    let now = 0
    let taken = 0
    for (const { after, cost } of takes) {
      now += after
      if (bucket.take(cost, now)) taken += cost
      assert.isAtMost(taken, 5 + (now * 10) / 1000 + 1e-9)
    }
  })
})
