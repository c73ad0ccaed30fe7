/**
 * Publishing over a bus: in order, answered in time, never kept for later.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import { busOf, Ear, FakeDriver, Gate, refused, unreachable } from "../support/fakeDriver.ts"

const reasonOf = <A>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

describe("publishing", () => {
  it.effect("what is published concurrently is handed over in the order in which it begins", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      driver.onPublish = (_, payload) => Effect.sleep(Number(payload) % 3)
      const bus = yield* busOf(driver)
      const numbers = Array.from({ length: 5_000 }, (_, n) => `${n}`)
      const publishing = yield* Effect.forkChild(
        Effect.forEach(numbers, (n) => bus.publish("a", n), { concurrency: "unbounded", discard: true })
      )
      yield* TestClock.adjust(10)
      yield* Fiber.join(publishing)
      assert.deepStrictEqual(
        driver.published,
        numbers.map((n) => `a ${n}`)
      )
    })
  )

  it.effect("how large a payload may be is what the broker says now, whatever it said at the start", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver({ maxPayload: 100 })
      const bus = yield* busOf(driver)
      assert.strictEqual(bus.maxPayload, 100)
      driver.maxPayload = 12
      assert.strictEqual(bus.maxPayload, 12)
      assert.strictEqual(yield* reasonOf(bus.publish("a", "x".repeat(13))), "PayloadTooLarge")
    })
  )

  it.effect("a payload is counted in bytes of UTF-8, and one that is too large costs nothing else", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver({ maxPayload: 12 })
      const bus = yield* busOf(driver)
      for (const payload of ["x".repeat(12), "é".repeat(6), "€".repeat(4), "😀".repeat(3), ""])
        yield* bus.publish("a", payload)
      for (const payload of ["x".repeat(13), "é".repeat(6) + "x", "€".repeat(4) + "x", "😀".repeat(3) + "x"]) {
        const error = yield* Effect.flip(bus.publish("a", payload))
        assert.deepInclude(error.reason, { _tag: "PayloadTooLarge", bytes: 13, maxPayload: 12 })
      }
      assert.strictEqual(driver.published.length, 5)
    })
  )

  it.effect("TRAP6: publishing fails without a connection, on a closed bus, and when the broker refuses it", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* Effect.scoped(
        Effect.gen(function* () {
          const open = yield* busOf(driver)
          driver.onPublish = () => Effect.fail(refused)
          assert.strictEqual(yield* reasonOf(open.publish("a", "1")), "BusRefused")
          driver.onDial = () => Effect.fail(unreachable)
          driver.now.drop()
          yield* TestClock.adjust(1)
          assert.strictEqual(yield* reasonOf(open.publish("a", "2")), "BusUnreachable")
          return open
        })
      )
      assert.strictEqual(yield* reasonOf(bus.publish("a", "3")), "BusUnreachable")
      assert.strictEqual(yield* reasonOf(Effect.scoped(bus.subscribe("a", () => {}))), "BusUnreachable")
      assert.deepStrictEqual(driver.published, ["a 1"])
    })
  )

  it.effect("fails after 5 seconds without an answer, and at once when the connection is lost", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      driver.onPublish = () => Effect.uninterruptible(Effect.never)
      const first = yield* Effect.forkChild(bus.publish("a", "1"))
      yield* TestClock.adjust(4_999)
      assert.isUndefined(first.pollUnsafe())
      const second = yield* Effect.forkChild(bus.publish("a", "2"))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* reasonOf(Fiber.join(first)), "BusUnreachable")
      assert.isUndefined(second.pollUnsafe())
      driver.now.drop()
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* reasonOf(Fiber.join(second)), "BusUnreachable")
    })
  )

  it.effect("is interrupted at once, and takes the driver's part with it", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      let ended = 0
      driver.onPublish = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended++))
      const publishing = yield* Effect.forkChild(bus.publish("a", "1"), { startImmediately: true })
      yield* Fiber.interrupt(publishing)
      assert.strictEqual(ended, 1)
    })
  )

  it.effect("an adapter that dies is a defect of the publish, and the bus goes on", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      for (const died of [() => Effect.die("a bug"), () => assert.fail("a bug")]) {
        driver.onPublish = died
        const exit = yield* Effect.exit(bus.publish("a", "1"))
        assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons.every(({ _tag }) => _tag === "Die"))
      }
      driver.onPublish = () => Effect.void
      yield* bus.publish("a", "2")
    })
  )

  it.effect("BUG15: while the broker is gone nothing is kept, and while it stands still no more than 8 MiB", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver({ maxPayload: 2 ** 20 })
      const gate = new Gate()
      const bus = yield* busOf(driver)
      driver.onPublish = () => gate.wait
      const payload = "x".repeat(2 ** 20)
      const fibers = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.forkChild(Effect.exit(bus.publish("a", payload)), { startImmediately: true })
      )
      assert.strictEqual(gate.waiting, 8)
      gate.answer()
      yield* TestClock.adjust(1)
      yield* Effect.forkChild(Effect.exit(bus.publish("a", payload)), { startImmediately: true })
      assert.deepStrictEqual([gate.waiting, fibers.filter((fiber) => fiber.pollUnsafe() !== undefined).length], [8, 3])

      const ear = new Ear()
      yield* bus.subscribe("b", ear.onEvent)
      driver.onDial = () => Effect.fail(unreachable)
      driver.now.drop()
      yield* TestClock.adjust("10 minutes")
      for (let n = 0; n < 1_000; n++) assert.strictEqual(yield* reasonOf(bus.publish("b", "old")), "BusUnreachable")
      driver.onDial = () => Effect.void
      driver.onPublish = () => Effect.void
      yield* TestClock.adjust(3_000)
      yield* bus.publish("b", "new")
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)", "new"])
    })
  )

  it.effect("failures are counted by kind of bus", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      driver.onPublish = () => Effect.fail(refused)
      yield* Effect.exit(bus.publish("a", "1"))
      yield* Effect.exit(bus.publish("", "1"))
      const metrics = yield* Metric.snapshot
      const failures = metrics.filter(({ id }) => id === "effect_rooms_bus_publish_failures")
      assert.deepStrictEqual(
        failures.map(({ attributes, state }) => [attributes, (state as Metric.CounterState<number>).count]),
        [[{ bus: "fake" }, 2]]
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
