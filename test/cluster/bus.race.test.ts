/**
 * Races of a bus under many fiber schedules (T-RACE): subscribing, leaving and being interrupted at every step, against
 * a broker that takes its time, refuses, and goes away.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Bus from "../../src/cluster/internal/bus/bus.ts"
import { Ear, FakeDriver, refused, unreachable } from "../support/fakeDriver.ts"
import { SeededScheduler } from "../support/SeededScheduler.ts"
import { StallClock } from "../support/stallClock.ts"

const seeds = 600
const topics = ["a", "b", "c"]

/** Runs an effect in the order of steps that belongs to the seed; time passes when there is nothing else to do. */
const run = (seed: number, effect: Effect.Effect<void>): void => {
  const scheduler = new SeededScheduler(seed)
  const clock = new StallClock()
  const fiber = Effect.runFork(
    effect.pipe(Effect.provideService(Clock.Clock, clock), Effect.provide(Logger.layer([])), Random.withSeed(seed)),
    { scheduler }
  )
  while (fiber.pollUnsafe() === undefined) {
    scheduler.run()
    if (scheduler.steps > 100_000) throw new Error(`seed ${seed}: does not end`)
    if (fiber.pollUnsafe() === undefined && !clock.jump()) throw new Error(`seed ${seed}: stuck`)
  }
  const exit = fiber.pollUnsafe()!
  if (Exit.isFailure(exit)) throw new Error(`seed ${seed}: ${Cause.pretty(exit.cause)}`)
}

const pick = <A>(all: ReadonlyArray<A>) => Effect.map(Random.next, (part) => all[Math.floor(part * all.length)]!)
const someSteps = Effect.flatMap(Random.next, (part) =>
  Effect.forEach(Array.from({ length: Math.floor(part * 6) }), () => Effect.yieldNow, { discard: true })
)

/** What was heard makes sense: messages only between gaps that come in pairs. */
const assertHeard = ({ heard }: Ear): void => {
  const line = heard.join("")
  assert.match(line, /^(m|\(unreachable\)\(reconnected\))*(\(unreachable\))?$/, line)
}

/** A driver that takes some steps over everything, and refuses or fails now and then while it is told to. */
const makeDriver = () => {
  const driver = new FakeDriver()
  const trouble = { on: true }
  const reply = (failure: typeof refused, rate: number) =>
    Effect.andThen(
      someSteps,
      Effect.flatMap(Random.next, (part) => (trouble.on && part < rate ? Effect.fail(failure) : Effect.void))
    )
  driver.onDial = () => reply(unreachable, 0.3)
  driver.onSubscribe = () => Effect.andThen(reply(refused, 0.2), reply(unreachable, 0.05))
  driver.onUnsubscribe = () => reply(unreachable, 0.05)
  driver.onPublish = () => someSteps
  driver.onClose = () => someSteps
  return { driver, trouble }
}

const many = (effect: Effect.Effect<void>, count: number) =>
  Effect.forEach(Array.from({ length: count }), () => effect, { discard: true })

const race = Effect.gen(function* () {
  const { driver, trouble } = makeDriver()
  const scope = yield* Scope.make()
  const bus = yield* Scope.provide(Bus.make(driver, { startTimeout: 0 }), scope)
  const staying: Array<{ readonly topic: string; readonly ear: Ear }> = []
  const all: Array<Ear> = []

  const comeAndGo = Effect.gen(function* () {
    const topic = yield* pick(topics)
    const ear = new Ear()
    all.push(ear)
    const listening = yield* Effect.forkChild(
      Effect.exit(Effect.scoped(Effect.andThen(bus.subscribe(topic, ear.onEvent), someSteps)))
    )
    yield* someSteps
    if ((yield* Random.next) < 0.5) yield* Fiber.interrupt(listening)
    else yield* Fiber.await(listening)
    const { length } = ear.heard
    yield* someSteps
    assert.strictEqual(ear.heard.length, length, "nothing is heard after the end")
  })
  const stay = Effect.gen(function* () {
    const topic = yield* pick(topics)
    const ear = new Ear()
    all.push(ear)
    yield* Effect.ignore(
      Effect.map(Scope.provide(bus.subscribe(topic, ear.onEvent), scope), () => staying.push({ topic, ear }))
    )
  })
  const chaos = Effect.gen(function* () {
    yield* someSteps
    for (const connection of driver.connections) for (const topic of topics) connection.emit(topic, "m")
    if ((yield* Random.next) < 0.5) driver.connections.at(-1)?.drop()
    yield* Effect.sleep((yield* Random.next) * 1_500)
  })
  yield* Effect.all([many(comeAndGo, 4), many(comeAndGo, 4), many(stay, 3), many(chaos, 5)], {
    concurrency: "unbounded",
    discard: true
  })

  trouble.on = false
  const wanted = Array.from(new Set(staying.map(({ topic }) => topic))).toSorted()
  const isQuiet = () => driver.connections.at(-1)?.topics.join() === wanted.join()
  yield* Effect.sleep(5_000)
  for (let second = 0; second < 20 && !isQuiet(); second++) yield* Effect.sleep(1_000)
  assert.deepStrictEqual(driver.now.topics, wanted)
  assert.deepStrictEqual(driver.broken, [])

  const before = staying.map(({ ear }) => ear.heard.length)
  for (const connection of driver.connections) for (const topic of topics) connection.emit(topic, "m")
  assert.deepStrictEqual(
    staying.map(({ ear }, index) => ear.heard.slice(before[index]).join()),
    staying.map(() => "m")
  )
  all.forEach(assertHeard)

  yield* Scope.close(scope, Exit.void)
  assert.isTrue(driver.connections.every(({ isOpen }) => !isOpen))
})

describe("T-RACE, BUG7, BUG16, BUG17, BUG20: listeners × connections", () => {
  it("the broker has at last what listeners want, and each hears a message once", () => {
    for (let seed = 0; seed < seeds; seed++) run(seed, race)
  })
})
