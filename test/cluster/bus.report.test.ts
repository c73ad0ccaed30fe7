/**
 * What a bus says of itself: logs once for each change, metrics by kind of bus, and no listener that throws costs others.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Bus from "../../src/cluster/internal/bus/bus.ts"
import { busOf, Ear, FakeDriver, refused, unreachable } from "../support/fakeDriver.ts"

/** Runs with log entries collected, as level and text. */
const withLog = <E, R>(use: (log: ReadonlyArray<string>) => Effect.Effect<void, E, R>) =>
  Effect.suspend(() => {
    const log: Array<string> = []
    const collect = Logger.make(({ logLevel, message }) => {
      log.push(`${logLevel} ${Array.isArray(message) ? message[0] : String(message)}`)
    })
    return use(log).pipe(
      Effect.provide(Logger.layer([collect])),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })

const works = "Info the event bus (fake) works"
const fails = (why: string) => `Warn the event bus (fake) does not work, nodes do not hear each other: ${why}`

/** Metrics of buses by name; every one of them is labelled by kind only. */
const metricsNow = Effect.map(Metric.snapshot, (all) => {
  const values: Record<string, number> = {}
  for (const { attributes, id, state } of all) {
    if (!id.startsWith("effect_rooms_bus_")) continue
    assert.deepStrictEqual(attributes, { bus: "fake" })
    const { count, value } = state as { readonly count?: number; readonly value?: number }
    values[id.slice("effect_rooms_bus_".length)] = count ?? value ?? Number.NaN
  }
  return values
})

describe("what a bus reports", () => {
  it.effect("each change of its state once, however often it tries", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        yield* busOf(driver)
        assert.deepStrictEqual(log, [works])
        assert.deepInclude(yield* metricsNow, { up: 1 })
        driver.onDial = () => Effect.fail(unreachable)
        driver.now.drop()
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(log, [works, fails("connection reset")])
        assert.deepInclude(yield* metricsNow, { up: 0 })
        driver.onDial = () => Effect.void
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(log, [works, fails("connection reset"), works])
        assert.deepInclude(yield* metricsNow, { up: 1, reconnects: 1 })
      })
    )
  )

  it.effect("that it begins without a broker, and when there is one", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        driver.onDial = () => Effect.fail(unreachable)
        const making = yield* Effect.forkChild(Bus.make(driver))
        yield* TestClock.adjust(2_999)
        assert.deepStrictEqual(log, [])
        yield* TestClock.adjust(1)
        yield* Fiber.join(making)
        assert.deepStrictEqual(log, [fails("connection reset")])
        driver.onDial = () => Effect.void
        yield* TestClock.adjust(3_000)
        assert.deepStrictEqual(log, [fails("connection reset"), works])
        assert.isUndefined((yield* metricsNow).reconnects)
      })
    )
  )

  it.effect("nothing when it is closed, other than that it is not up", () =>
    withLog((log) =>
      Effect.gen(function* () {
        yield* Effect.scoped(busOf(new FakeDriver()))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(log, [works])
        assert.deepInclude(yield* metricsNow, { up: 0 })
      })
    )
  )

  it.effect("a topic that could not be restored, once, and each time in metrics", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        yield* bus.subscribe("a", () => {})
        driver.onSubscribe = (topics) => (topics.includes("a") ? Effect.fail(refused) : Effect.void)
        driver.now.drop()
        yield* TestClock.adjust(14_000)
        assert.deepStrictEqual(
          log.filter((line) => line.includes("refuses")),
          ['Warn the event bus (fake) refuses "a", which has listeners']
        )
        assert.deepInclude(yield* metricsNow, { refusals: 3 })
      })
    )
  )

  it.effect("topics the broker does not let go of, which nobody hears any more", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        driver.onUnsubscribe = () => Effect.fail(refused)
        const ear = new Ear()
        yield* Effect.scoped(bus.subscribe("a", ear.onEvent))
        yield* TestClock.adjust(1_100)
        driver.now.emit("a", "1")
        assert.deepStrictEqual(log.slice(1), ["Warn the event bus (fake) refuses to unsubscribe"])
        yield* bus.subscribe("a", ear.onEvent)
        driver.now.emit("a", "2")
        assert.deepStrictEqual(ear.heard, ["2"])
        assert.deepInclude(yield* metricsNow, { refusals: 1 })
        driver.onUnsubscribe = () => Effect.void
      })
    )
  )

  it.effect("a connection that does not close", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        yield* busOf(driver)
        driver.onClose = () => Effect.never
        driver.now.drop()
        yield* TestClock.adjust(3_000)
        driver.onClose = () => Effect.void
        assert.include(log, "Warn a connection to the event bus (fake) that was given up does not close")
      })
    )
  )

  it.effect("an adapter that dies, with its cause", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        driver.onSubscribe = () => Effect.die("a bug")
        const ear = new Ear()
        yield* bus.subscribe("a", ear.onEvent)
        assert.deepStrictEqual(ear.heard, ["(unreachable)"])
        driver.onSubscribe = () => Effect.void
        driver.onDial = () => Effect.die("a bug")
        yield* TestClock.adjust(1_000)
        driver.onDial = () => Effect.void
        const died = log.filter((line) => line === "Error the adapter of the event bus (fake) died")
        assert.isAtLeast(died.length, 2)
        yield* TestClock.adjust(5_000)
        assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)"])
      })
    )
  )
})

const throws = () => {
  throw new Error("a bug")
}

describe("listeners that throw", () => {
  it.effect("cost the others nothing, and are counted; the log has one entry a second", () =>
    withLog((log) =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        const ear = new Ear()
        yield* bus.subscribe("a", throws)
        yield* bus.subscribe("a", ear.onEvent)
        for (let n = 0; n < 50; n++) {
          driver.now.emit("a", "1")
          yield* TestClock.adjust(100)
        }
        assert.strictEqual(ear.heard.length, 50)
        assert.deepInclude(yield* metricsNow, { listener_failures: 50 })
        assert.deepStrictEqual(
          log.filter((line) => line.startsWith("Error")),
          [
            'Error a listener of "a" on the event bus (fake) threw',
            ...Array.from(
              { length: 4 },
              () => 'Error a listener of "a" on the event bus (fake) threw (10 times since the last entry)'
            )
          ]
        )
      })
    )
  )

  it.effect("do not keep gaps from the others, nor the bus from going on", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const scope = yield* Scope.make()
      const bus = yield* Scope.provide(busOf(driver), scope)
      const ear = new Ear()
      yield* bus.subscribe("a", throws)
      yield* bus.subscribe("a", ear.onEvent)
      driver.now.drop()
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(ear.heard.slice(2), ["(unreachable)"])
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
