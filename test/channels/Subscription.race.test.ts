/**
 * Races of one subscription's reader under thousands of fiber schedules (T-RACE).
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Subscription } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { drain, general, Room } from "../support/channels.ts"
import { runSeeds } from "../support/SeededScheduler.ts"

const options = { key: Room, message: Schema.Int }

const isDone = <E>(exit: Exit.Exit<unknown, E | Cause.Done>): boolean =>
  Exit.isFailure(exit) && Cause.isDone(Cause.squash(exit.cause))

/** Takes when this many of the operations a fiber has before it must yield are used up. */
const takeAfter = (operations: number, subscription: Subscription.Subscription<number>) =>
  Effect.gen(function* () {
    for (let n = 0; n < operations; n++) yield* Effect.sync(() => n)
    return yield* subscription.take
  })

describe("a reader", () => {
  it.effect("is woken also where its budget of operations runs out as it begins to wait", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      for (let operations = 2_000; operations < 2_060; operations++) {
        const subscription = yield* channel.open(general)
        const reader = yield* Effect.forkChild(takeAfter(operations, subscription))
        const publisher = yield* Effect.forkChild(channel.publish(general, 1))
        yield* Fiber.join(publisher)
        for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
        assert.deepStrictEqual(reader.pollUnsafe(), Exit.succeed(1), `asleep after ${operations} operations`)
        subscription.unsubscribe()
      }
    })
  )

  it.effect("takes a message or the end also where its budget of operations runs out in between", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      for (let operations = 2_000; operations < 2_060; operations++) {
        const subscription = yield* channel.open(general)
        yield* channel.publish(general, 1)
        const reader = yield* Effect.forkChild(Effect.exit(takeAfter(operations, subscription)))
        yield* Effect.forkChild(Effect.sync(subscription.unsubscribe))
        const exit = yield* Fiber.join(reader)
        assert.isTrue(isDone(exit) || Exit.isSuccess(exit), `${operations} operations: ${String(exit)}`)
      }
    })
  )

  it("is woken by a publish that comes just before it begins to wait", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const channel = yield* Channels.make(options)
        const subscription = yield* channel.subscribe(general)
        const reader = yield* Effect.forkChild(Effect.all([subscription.take, subscription.take]))
        yield* Effect.forkChild(Effect.andThen(channel.publish(general, 1), channel.publish(general, 2)))
        assert.deepStrictEqual(yield* Fiber.join(reader), [1, 2])
      }, Effect.scoped)
    ))

  it("learns of an end that comes just before it begins to wait", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const scope = yield* Scope.make()
        const channel = yield* Scope.provide(Channels.make(options), scope)
        const subscription = yield* channel.subscribe(general)
        const reader = yield* Effect.forkChild(Effect.exit(subscription.take))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* Fiber.join(closing)
        assert.isTrue(isDone(yield* Fiber.join(reader)))
      }, Effect.scoped)
    ))

  it("whose subscription ends while it takes a message gets the message or the end, nothing else", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const channel = yield* Channels.make(options)
        const subscription = yield* channel.subscribe(general)
        const seen: Array<number> = []
        const loop = Effect.forever(Effect.map(subscription.take, (message) => void seen.push(message)))
        const reader = yield* Effect.forkChild(Effect.exit(loop))
        yield* Effect.forkChild(Effect.andThen(channel.publish(general, 1), channel.publish(general, 2)))
        yield* Fiber.join(yield* Effect.forkChild(Effect.sync(subscription.unsubscribe)))
        const exit = yield* Fiber.join(reader)
        assert.isTrue(isDone(exit), String(exit))
        assert.deepStrictEqual(seen, [1, 2].slice(0, seen.length))
      }, Effect.scoped)
    ))

  it("that is interrupted while it takes loses no message", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const channel = yield* Channels.make(options)
        const subscription = yield* channel.subscribe(general)
        yield* channel.publish(general, 1)
        yield* channel.publish(general, 2)
        const seen: Array<number> = []
        const loop = Effect.forever(Effect.map(subscription.take, (message) => void seen.push(message)))
        const reader = yield* Effect.forkChild(loop)
        yield* Fiber.join(yield* Effect.forkChild(Fiber.interrupt(reader)))
        assert.deepStrictEqual([...seen, ...drain(subscription)], [1, 2])
      }, Effect.scoped)
    ))

  it("that loops with for await sees what is published from other fibers, up to the end", () =>
    runSeeds(
      300,
      Effect.fnUntraced(function* () {
        const channel = yield* Channels.make(options)
        const subscription = yield* channel.subscribe(general)
        const seen: Array<number> = []
        const loop = Effect.promise(async () => {
          for await (const message of subscription) {
            seen.push(message)
            if (message === 3) subscription.unsubscribe()
          }
        })
        const reader = yield* Effect.forkChild(loop)
        yield* Effect.forkChild(Effect.forEach([1, 2, 3], (message) => channel.publish(general, message)))
        yield* Fiber.join(reader)
        assert.deepStrictEqual(seen, [1, 2, 3])
      }, Effect.scoped)
    ))

  it("P1: sees un-awaited publishes of many fibers in the order all readers see", () =>
    runSeeds(
      1_000,
      Effect.fnUntraced(function* () {
        const channel = yield* Channels.make(options)
        const policies = ["dropOldest", "dropNewest", "fail"] as const
        const subscriptions = yield* Effect.forEach(policies, (overflow) => channel.subscribe(general, { overflow }))
        const readers = yield* Effect.forEach(subscriptions, (subscription) =>
          Effect.forkChild(Effect.all(Array.from({ length: 8 }, () => subscription.take)))
        )
        yield* Effect.forEach([1, 2, 3, 4], (n) =>
          Effect.forkChild(Effect.andThen(channel.publish(general, n), channel.publish(general, n + 10)))
        )
        const [first, ...others] = yield* Fiber.joinAll(readers)
        assert.deepStrictEqual(others, [first, first])
        for (const n of [1, 2, 3, 4]) assert.isBelow(first.indexOf(n), first.indexOf(n + 10))
      }, Effect.scoped)
    ))
})
