/**
 * What a bus holds on to: nothing of what is over.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { busOf, FakeDriver, refused } from "../support/fakeDriver.ts"
import { usedHeap } from "../support/memory.ts"

/** Bytes the heap has grown by doing something many times, after doing it often enough to be warm. */
const growth = Effect.fnUntraced(function* <E>(times: number, effect: Effect.Effect<unknown, E>) {
  const many = Effect.forEach(Array.from({ length: times }), () => effect, { discard: true })
  yield* many
  const before = yield* Effect.promise(usedHeap)
  yield* many
  return (yield* Effect.promise(usedHeap)) - before
})

const megabyte = 2 ** 20

describe("a bus holds nothing of", () => {
  it.effect("publishes that were answered", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver({ echo: false })
      driver.onPublish = () => Effect.yieldNow
      const bus = yield* busOf(driver)
      const publish = Effect.andThen(
        bus.publish("a", "1"),
        Effect.sync(() => (driver.published.length = 0))
      )
      assert.isBelow(yield* growth(30_000, publish), 2 * megabyte)
    })
  )

  it.effect("listeners that have left", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      yield* bus.subscribe("a", () => {})
      assert.isBelow(yield* growth(20_000, Effect.scoped(bus.subscribe("a", () => {}))), 2 * megabyte)
    })
  )

  it.effect("listeners that were refused, though their scope goes on", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      driver.onSubscribe = () => Effect.fail(refused)
      const scope = yield* Effect.scope
      const refusal = Effect.andThen(
        Scope.provide(Effect.exit(bus.subscribe("a", () => {})), scope),
        Effect.sync(() => (driver.commands.length = 0))
      )
      assert.isBelow(yield* growth(5_000, refusal), 2 * megabyte)
    })
  )

  it.effect("topics nobody listens to any more", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      let topics = 0
      const comeAndGo = Effect.suspend(() => Effect.scoped(bus.subscribe(`t${topics++}`, () => {})))
      const some = Effect.gen(function* () {
        yield* Effect.forEach(Array.from({ length: 1_000 }), () => comeAndGo, {
          concurrency: "unbounded",
          discard: true
        })
        yield* TestClock.adjust(1_100)
        driver.commands.length = 0
        assert.deepStrictEqual(driver.now.topics, [])
      })
      assert.isBelow(yield* growth(10, some), 2 * megabyte)
    })
  )

  it.effect("those who read its health and went", () =>
    Effect.gen(function* () {
      const bus = yield* busOf(new FakeDriver())
      assert.isBelow(yield* growth(15_000, Stream.runHead(bus.healthChanges)), megabyte)
    })
  )

  it.effect("connections that were lost", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      yield* busOf(driver)
      const reconnect = Effect.gen(function* () {
        driver.now.drop()
        yield* TestClock.adjust(6_000)
        driver.connections.splice(0, driver.connections.length - 1)
      })
      assert.isBelow(yield* growth(300, reconnect), 2 * megabyte)
    })
  )
})
