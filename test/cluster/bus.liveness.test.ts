/**
 * Whether a bus knows that it works: probes, health, and processes that were held up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Bus from "../../src/cluster/internal/bus/bus.ts"
import * as Liveness from "../../src/cluster/internal/bus/liveness.ts"
import { busOf, Ear, FakeDriver, Gate, refused, unreachable } from "../support/fakeDriver.ts"
import { StallClock } from "../support/stallClock.ts"

const tagOf = (bus: { readonly health: Effect.Effect<{ readonly _tag: string }> }) =>
  Effect.map(bus.health, ({ _tag }) => _tag)

const isProbe = (topics: ReadonlyArray<string>) => topics.some((topic) => topic.startsWith(Bus.probePrefix))

describe("K7, BUG18: liveness", () => {
  it.effect("K7: a broker that stands still is noticed within 3 s of its last sign of life, whenever it stopped", () =>
    Effect.gen(function* () {
      for (const offset of [0, 1, 500, 998, 999]) {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        const ear = new Ear()
        yield* bus.subscribe("a", ear.onEvent)
        yield* TestClock.adjust(10_000 + offset)
        driver.onProbe = () => Effect.never
        yield* TestClock.adjust(1_999)
        assert.strictEqual(yield* tagOf(bus), "Up")
        yield* TestClock.adjust(1_001)
        const health = yield* bus.health
        assert.isTrue(health._tag === "Degraded" && health.forMillis >= 3_000, JSON.stringify(health))
        assert.deepStrictEqual(ear.heard.slice(0, 1), ["(unreachable)"])
      }
    })
  )

  it.effect("BUG18: a connection that takes everything and delivers nothing is given up", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const first = driver.now
      // Deaf: publishes are taken, and nothing comes back.
      first.live.clear()
      yield* TestClock.adjust(3_100)
      assert.isFalse(first.isOpen)
      assert.strictEqual(yield* tagOf(bus), "Up")
      assert.strictEqual(driver.dials, 2)
    })
  )

  it.effect("a broker whose probes take 2.9 s is slow, not gone", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      driver.onProbe = () => Effect.sleep(2_900)
      const bus = yield* busOf(driver)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* tagOf(bus), driver.dials], ["Up", 1])
    })
  )

  it.effect("is up when a probe of the present connection has come back, and not before", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const [probes] = Array.from(driver.now.live)
      driver.onProbe = () => Effect.never
      driver.now.drop()
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([driver.dials, yield* tagOf(bus)], [2, "Degraded"])
      driver.now.emit(probes!, "1")
      assert.strictEqual(yield* tagOf(bus), "Degraded")
      driver.now.emit(probes!, "2")
      assert.strictEqual(yield* tagOf(bus), "Up")
    })
  )

  it.effect("where nothing comes back the health tells whether publishes succeed", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver({ echo: false })
      const bus = yield* busOf(driver)
      assert.strictEqual(yield* tagOf(bus), "Up")
      assert.deepStrictEqual(driver.now.live.size, 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* tagOf(bus), driver.dials], ["Up", 1])
      driver.onProbe = () => Effect.fail(unreachable)
      yield* TestClock.adjust(3_000)
      assert.strictEqual(yield* tagOf(bus), "Degraded")
    })
  )

  it.effect("a bus that takes no probes is kept and used, and never called up", () =>
    Effect.gen(function* () {
      for (const how of ["subscribe", "publish"] as const) {
        const driver = new FakeDriver()
        if (how === "publish") driver.onProbe = () => Effect.fail(refused)
        else driver.onSubscribe = (topics) => (isProbe(topics) ? Effect.fail(refused) : Effect.void)
        const bus = yield* busOf(driver)
        const ear = new Ear()
        yield* bus.subscribe("a", ear.onEvent)
        yield* TestClock.adjust("1 minute")
        yield* bus.publish("a", "1")
        assert.deepStrictEqual([driver.dials, ear.heard], [1, ["1"]])
        const health = yield* bus.health
        assert.isTrue(health._tag === "Degraded" && health.why.includes("no probes"), JSON.stringify(health))
        driver.onProbe = () => Effect.void
        driver.onSubscribe = () => Effect.void
        yield* TestClock.adjust(6_000)
        assert.strictEqual(yield* tagOf(bus), "Up")
      }
    })
  )
})

const at = (answeredAt: number, probeAt: number) => ({ answeredAt, probeAt, refused: undefined })

describe("when a connection is probed and given up", () => {
  const pace = { interval: 1_000, patience: 3_000 }

  it("a probe goes out at once, and one each interval", () => {
    const [next, todo, wait] = Liveness.step(Liveness.initial(10), 10, pace)
    assert.deepStrictEqual([next.probeAt, todo, wait], [1_010, "probe", 1_000])
    assert.deepStrictEqual(Liveness.step(next, 400, pace), [next, "nothing", 610])
    assert.strictEqual(Liveness.step(next, 1_010, pace)[1], "probe")
  })

  it("is looked at when patience ends, also between probes", () => {
    assert.deepStrictEqual(Liveness.step(at(500, 4_000), 3_300, pace).slice(1), ["nothing", 200])
    assert.deepStrictEqual(Liveness.step(at(500, 3_000), 3_000, pace).slice(1), ["probe", 500])
    assert.deepStrictEqual(Liveness.step(at(500, 4_000), 3_500, pace).slice(1), ["giveUp", 0])
    assert.strictEqual(Liveness.step(Liveness.answered(at(500, 4_000), 3_400), 3_500, pace)[1], "nothing")
  })

  it("is not given up where probes are refused", () => {
    const state = Liveness.refused(at(0, 9_000), "no")
    assert.deepStrictEqual(Liveness.step(state, 8_500, pace).slice(1), ["nothing", 500])
    assert.strictEqual(Liveness.step(Liveness.answered(state, 5_600), 8_599, pace)[1], "nothing")
    assert.strictEqual(Liveness.step(Liveness.answered(state, 5_600), 8_600, pace)[1], "giveUp")
  })
})

describe("health", () => {
  it.effect("changes are emitted with what is at first, once for each turn, and end with the bus", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const seen: Array<string> = []
      const reading = yield* Effect.scoped(
        Effect.gen(function* () {
          const bus = yield* busOf(driver)
          const fiber = yield* Effect.forkDetach(
            Stream.runForEach(bus.healthChanges, ({ _tag }) => Effect.sync(() => seen.push(_tag))),
            { startImmediately: true }
          )
          yield* TestClock.adjust(5_000)
          driver.onDial = () => Effect.fail(unreachable)
          driver.now.drop()
          yield* TestClock.adjust("1 minute")
          driver.onDial = () => Effect.void
          yield* TestClock.adjust(5_000)
          return fiber
        })
      )
      yield* Fiber.join(reading)
      assert.deepStrictEqual(seen, ["Up", "Degraded", "Up", "Degraded"])
    })
  )

  it.effect("of a closed bus is degraded, and what it emits ends at once", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* Effect.scoped(busOf(driver))
      assert.strictEqual(yield* tagOf(bus), "Degraded")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(bus.healthChanges)).map(({ _tag }) => _tag),
        ["Degraded"]
      )
    })
  )

  it.effect("tells for how long, in time that only moves forward", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      yield* TestClock.adjust(9_999)
      driver.onDial = () => Effect.fail(unreachable)
      driver.now.drop()
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* bus.health, { _tag: "Degraded", forMillis: 500, why: "connection reset" })
    })
  )
})

const onClock = <E>(use: (clock: StallClock, driver: FakeDriver) => Effect.Effect<void, E, Scope.Scope>) =>
  Effect.suspend(() => {
    const clock = new StallClock()
    return Effect.scoped(use(clock, new FakeDriver())).pipe(Effect.provideService(Clock.Clock, clock))
  })

describe("a process that was held up", () => {
  it.live("keeps a connection that works, however long it was held up and whatever woke first", () =>
    onClock((clock, driver) =>
      Effect.gen(function* () {
        const bus = yield* Bus.make(driver)
        yield* clock.pass(5_000)
        const [probes] = Array.from(driver.now.live)
        for (const millis of [1_500, 2_990, 15_000, 3_600_000]) {
          for (const readsFirst of [true, false]) {
            clock.stall(millis)
            if (readsFirst) driver.now.emit(probes!, "1")
            yield* clock.pass(4_000)
            assert.deepStrictEqual([driver.dials, yield* tagOf(bus)], [1, "Up"], `${millis} ms`)
          }
        }
      })
    )
  )

  it.live("gives up what was lost meanwhile, once, as soon as ever", () =>
    onClock((clock, driver) =>
      Effect.gen(function* () {
        const bus = yield* Bus.make(driver)
        for (const readsFirst of [true, false]) {
          yield* clock.pass(5_000)
          const dials = driver.dials
          const [probes] = Array.from(driver.now.live)
          clock.stall(3_600_000)
          // What had arrived before is read, and nothing after it.
          if (readsFirst) driver.now.emit(probes!, `${dials}`)
          driver.onProbe = () => Effect.never
          yield* clock.pass(4_500)
          driver.onProbe = () => Effect.void
          yield* clock.pass(4_500)
          assert.deepStrictEqual([driver.dials - dials, yield* tagOf(bus)], [1, "Up"])
        }
      })
    )
  )

  it.live("lets publishes that are answered after it succeed", () =>
    onClock((clock, driver) =>
      Effect.gen(function* () {
        const bus = yield* Bus.make(driver)
        yield* clock.pass(1_000)
        const gate = new Gate()
        driver.onPublish = () => gate.wait
        const publishing = yield* Effect.forkChild(bus.publish("a", "1"), { startImmediately: true })
        clock.stall(60_000)
        yield* clock.pass(500)
        gate.answer()
        yield* Fiber.join(publishing)
      })
    )
  )
})
