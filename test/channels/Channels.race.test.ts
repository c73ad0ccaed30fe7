/**
 * Races of a channel under thousands of fiber schedules (T-RACE): subscribe, publish, hooks and closing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Subscription } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { drain, general, Room } from "../support/channels.ts"
import { runSeeds } from "../support/SeededScheduler.ts"

const options = { key: Room, message: Schema.Int }

/** An `onOpen` hook of several steps that counts how often it is open and was opened. */
const countingOpen = () => {
  const counts = { opened: 0, closed: 0 }
  const onOpen = () =>
    Effect.acquireRelease(
      Effect.sync(() => void counts.opened++),
      () => Effect.sync(() => void counts.closed++)
    ).pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(Effect.yieldNow))
  return { counts, onOpen }
}

describe("P2 subscribe × publish × unsubscribe", () => {
  it("each reader sees one run of the same order, from its subscription on", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const channel = yield* Channels.make(options)
        const log: Array<number> = []
        const last = 100
        const publish = (message: number) =>
          Effect.sync(() => {
            log.push(message)
            Effect.runSync(channel.publish(general, message))
          })
        const attached = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])

        const reader = Effect.fnUntraced(function* (
          overflow: "dropOldest" | "dropNewest",
          until: number,
          index?: number
        ) {
          const before = log.length
          const subscription = yield* channel.subscribe(general, { overflow })
          const after = log.length
          if (index !== undefined) yield* Deferred.succeed(attached[index]!, undefined)
          const seen: Array<number> = []
          while (seen.length < until && (seen.at(-1) ?? 0) < last) seen.push(yield* subscription.take)
          subscription.unsubscribe()
          const from = log.indexOf(seen[0]!)
          assert.isTrue(before <= from && from <= after, `begins at ${from}, not within ${before}..${after}`)
          assert.deepStrictEqual(seen, log.slice(from, from + seen.length))
        }, Effect.scoped)

        const readers = yield* Effect.all([
          Effect.forkChild(reader("dropOldest", 99, 0)),
          Effect.forkChild(reader("dropNewest", 99, 1)),
          Effect.forkChild(reader("dropOldest", 1)),
          Effect.forkChild(reader("dropNewest", 1))
        ])
        const publishers = yield* Effect.all([
          Effect.forkChild(Effect.forEach([10, 11, 12], publish)),
          Effect.forkChild(Effect.forEach([20, 21, 22], publish))
        ])
        yield* Fiber.joinAll(publishers)
        yield* Effect.forEach(attached, (deferred) => Deferred.await(deferred))
        // The short readers may attach last: they get something to read until they are done.
        const more = yield* Effect.forkChild(Effect.forever(Effect.suspend(() => publish(last + log.length))))
        yield* Fiber.joinAll(readers)
        yield* Fiber.interrupt(more)
        assert.strictEqual(yield* channel.size, 0)
      }, Effect.scoped)
    ))
})

describe("BUG7 unsubscribe while subscribing", () => {
  it("BUG7: a subscriber interrupted at any step leaves nothing behind", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { counts, onOpen } = countingOpen()
        const channel = yield* Channels.make({ ...options, onOpen })
        const subscriber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(channel.subscribe(general), Effect.never))
        )
        const interrupter = yield* Effect.forkChild(Fiber.interrupt(subscriber))
        yield* Fiber.join(interrupter)
        assert.strictEqual(counts.closed, counts.opened)
        assert.strictEqual(yield* channel.size, 0)
        assert.strictEqual(yield* channel.subscriberCount(general), 0)
      }, Effect.scoped)
    ))

  it("BUG7: interrupting the one who started onOpen does not disturb the other who waits for it", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { counts, onOpen } = countingOpen()
        const channel = yield* Channels.make({ ...options, onOpen })
        const first = yield* Effect.forkChild(Effect.scoped(Effect.andThen(channel.subscribe(general), Effect.never)))
        const second = yield* Effect.forkChild(channel.open(general))
        yield* Fiber.join(yield* Effect.forkChild(Fiber.interrupt(first)))
        const subscription = yield* Fiber.join(second)
        yield* channel.publish(general, 1)
        assert.deepStrictEqual(drain(subscription), [1])
        assert.strictEqual(counts.opened - counts.closed, 1)
        yield* Effect.promise(() => subscription[Symbol.asyncDispose]())
        assert.strictEqual(counts.closed, counts.opened)
        assert.strictEqual(yield* channel.size, 0)
      }, Effect.scoped)
    ))
})

describe("onOpen", () => {
  it("the interest is held once while anybody is subscribed and released once after the last", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* (seed) {
        const { counts, onOpen } = countingOpen()
        const channel = yield* Channels.make({ ...options, onOpen })
        const visitor = Effect.scoped(
          Effect.gen(function* () {
            const subscription = yield* channel.subscribe(general)
            assert.isAbove(counts.opened, counts.closed)
            yield* Effect.yieldNow
            assert.isAbove(counts.opened, counts.closed)
            if (seed % 2 === 0) yield* Effect.promise(() => subscription[Symbol.asyncDispose]())
            yield* Effect.yieldNow
          })
        )
        yield* Fiber.joinAll(yield* Effect.all([visitor, visitor, visitor].map((each) => Effect.forkChild(each))))
        assert.strictEqual(counts.closed, counts.opened)
        assert.strictEqual(yield* channel.size, 0)
      }, Effect.scoped)
    ))

  it("a try after a failed onOpen runs it anew, whoever else still waits", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        let runs = 0
        const onOpen = () =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() => (++runs === 1 ? Effect.fail("refused") : Effect.void))
          )
        const channel = yield* Channels.make({ ...options, onOpen })
        const subscriber = Effect.scoped(channel.subscribe(general)).pipe(Effect.retry({ times: 1 }))
        yield* Fiber.joinAll(yield* Effect.all([Effect.forkChild(subscriber), Effect.forkChild(subscriber)]))
        assert.strictEqual(yield* channel.size, 0)
      }, Effect.scoped)
    ))
})

describe("publishing from within", () => {
  it("publishes inside an onPublish hook and inside a reader's loop keep the one order", () =>
    runSeeds(
      1_000,
      Effect.fnUntraced(function* () {
        const hooked: Array<string> = []
        const channel: Channels.Channels<Room, number> = yield* Channels.make({
          ...options,
          onPublish: ({ id, message }) => {
            hooked.push(id)
            return message >= 10 && message < 13 ? channel.publish(general, message + 1) : Effect.void
          }
        })
        const read = (subscription: Subscription.Subscription<number>, echo: boolean) =>
          Effect.gen(function* () {
            const seen: Array<readonly [id: string, message: number]> = []
            while (seen.length < 8) {
              const item = yield* subscription.envelopes.take
              assert(item._tag === "Message")
              seen.push([item.id, item.message])
              if (echo && item.message < 4) yield* channel.publish(general, item.message + 1)
            }
            return seen
          })
        const loud = yield* Effect.forkChild(read(yield* channel.subscribe(general), true))
        const quiet = yield* Effect.forkChild(
          read(yield* channel.subscribe(general, { overflow: "dropNewest" }), false)
        )
        yield* Effect.forkChild(channel.publish(general, 1))
        yield* Effect.forkChild(channel.publishAck(general, 10))
        const seen = yield* Fiber.join(loud)
        assert.deepStrictEqual(yield* Fiber.join(quiet), seen)
        assert.deepStrictEqual(
          seen.map(([, message]) => message).toSorted((a, b) => a - b),
          [1, 2, 3, 4, 10, 11, 12, 13]
        )
        yield* channel.publishAck(general, 99)
        assert.deepStrictEqual(
          hooked.slice(0, 8),
          seen.map(([id]) => id)
        )
      }, Effect.scoped)
    ))
})

describe("BUG6 closing", () => {
  it("BUG6: subscribe × publish × close never blocks and leaves nothing behind", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const scope = yield* Scope.make()
        const channel = yield* Scope.provide(Channels.make({ ...options, replay: 1 }), scope)
        const reader = Effect.scoped(
          Effect.flatMap(channel.subscribe(general), (subscription) => Effect.exit(Effect.forever(subscription.take)))
        )
        const fibers = yield* Effect.all([
          Effect.forkChild(reader),
          Effect.forkChild(reader),
          Effect.forkChild(channel.publish(general, 1)),
          Effect.forkChild(Scope.close(scope, Exit.void))
        ])
        yield* Fiber.joinAll(fibers)
        assert.strictEqual(yield* channel.size, 0)
        assert.strictEqual(yield* channel.subscriberCount(general), 0)
      }, Effect.scoped)
    ))

  it("BUG6: a subscriber waiting for onOpen when the channel closes is let go", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { counts, onOpen } = countingOpen()
        const scope = yield* Scope.make()
        const channel = yield* Scope.provide(Channels.make({ ...options, onOpen }), scope)
        const subscriber = yield* Effect.forkChild(Effect.scoped(channel.subscribe(general)))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* Fiber.join(closing)
        yield* Fiber.await(subscriber)
        assert.strictEqual(counts.closed, counts.opened)
        assert.strictEqual(yield* channel.size, 0)
      }, Effect.scoped)
    ))

  it("nothing onOpen acquired outlives the channel, also for who subscribes while it closes", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { counts, onOpen } = countingOpen()
        const scope = yield* Scope.make()
        const channel = yield* Scope.provide(Channels.make({ ...options, onOpen }), scope)
        const first = yield* channel.open(general)
        const fibers = yield* Effect.all([
          Effect.forkChild(Effect.promise(() => first[Symbol.asyncDispose]())),
          Effect.forkChild(Effect.exit(channel.open(general))),
          Effect.forkChild(Scope.close(scope, Exit.void))
        ])
        yield* Fiber.joinAll(fibers)
        assert.strictEqual(counts.closed, counts.opened)
        assert.strictEqual(yield* channel.size, 0)
      }, Effect.scoped)
    ))

  it("publishAck answers, also when the channel closes before its hook has run", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const scope = yield* Scope.make()
        let hooks = 0
        const onPublish = () => Effect.sync(() => void hooks++)
        const channel = yield* Scope.provide(Channels.make({ ...options, onPublish }), scope)
        const acks = yield* Effect.all([
          Effect.forkChild(channel.publishAck(general, 1)),
          Effect.forkChild(channel.publishAck(general, 2))
        ])
        yield* Fiber.join(yield* Effect.forkChild(Scope.close(scope, Exit.void)))
        const reached = (yield* Fiber.joinAll(acks)).filter((ack) => ack.reached === "everyone").length
        assert.isAtMost(reached, hooks)
      }, Effect.scoped)
    ))
})
