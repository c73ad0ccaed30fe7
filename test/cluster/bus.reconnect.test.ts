/**
 * How a bus connects, and connects again: for ever, not too often, and each time with nothing of the time before.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Bus from "../../src/cluster/internal/bus/bus.ts"
import { backoff } from "../../src/cluster/internal/bus/options.ts"
import { busOf, Ear, FakeDriver, refused, unreachable } from "../support/fakeDriver.ts"

/** Dials on, whoever interrupts it. */
class StubbornDriver extends FakeDriver {
  override connect(...args: Parameters<FakeDriver["connect"]>): ReturnType<FakeDriver["connect"]> {
    return Effect.uninterruptible(super.connect(...args))
  }
}

const dead = () => Effect.fail(unreachable)

const bounds = (failures: number) => [backoff(failures, 0), backoff(failures, 1)]

describe("BUG1, BUG3, P12: reconnecting", () => {
  it.effect("BUG1: nothing ends the trying: refusals, dials that hang, adapters that die", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      const ways = [
        dead,
        () => Effect.fail(refused),
        () => Effect.never,
        () => Effect.uninterruptible(Effect.never),
        () => Effect.die(new Error("a bug")),
        () => {
          throw new Error("a bug before the effect")
        }
      ]
      let way = 0
      driver.onDial = () => ways[way++ % ways.length]!()
      driver.now.drop()
      yield* TestClock.adjust("5 minutes")
      assert.isAbove(driver.dials, 60)
      assert.strictEqual((yield* bus.health)._tag, "Degraded")
      driver.onDial = () => Effect.void
      yield* TestClock.adjust(7_000)
      assert.deepStrictEqual(driver.now.topics, ["a"])
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)"])
      assert.strictEqual((yield* bus.health)._tag, "Up")
    })
  )

  it.effect("BUG3: a broker that is gone is dialled at most 40 times a minute, and not by all nodes at once", () =>
    Effect.gen(function* () {
      const drivers = Array.from({ length: 20 }, () => new FakeDriver())
      const first: Array<number> = []
      for (const driver of drivers) {
        yield* busOf(driver)
        driver.onDial = () =>
          Effect.clockWith((clock) => {
            first.push(Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n))
            return Effect.fail(unreachable)
          })
      }
      for (const driver of drivers) driver.now.drop()
      yield* TestClock.adjust("1 minute")
      for (const { dials } of drivers) {
        assert.isAtMost(dials, 1 + 40)
        assert.isAtLeast(dials, 30)
      }
      assert.isAbove(new Set(first.slice(0, 20)).size, 5)
    }).pipe(Random.withSeed("reconnect"))
  )

  it("waits are any time below 50, 150, 450 and 1,350 ms, and then 1.7 to 2 s", () => {
    assert.deepStrictEqual([0, 1, 2, 3].map(bounds), [
      [0, 50],
      [0, 150],
      [0, 450],
      [0, 1_350]
    ])
    for (const failures of [4, 5, 100, 10_000]) assert.deepStrictEqual(bounds(failures), [1_700, 2_000])
  })

  it.effect(
    "P12: a connection that has worked for a while is replaced at once, one that flaps more and more slowly",
    () =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        yield* busOf(driver)
        for (let round = 0; round < 5; round++) {
          yield* TestClock.adjust(5_000)
          driver.now.drop()
          yield* TestClock.adjust(50)
          assert.strictEqual(driver.dials, round + 2)
        }
        driver.onSubscribe = () => Effect.fail(unreachable)
        const before = driver.dials
        driver.now.drop()
        yield* TestClock.adjust("1 minute")
        assert.isAtMost(driver.dials - before, 40)
      })
  )

  it.effect("BUG3: one that works for a second each time is replaced more and more slowly, too", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      for (let second = 0; second < 60; second++) {
        yield* TestClock.adjust(1_000)
        if ((yield* bus.health)._tag === "Up") driver.now.drop()
      }
      assert.isAtMost(driver.dials, 35)
      assert.isAtLeast(driver.dials, 15)
    })
  )

  it.effect("P12: what the broker has is subscribed within 2.5 s after it is back, each listener told once", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < 20; seed++) {
        yield* Effect.gen(function* () {
          const driver = new FakeDriver()
          const bus = yield* busOf(driver)
          const ears = [new Ear(), new Ear()]
          for (const ear of ears) yield* bus.subscribe("a", ear.onEvent)
          driver.onDial = dead
          driver.now.drop()
          yield* TestClock.adjust("10 minutes")
          driver.onDial = () => Effect.void
          yield* TestClock.adjust(2_000)
          driver.now.emit("a", "1")
          for (const { heard } of ears) assert.deepStrictEqual(heard, ["(unreachable)", "(reconnected)", "1"])
        }).pipe(Effect.scoped, Random.withSeed(seed))
      }
    })
  )

  it.effect("BUG5: 10,000 topics are back in commands of 512", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const names = Array.from({ length: 10_000 }, (_, n) => `t${n}`)
      yield* Effect.forEach(names, (name) => bus.subscribe(name, () => {}), { concurrency: "unbounded", discard: true })
      driver.commands.length = 0
      driver.now.drop()
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([driver.dials, driver.commands.length, driver.largest], [2, 20, 512])
      assert.strictEqual(driver.now.topics.length, 10_000)
      assert.deepStrictEqual(driver.broken, [])
    })
  )

  it.effect("BUG20: after 20 reconnects a message is heard once, and what old connections still say is not", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      for (let round = 0; round < 20; round++) {
        driver.now.drop()
        yield* TestClock.adjust(10_000)
      }
      assert.strictEqual(driver.connections.length, 21)
      ear.heard.length = 0
      for (const connection of driver.connections) {
        connection.live.add("a")
        connection.emit("a", "1")
      }
      assert.deepStrictEqual(ear.heard, ["1"])
      assert.deepStrictEqual(
        driver.connections.map(({ isOpen }) => isOpen),
        [...Array.from({ length: 20 }, () => false), true]
      )
    })
  )
})

describe("connections that are given up", () => {
  it.effect("one that does not close holds up neither the next one nor the end of the bus", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const scope = yield* Scope.make()
      const bus = yield* Scope.provide(busOf(driver), scope)
      driver.onClose = () => Effect.never
      driver.now.drop()
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([driver.dials, (yield* bus.health)._tag], [2, "Up"])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(2_000)
      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(
        driver.connections.map(({ isOpen }) => isOpen),
        [true, true]
      )
    })
  )

  it.effect("one that closes is awaited by the end of the bus", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const scope = yield* Scope.make()
      yield* Scope.provide(busOf(driver), scope)
      driver.onClose = () => Effect.sleep(500)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(499)
      assert.deepStrictEqual([closing.pollUnsafe(), driver.now.isOpen], [undefined, true])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([closing.pollUnsafe(), driver.now.isOpen], [Exit.void, false])
    })
  )

  it.effect("a dial that answers after its time leaves no connection behind", () =>
    Effect.gen(function* () {
      const driver = new StubbornDriver()
      driver.onDial = () => Effect.sleep(6_000)
      yield* Bus.make(driver, { startTimeout: 0 })
      yield* TestClock.adjust(5_500)
      assert.deepStrictEqual([driver.dials, driver.connections.length], [2, 0])
      driver.onDial = () => Effect.void
      yield* TestClock.adjust(10_000)
      // The first dial answers after 6 s, the third at once, the second at last.
      assert.deepStrictEqual(
        driver.connections.map(({ isOpen }) => isOpen),
        [false, true, false]
      )
    })
  )

  it.effect("a bus that is closed while it dials ends the dial", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      let interrupted = false
      driver.onDial = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
      yield* Effect.scoped(Bus.make(driver, { startTimeout: 0 }))
      assert.isTrue(interrupted)
    })
  )
})

describe("BUG14: the first connection", () => {
  it.effect("a broker that is gone makes the bus wait 3 seconds and begin without", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      driver.onDial = dead
      const making = yield* Effect.forkChild(Bus.make(driver))
      yield* TestClock.adjust(2_999)
      assert.isUndefined(making.pollUnsafe())
      yield* TestClock.adjust(1)
      const bus = yield* Fiber.join(making)
      assert.deepStrictEqual(yield* bus.health, { _tag: "Degraded", forMillis: 3_000, why: "connection reset" })
    })
  )

  it.effect("a broker that comes meanwhile lets it begin at once", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      driver.onDial = dead
      const making = yield* Effect.forkChild(Bus.make(driver))
      yield* TestClock.adjust(500)
      driver.onDial = () => Effect.void
      // The longest wait between two dials.
      yield* TestClock.adjust(2_000)
      assert.isDefined(making.pollUnsafe())
    })
  )

  it.effect("times that are none are a defect", () =>
    Effect.gen(function* () {
      for (const options of [{ releaseAfter: -1 }, { probeInterval: 0 }, { answerTimeout: "Infinity" as const }]) {
        const exit = yield* Effect.exit(Effect.scoped(Bus.make(new FakeDriver(), options)))
        assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("RangeError"), String(exit))
      }
    })
  )
})
