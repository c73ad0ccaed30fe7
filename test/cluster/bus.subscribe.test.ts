/**
 * Subscriptions of a bus over a driver whose answers come when the test lets them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { busOf, Ear, FakeDriver, Gate, refused, unreachable } from "../support/fakeDriver.ts"

/** Everything that is caused has happened. */
const settle = TestClock.adjust(1)

/** A listener in a scope of its own. */
const listen = Effect.fnUntraced(function* (bus: { subscribe: Subscribe }, topic: string) {
  const scope = yield* Scope.make()
  const ear = new Ear()
  yield* Scope.provide(bus.subscribe(topic, ear.onEvent), scope)
  return { ear, leave: Scope.close(scope, Exit.void) }
})
type Subscribe = Effect.Success<ReturnType<typeof busOf>>["subscribe"]

describe("subscriptions", () => {
  it.effect("several listeners of a topic are one subscription, and are called in order of subscription", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const order: Array<string> = []
      for (const name of ["first", "second", "third"]) yield* bus.subscribe("a", () => order.push(name))
      driver.now.emit("a", "hello")
      assert.deepStrictEqual(order, ["first", "second", "third"])
      assert.deepStrictEqual(driver.commands, ["+a"])
    })
  )

  it.effect("what is subscribed in one turn is one command, of 512 topics at most", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const names = Array.from({ length: 1_300 }, (_, n) => `t${n}`)
      yield* Effect.forEach(names, (name) => bus.subscribe(name, () => {}), { concurrency: "unbounded" })
      assert.strictEqual(driver.largest, 512)
      assert.strictEqual(driver.commands.length, 3)
      assert.deepStrictEqual(driver.now.topics, names.toSorted())
    })
  )

  it.effect("no more than eight commands are under way; what comes meanwhile goes together", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      driver.onSubscribe = () => gate.wait
      for (let n = 0; n < 20; n++) {
        yield* Effect.forkChild(bus.subscribe(`t${n}`, () => {}))
        yield* settle
      }
      assert.strictEqual(gate.waiting, 8)
      gate.answer()
      yield* settle
      assert.deepStrictEqual(driver.commands.at(-1), "+" + Array.from({ length: 12 }, (_, n) => `t${n + 8}`).join(","))
      assert.strictEqual(driver.commands.length, 9)
    })
  )

  it.effect("nothing arrives before subscribe has succeeded, and nothing after the scope has closed", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      yield* listen(bus, "a")
      driver.onSubscribe = () => gate.wait
      const { ear, leave } = yield* listen(bus, "a")
      driver.now.emit("a", "1")
      yield* leave
      driver.now.emit("a", "2")
      assert.deepStrictEqual(ear.heard, ["1"])

      const early = new Ear()
      yield* Effect.forkChild(bus.subscribe("b", early.onEvent))
      yield* settle
      driver.now.live.add("b")
      driver.now.emit("b", "too early")
      gate.answer()
      yield* settle
      driver.now.emit("b", "in time")
      assert.deepStrictEqual(early.heard, ["in time"])
    })
  )

  it.effect("a listener that leaves while a message is delivered hears no more of it, and the others do", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const scope = yield* Scope.make()
      const [second, third] = [new Ear(), new Ear()]
      yield* bus.subscribe("a", () => Effect.runSync(Scope.close(scope, Exit.void)))
      yield* Scope.provide(bus.subscribe("a", second.onEvent), scope)
      yield* bus.subscribe("a", third.onEvent)
      driver.now.emit("a", "1")
      assert.deepStrictEqual([second.heard, third.heard], [[], ["1"]])
    })
  )

  it.effect(
    "a topic stays for a second after its last listener, so that leaving and coming costs the broker nothing",
    () =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        for (let n = 0; n < 5; n++) {
          const { leave } = yield* listen(bus, "a")
          yield* leave
          yield* TestClock.adjust(900)
        }
        assert.deepStrictEqual(driver.commands, ["+a"])
        yield* TestClock.adjust(100)
        assert.deepStrictEqual(driver.commands, ["+a", "-a"])
        assert.deepStrictEqual(driver.now.topics, [])
      })
  )

  it.effect("of topics without listeners no more than 4,096 stay; above that the oldest go at once", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const scope = yield* Scope.make()
      const names = Array.from({ length: 4_100 }, (_, n) => `t${n}`)
      const subscribe = (name: string) =>
        Scope.provide(
          bus.subscribe(name, () => {}),
          scope
        )
      yield* Effect.forEach(names, subscribe, { concurrency: "unbounded", discard: true })
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual(driver.now.topics.length, 4_096)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(driver.now.topics, [])
      assert.deepStrictEqual(driver.broken, [])
    })
  )

  it.effect("a name that is none is refused before the broker is asked", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      for (const topic of ["", "x".repeat(201)]) {
        const error = yield* Effect.flip(bus.subscribe(topic, () => {}))
        assert.strictEqual(error.reason._tag, "BusRefused")
      }
      yield* bus.subscribe("x".repeat(200), () => {})
      assert.strictEqual(driver.commands.length, 1)
    })
  )
})

describe("BUG7, BUG16, BUG17: subscribe × unsubscribe × loss", () => {
  it.effect("BUG7: unsubscribing while the subscribe is under way leaves no subscription", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      driver.onSubscribe = () => gate.wait
      const subscribing = yield* Effect.forkChild(Effect.scoped(bus.subscribe("a", () => {})))
      yield* settle
      yield* Fiber.interrupt(subscribing)
      assert.deepStrictEqual(driver.commands, ["+a"])
      gate.answer()
      yield* settle
      assert.deepStrictEqual(driver.now.topics, ["a"])
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual([driver.commands, driver.now.topics], [["+a", "-a"], []])
    })
  )

  it.effect("BUG7: a subscribe that is interrupted leaves nothing in a scope that goes on", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      driver.onSubscribe = () => gate.wait
      const ear = new Ear()
      const scope = yield* Scope.make()
      const subscribing = yield* Effect.forkChild(Scope.provide(bus.subscribe("a", ear.onEvent), scope))
      yield* settle
      yield* Fiber.interrupt(subscribing)
      gate.answer()
      yield* settle
      driver.now.emit("a", "1")
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual([ear.heard, driver.now.topics], [[], []])
    })
  )

  it.effect("BUG7: a subscribe whose scope closes meanwhile does not wait on", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      driver.onSubscribe = () => gate.wait
      const ear = new Ear()
      const scope = yield* Scope.make()
      const subscribing = yield* Effect.forkChild(Scope.provide(bus.subscribe("a", ear.onEvent), scope), {
        startImmediately: true
      })
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.await(subscribing)
      yield* Effect.exit(Scope.provide(bus.subscribe("a", ear.onEvent), scope))
      gate.answer()
      yield* TestClock.adjust(1_000)
      driver.now.emit("a", "1")
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual([ear.heard, driver.now.topics], [[], []])
    })
  )

  it.effect("BUG17: subscribing while the unsubscribe is under way waits for it, and subscribes after it", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      const first = yield* listen(bus, "a")
      driver.onUnsubscribe = () => gate.wait
      yield* first.leave
      yield* TestClock.adjust(1_000)
      const second = yield* Effect.forkChild(listen(bus, "a"))
      yield* settle
      assert.isUndefined(second.pollUnsafe())
      gate.answer()
      const { ear } = yield* Fiber.join(second)
      driver.now.emit("a", "1")
      assert.deepStrictEqual([driver.commands, ear.heard, first.ear.heard], [["+a", "-a", "+a"], ["1"], []])
      assert.deepStrictEqual(driver.broken, [])
    })
  )

  it.effect("BUG16: after the last unsubscribe a new subscribe hears", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      for (let n = 0; n < 3; n++) {
        const { ear, leave } = yield* listen(bus, "a")
        driver.now.emit("a", `${n}`)
        assert.deepStrictEqual(ear.heard, [`${n}`])
        yield* leave
        yield* TestClock.adjust(2_000)
        assert.deepStrictEqual(driver.now.topics, [])
      }
    })
  )

  it.effect("BUG17: what was left and joined while there was no connection is right on the next one", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const stays = yield* listen(bus, "stays")
      const goes = yield* listen(bus, "goes")
      const again = yield* listen(bus, "again")
      driver.onDial = () => Effect.fail(unreachable)
      driver.now.drop()
      yield* TestClock.adjust(1_000)
      yield* goes.leave
      yield* again.leave
      const back = yield* listen(bus, "again")
      const comes = yield* listen(bus, "comes")
      driver.onDial = () => Effect.void
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual(driver.now.topics, ["again", "comes", "stays"])
      for (const topic of ["stays", "goes", "again", "comes"]) driver.now.emit(topic, "1")
      assert.deepStrictEqual(
        [stays, goes, again, back, comes].map(({ ear }) => ear.heard.join(" ")),
        [
          "(unreachable) (reconnected) 1",
          "(unreachable)",
          "(unreachable)",
          "(unreachable) (reconnected) 1",
          "(unreachable) (reconnected) 1"
        ]
      )
    })
  )

  it.effect("BUG17: commands that were never answered are not in the way of those on later connections", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      yield* bus.subscribe("a", () => {})
      driver.onSubscribe = (topics) => (topics.includes("a") ? Effect.never : Effect.void)
      for (let round = 0; round < 10; round++) {
        driver.now.drop()
        yield* TestClock.adjust(3_000)
        assert.deepStrictEqual(driver.now.topics, [])
      }
      driver.onSubscribe = () => Effect.void
      driver.now.drop()
      yield* TestClock.adjust(3_000)
      assert.deepStrictEqual(driver.now.topics, ["a"])
    })
  )

  it.effect("BUG17: an answer that belongs to an earlier connection changes nothing", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      const { ear, leave } = yield* listen(bus, "a")
      yield* leave
      // An answer nobody can take back, however much it is interrupted.
      driver.onUnsubscribe = () => Effect.uninterruptible(gate.wait)
      yield* TestClock.adjust(1_000)
      const before = driver.now
      before.drop()
      const second = yield* listen(bus, "a")
      yield* TestClock.adjust(1_000)
      assert.notStrictEqual(driver.now, before)
      gate.answer()
      yield* settle
      before.emit("a", "from before")
      driver.now.emit("a", "1")
      assert.deepStrictEqual([ear.heard, second.ear.heard], [[], ["(unreachable)", "(reconnected)", "1"]])
    })
  )
})

describe("TRAP3: refusals", () => {
  it.effect("TRAP3: a refused subscribe fails for all who wait for it and leaves nothing, and another try works", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      driver.onSubscribe = () => gate.wait
      const ears = [new Ear(), new Ear(), new Ear()]
      const fibers = yield* Effect.forEach(ears, (ear) => Effect.forkChild(bus.subscribe("a", ear.onEvent)))
      yield* settle
      gate.answer(Exit.fail(refused))
      for (const fiber of fibers) assert.strictEqual((yield* Effect.flip(Fiber.join(fiber))).reason._tag, "BusRefused")
      driver.onSubscribe = () => Effect.void
      const ear = new Ear()
      yield* bus.subscribe("a", ear.onEvent)
      driver.now.emit("a", "1")
      assert.deepStrictEqual(
        [...ears, ear].map(({ heard }) => heard),
        [[], [], [], ["1"]]
      )
      assert.deepStrictEqual(driver.commands, ["+a", "+a"])
    })
  )

  it.effect("TRAP3: the topics that were in one command with a refused one do not suffer", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      driver.onSubscribe = (topics) =>
        topics.some((topic) => topic.startsWith("bad")) ? Effect.fail(refused) : Effect.void
      const names = Array.from({ length: 600 }, (_, n) => (n % 200 === 7 ? `bad${n}` : `t${n}`))
      const exits = yield* Effect.forEach(names, (name) => Effect.exit(bus.subscribe(name, () => {})), {
        concurrency: "unbounded"
      })
      const failed = names.filter((_, n) => Exit.isFailure(exits[n]!))
      assert.deepStrictEqual(failed, ["bad7", "bad207", "bad407"])
      assert.deepStrictEqual(driver.now.topics, names.filter((name) => !failed.includes(name)).toSorted())
      assert.isBelow(driver.commands.length, 80)
    })
  )

  it.effect(
    "TRAP3: what was promised to hear again and is refused hears when it is allowed, and nobody else waits",
    () =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        const [a, b] = [yield* listen(bus, "a"), yield* listen(bus, "b")]
        let allowed = false
        driver.onSubscribe = (topics) => (topics.includes("a") && !allowed ? Effect.fail(refused) : Effect.void)
        driver.now.drop()
        yield* TestClock.adjust(1_000)
        assert.deepStrictEqual(driver.now.topics, ["b"])
        // Who comes now is told, and does not take the place of the other.
        assert.strictEqual((yield* Effect.flip(bus.subscribe("a", () => {}))).reason._tag, "BusRefused")
        assert.deepStrictEqual([a.ear.heard, b.ear.heard], [["(unreachable)"], ["(unreachable)", "(reconnected)"]])
        allowed = true
        yield* TestClock.adjust(5_000)
        driver.now.emit("a", "1")
        assert.deepStrictEqual(a.ear.heard, ["(unreachable)", "(reconnected)", "1"])
      })
  )

  it.effect("TRAP3: who comes while an unsubscribe is under way hears, also when that is refused", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const gate = new Gate()
      const bus = yield* busOf(driver)
      const first = yield* listen(bus, "a")
      driver.onUnsubscribe = () => gate.wait
      yield* first.leave
      yield* TestClock.adjust(1_000)
      const second = yield* Effect.forkChild(listen(bus, "a"), { startImmediately: true })
      gate.answer(Exit.fail(refused))
      yield* settle
      assert.isDefined(second.pollUnsafe())
      assert.deepStrictEqual(driver.commands, ["+a", "-a", "+a"])
    })
  )

  it.effect("TRAP3: an unsubscribe that is refused is tried again, and of those together only what is refused", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const scope = yield* Scope.make()
      for (const topic of ["a", "b", "bad", "c"])
        yield* Scope.provide(
          bus.subscribe(topic, () => {}),
          scope
        )
      driver.onUnsubscribe = (topics) => (topics.includes("bad") ? Effect.fail(refused) : Effect.void)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1_100)
      assert.deepStrictEqual(driver.now.topics, ["bad"])
      yield* TestClock.adjust(4_000)
      driver.onUnsubscribe = () => Effect.void
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(driver.now.topics, [])
    })
  )
})

describe("BUG2: brokers that do not answer", () => {
  it.effect("BUG2: probes wait for no other topic", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      yield* Effect.forEach(["a", "b"], (topic) => bus.subscribe(topic, () => {}), { concurrency: "unbounded" })
      driver.onSubscribe = (topics) => (topics.includes("a") ? Effect.never : Effect.void)
      driver.now.drop()
      yield* TestClock.adjust(4_900)
      assert.deepStrictEqual([driver.dials, (yield* bus.health)._tag], [2, "Up"])
    })
  )

  it.effect(
    "BUG2: a subscribe that is not answered within 5 seconds succeeds with a gap, on a connection given up",
    () =>
      Effect.gen(function* () {
        const driver = new FakeDriver()
        const bus = yield* busOf(driver)
        driver.onSubscribe = (topics) => (topics.includes("a") ? Effect.never : Effect.void)
        const ear = new Ear()
        const subscribing = yield* Effect.forkChild(bus.subscribe("a", ear.onEvent), { startImmediately: true })
        yield* settle
        const other = yield* listen(bus, "b")
        yield* TestClock.adjust(4_997)
        assert.isUndefined(subscribing.pollUnsafe())
        assert.deepStrictEqual([driver.dials, other.ear.heard], [1, []])
        yield* TestClock.adjust(1_000)
        assert.isDefined(subscribing.pollUnsafe())
        assert.deepStrictEqual([ear.heard, driver.dials], [["(unreachable)"], 2])
        driver.onSubscribe = () => Effect.void
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(ear.heard, ["(unreachable)", "(reconnected)"])
      })
  )

  it.effect("BUG2: whoever waits behind a slow command is answered within 5 seconds, too, and hears later", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      const bus = yield* busOf(driver)
      const first = yield* listen(bus, "a")
      driver.onUnsubscribe = () => Effect.sleep(4_500)
      driver.onSubscribe = () => Effect.sleep(4_500)
      yield* first.leave
      yield* TestClock.adjust(1_000)
      const ear = new Ear()
      const second = yield* Effect.forkChild(bus.subscribe("a", ear.onEvent))
      yield* TestClock.adjust(5_000)
      assert.isDefined(second.pollUnsafe())
      assert.deepStrictEqual([ear.heard, driver.dials], [["(unreachable)"], 1])
      yield* TestClock.adjust(4_000)
      driver.now.emit("a", "1")
      assert.deepStrictEqual([ear.heard, driver.dials], [["(unreachable)", "(reconnected)", "1"], 1])
    })
  )

  it.effect("without a connection subscribing succeeds at once, with a gap", () =>
    Effect.gen(function* () {
      const driver = new FakeDriver()
      driver.onDial = () => Effect.fail(unreachable)
      const bus = yield* busOf(driver, { startTimeout: 0 })
      const { ear } = yield* listen(bus, "a")
      assert.deepStrictEqual(ear.heard, ["(unreachable)"])
      driver.onDial = () => Effect.void
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual([ear.heard, driver.now.topics], [["(unreachable)", "(reconnected)"], ["a"]])
    })
  )
})
