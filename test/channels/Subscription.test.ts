import { assert, describe, it } from "@effect/vitest"
import { Channels, Subscription } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { brief, drain, general, Room, takeNow } from "../support/channels.ts"

const options = { key: Room, message: Schema.Int }

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

const publishAll = (channel: Channels.Channels<Room, number>, messages: ReadonlyArray<number>) =>
  Effect.forEach(messages, (message) => channel.publish(general, message), { discard: true })

const noKeyFor2 = (n: number) => {
  if (n === 2) throw new Error("no key for 2")
  return n
}

/** What reading with `for await` would throw. */
const rejection = (iterator: AsyncIterator<unknown>) =>
  Effect.promise(() =>
    iterator.next().then(
      () => undefined,
      (error: unknown) => error
    )
  )

const causeOf = <A, E>(exit: Exit.Exit<A, E> | undefined): unknown => {
  assert(exit !== undefined && Exit.isFailure(exit), "neither waits nor succeeds")
  return Cause.squash(exit.cause)
}

describe("overflow", () => {
  it.effect("dropOldest keeps the newest, shows the gap before them and counts it", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 3 })
      const plain = yield* channel.subscribe(general)
      const exact = yield* channel.subscribe(general, { overflow: "dropOldest" })
      yield* publishAll(channel, numbers(1, 5))
      assert.deepStrictEqual([exact.pending, exact.dropped], [3, 2])
      assert.deepStrictEqual(drain(exact.envelopes).map(brief), ["Gap 2", "3:3", "4:4", "5:5"])
      assert.deepStrictEqual(drain(plain), [3, 4, 5])
      assert.deepStrictEqual([plain.pending, plain.dropped], [0, 2])
      yield* publishAll(channel, numbers(6, 8))
      assert.deepStrictEqual(drain(exact.envelopes).map(brief), ["6:6", "7:7", "8:8"])
      assert.strictEqual(exact.dropped, 2)
    })
  )

  for (const capacity of [1, 2, 3, 4, 7, 64, 65, 100]) {
    it.effect(`with a capacity of ${capacity} what is read and what is missed make up what was published`, () =>
      Effect.gen(function* () {
        const channel = yield* Channels.make({ ...options, capacity })
        const rare = yield* channel.subscribe(general)
        const often = yield* channel.subscribe(general)
        let next = 1
        const seen: Array<number> = []
        for (const burst of [1, capacity, capacity + 1, 2 * capacity, 3 * capacity + 1, 1]) {
          yield* publishAll(channel, numbers(next, next + burst - 1))
          next += burst
          drain(often)
          for (const item of drain(rare.envelopes)) {
            if (item._tag === "Message") seen.push(item.message)
            else for (let n = 0; n < item.missed; n++) seen.push((seen.at(-1) ?? 0) + 1)
          }
          assert.deepStrictEqual(seen, numbers(1, next - 1))
        }
        assert.strictEqual(rare.dropped, often.dropped)
      })
    )
  }

  it.effect("dropNewest keeps what it has, and shows the gap after it", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 3 })
      const subscription = yield* channel.subscribe(general, { overflow: "dropNewest" })
      yield* publishAll(channel, numbers(1, 5))
      assert.deepStrictEqual([subscription.pending, subscription.dropped], [3, 2])
      assert.deepStrictEqual(drain(subscription.envelopes).map(brief), ["1:1", "2:2", "3:3", "Gap 2"])
      yield* channel.publish(general, 6)
      assert.deepStrictEqual(drain(subscription.envelopes).map(brief), ["6:6"])
    })
  )

  it.effect("latest keeps the newest, latestBy the newest of each key and of the newest keys", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 2 })
      const latest = yield* channel.subscribe(general, { overflow: "latest" })
      const byTens = yield* channel.subscribe(general, { overflow: { latestBy: (n) => Math.floor(n / 10) } })
      yield* publishAll(channel, [1, 11, 2, 12])
      assert.deepStrictEqual(drain(latest.envelopes).map(brief), ["Gap 3", "4:12"])
      assert.deepStrictEqual(drain(byTens.envelopes).map(brief), ["Gap 2", "3:2", "4:12"])
      yield* publishAll(channel, [21, 31, 41])
      assert.deepStrictEqual(drain(byTens), [31, 41])
      assert.deepStrictEqual([latest.dropped, byTens.dropped], [5, 3])
    })
  )

  it.effect("fail makes reading fail once something was lost, and says how much", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 2 })
      const subscription = yield* channel.subscribe(general, { overflow: "fail" })
      const calm = yield* channel.subscribe(general)
      yield* publishAll(channel, [1, 2])
      assert.deepStrictEqual(drain(subscription), [1, 2])
      yield* publishAll(channel, numbers(3, 7))
      const slow = causeOf(takeNow(subscription))
      assert(slow instanceof Subscription.SlowConsumer)
      assert.strictEqual(slow.missed, 3)
      assert.strictEqual(yield* channel.subscriberCount(general), 1)
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(subscription.stream)), Subscription.SlowConsumer)
      const loop = rejection(subscription[Symbol.asyncIterator]())
      assert.instanceOf(yield* loop, Subscription.SlowConsumer)
      assert.deepStrictEqual(drain(calm), [6, 7])
    })
  )

  it.effect("a latestBy function that throws ends its own subscription and no other", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const before = yield* channel.subscribe(general, { overflow: "dropNewest" })
      const broken = yield* channel.subscribe(general, { overflow: { latestBy: noKeyFor2 } })
      const after = yield* channel.subscribe(general, { overflow: "dropNewest" })
      yield* publishAll(channel, [1, 2, 3])
      assert.match(String(causeOf(takeNow(broken))), /no key for 2/)
      assert.deepStrictEqual(
        [drain(before), drain(after)],
        [
          [1, 2, 3],
          [1, 2, 3]
        ]
      )
      assert.strictEqual(yield* channel.subscriberCount(general), 2)
    })
  )
})

describe("what is left out", () => {
  it.effect("a message left out is neither pending nor dropped nor a gap", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 3 })
      const subscription = yield* channel.subscribe(general)
      const except = { except: subscription }
      for (let n = 1; n <= 10; n++) yield* channel.publish(general, n, n % 2 === 0 ? except : {})
      assert.deepStrictEqual([subscription.pending, subscription.dropped], [1, 4])
      assert.deepStrictEqual(drain(subscription.envelopes).map(brief), ["Gap 4", "9:9"])
    })
  )

  it.effect("a message behind 64 that are left out is read without another publish", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      for (let n = 0; n < 64; n++) yield* channel.publish(general, n, { except: subscription })
      yield* channel.publish(general, 64)
      assert.strictEqual(subscription.pending, 1)
      assert.deepStrictEqual(drain(subscription), [64])
    })
  )

  it.effect("dropped still counts all that was lost after reading has failed", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 3 })
      const subscription = yield* channel.subscribe(general, { overflow: "fail" })
      for (const n of [1, 2, 3, 4]) yield* channel.publish(general, n)
      yield* channel.publish(general, 5, { except: subscription })
      assert.strictEqual(subscription.dropped, 2)
      assert.instanceOf(causeOf(takeNow(subscription)), Subscription.SlowConsumer)
      assert.strictEqual(subscription.dropped, 2)
    })
  )
})

describe("reading", () => {
  it.effect("a for await loop that is left is gone on with by the next", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      yield* publishAll(channel, [1, 2, 3])
      const loopUntil = (last: number) =>
        Effect.promise(async () => {
          const seen: Array<number> = []
          for await (const message of subscription) {
            seen.push(message)
            if (message === last) break
          }
          return seen
        })
      assert.deepStrictEqual(yield* loopUntil(1), [1])
      const second = yield* Effect.forkChild(loopUntil(4))
      yield* channel.publish(general, 4)
      assert.deepStrictEqual(yield* Fiber.join(second), [2, 3, 4])
    })
  )

  it.effect("a stream that is ended early leaves what it did not emit to the next reader", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      yield* publishAll(channel, [1, 2, 3])
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(subscription.stream, 1)), [1])
      assert.deepStrictEqual(drain(subscription), [2, 3])
    })
  )

  it.effect("all ways of reading share one position", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      yield* publishAll(channel, numbers(1, 5))
      assert.strictEqual(yield* subscription.take, 1)
      assert.strictEqual(brief(yield* subscription.envelopes.take), "2:2")
      const iterator = subscription.envelopes[Symbol.asyncIterator]()
      const { value } = yield* Effect.promise(() => iterator.next())
      assert.strictEqual(value && brief(value), "3:3")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(subscription.stream, 2)), [4, 5])
      assert.strictEqual(takeNow(subscription), undefined)
    })
  )

  it.effect("two who wait on one subscription: the second dies with a sentence, the first reads on", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      const first = yield* Effect.forkChild(subscription.take, { startImmediately: true })
      const sentence = /two consumers wait on one subscription: read it in one place/
      assert.match(String(causeOf(takeNow(subscription))), sentence)
      assert.match(String(causeOf(takeNow(subscription.envelopes))), sentence)
      const iterator = subscription[Symbol.asyncIterator]()
      assert.match(String(yield* rejection(iterator)), sentence)
      yield* channel.publish(general, 1)
      assert.strictEqual(yield* Fiber.join(first), 1)
    })
  )

  it.effect("a reader that is interrupted while it waits leaves the place to another", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      const first = yield* Effect.forkChild(subscription.take, { startImmediately: true })
      yield* Fiber.interrupt(first)
      const second = yield* Effect.forkChild(subscription.take, { startImmediately: true })
      yield* channel.publish(general, 1)
      assert.strictEqual(yield* Fiber.join(second), 1)
    })
  )
})

describe("the end of a subscription", () => {
  it.effect("P19: a late end of one does not touch its successor of the same receiver", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const scope = yield* Scope.make()
      const as = Effect.provideService(Subscription.CurrentReceiver, { id: "connection" })
      const first = yield* as(Scope.provide(channel.subscribe(general), scope))
      first.unsubscribe()
      const second = yield* as(channel.subscribe(general))
      first.unsubscribe()
      yield* Scope.close(scope, Exit.void)
      yield* Effect.promise(() => first[Symbol.asyncDispose]())
      yield* publishAll(channel, [1])
      assert.deepStrictEqual(drain(second), [1])
      assert.deepStrictEqual(drain(first), [])
    })
  )

  for (const overflow of ["dropOldest", "dropNewest", "latest", "fail"] as const) {
    it.effect(`${overflow}: unsubscribing discards what was not read, keeps the count, and can be done again`, () =>
      Effect.gen(function* () {
        const channel = yield* Channels.make({ ...options, capacity: 2 })
        const subscription = yield* channel.subscribe(general, { overflow })
        yield* publishAll(channel, [1, 2, 3])
        const dropped = subscription.dropped
        assert.strictEqual(dropped, overflow === "latest" ? 2 : 1)
        subscription.unsubscribe()
        subscription.unsubscribe()
        yield* channel.publish(general, 4)
        assert.deepStrictEqual([subscription.pending, subscription.dropped], [0, dropped])
        assert.isTrue(Cause.isDone(causeOf(takeNow(subscription))))
        assert.strictEqual(yield* channel.size, 0)
      })
    )
  }

  it.effect("after the end of a latest subscription comes nothing, not even the gap of what was discarded", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.open(general, { overflow: "latest" })
      yield* publishAll(channel, [1, 2])
      subscription.unsubscribe()
      assert.isTrue(Cause.isDone(causeOf(takeNow(subscription.envelopes))))
    })
  )

  it.effect("a subscription that ends itself inside its loop ends the loop", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.open(general)
      yield* publishAll(channel, [1, 2, 3])
      const seen: Array<number> = []
      yield* Effect.promise(async () => {
        for await (const message of subscription) {
          seen.push(message)
          subscription.unsubscribe()
        }
      })
      assert.deepStrictEqual(seen, [1])
    })
  )

  it.effect("using and await using end a subscription that was opened outside of scopes", () =>
    Effect.gen(function* () {
      const closed: Array<string> = []
      const onOpen = (_: unknown, key: string) =>
        Effect.acquireRelease(Effect.void, () => Effect.sync(() => closed.push(key)))
      const channel = yield* Channels.make({ ...options, onOpen })
      const open = (name: string) => Effect.runPromise(channel.open(Room.ref.make(name)))
      yield* Effect.promise(async () => {
        using sync = await open("a")
        await using asynchronous = await open("b")
        assert.deepStrictEqual([sync.pending, asynchronous.pending], [0, 0])
        assert.strictEqual(Effect.runSync(channel.size), 2)
      })
      assert.strictEqual(yield* channel.size, 0)
      assert.sameMembers(closed, ["room:a", "room:b"])
    })
  )
})
