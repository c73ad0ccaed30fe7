import { assert, describe, it } from "@effect/vitest"
import { Channels, Subscription } from "effect-rooms"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { brief, drain, general, Room } from "../support/channels.ts"

const options = { key: Room, message: Schema.Int }

const publishAll = (channel: Channels.Channels<Room, number>, messages: ReadonlyArray<number>) =>
  Effect.forEach(messages, (message) => channel.publish(general, message), { discard: true })

/** What a newcomer is given, read through a subscription of its own that ends at once. */
const replayed = (channel: Channels.Channels<Room, number>, ref = general) =>
  Effect.scoped(Effect.map(channel.subscribe(ref), (subscription) => drain(subscription)))

describe("replay", () => {
  it.effect("gives a newcomer the last messages, oldest first, and then what follows", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 3 })
      yield* publishAll(channel, [1, 2])
      assert.deepStrictEqual(yield* replayed(channel), [1, 2])
      yield* publishAll(channel, [3, 4, 5])
      const subscription = yield* channel.subscribe(general)
      yield* channel.publish(general, 6)
      assert.strictEqual(subscription.pending, 4)
      assert.deepStrictEqual(drain(subscription.envelopes).map(brief), ["3:3", "4:4", "5:5", "6:6"])
      assert.strictEqual(subscription.dropped, 0)
    })
  )

  it.effect("a subscription may ask for fewer, for none, and never gets more than the channel keeps", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 3 })
      yield* publishAll(channel, [1, 2, 3, 4])
      const ask = (replay: number) =>
        Effect.scoped(Effect.map(channel.subscribe(general, { replay }), (subscription) => drain(subscription)))
      const answers = yield* Effect.forEach([0, 1, 2, 3, 9, Infinity, -1], ask)
      assert.deepStrictEqual(answers, [[], [4], [3, 4], [2, 3, 4], [2, 3, 4], [2, 3, 4], []])
    })
  )

  it.effect("gives every policy the same past", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 2, capacity: 1 })
      yield* publishAll(channel, [1, 2, 3])
      for (const overflow of ["dropOldest", "dropNewest", "latest", "fail"] as const) {
        assert.deepStrictEqual(drain(yield* channel.subscribe(general, { overflow })), [2, 3])
      }
    })
  )

  it.effect("keeps what came from other nodes as well", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 2 })
      yield* channel.deliverRemote(general, 1, { id: "far-1" })
      yield* channel.publish(general, 2)
      assert.deepStrictEqual(yield* replayed(channel), [1, 2])
    })
  )

  it.effect("does not give a connection what it was left out of", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 3 })
      const connection: Subscription.Receiver = { id: "connection-1" }
      yield* channel.publish(general, 1, { except: connection })
      yield* channel.publish(general, 2)
      const asConnection = Effect.provideService(Subscription.CurrentReceiver, connection)
      assert.deepStrictEqual(drain(yield* asConnection(channel.subscribe(general))), [2])
      assert.deepStrictEqual(drain(yield* channel.subscribe(general)), [1, 2])
    })
  )
})

describe("maxIdleTime", () => {
  it.effect("a history nobody listens to is kept so long at least, and at most twice as long", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 1, maxIdleTime: Duration.seconds(10) })
      for (const offset of [0, 1, 4_999, 9_999, 10_000]) {
        yield* TestClock.adjust(offset)
        yield* channel.publish(general, offset)
        yield* TestClock.adjust(9_999)
        assert.strictEqual(yield* channel.size, 1, `gone before its time, ${offset} after the last`)
        yield* TestClock.adjust(10_001)
        assert.strictEqual(yield* channel.size, 0, `kept beyond its time, ${offset} after the last`)
      }
    })
  )

  it.effect("a publish renews it", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 2, maxIdleTime: "10 seconds" })
      for (let n = 0; n < 10; n++) {
        yield* channel.publish(general, n)
        yield* TestClock.adjust("9 seconds")
      }
      assert.deepStrictEqual(yield* replayed(channel), [8, 9])
    })
  )

  it.effect("time in which somebody listens does not count", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 1, maxIdleTime: "10 seconds" })
      const subscription = yield* channel.open(general)
      yield* channel.publish(general, 1)
      yield* TestClock.adjust("1 hour")
      subscription.unsubscribe()
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* channel.size, 1)
      assert.deepStrictEqual(yield* replayed(channel), [1])
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* channel.size, 0)
      assert.deepStrictEqual(yield* replayed(channel), [])
    })
  )

  it.effect("is a minute by default, and may be for ever", () =>
    Effect.gen(function* () {
      const usual = yield* Channels.make({ ...options, replay: 1 })
      const endless = yield* Channels.make({ ...options, replay: 1, maxIdleTime: Duration.infinity })
      yield* publishAll(usual, [1])
      yield* publishAll(endless, [1])
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* usual.size, 1)
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual(yield* usual.size, 0)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* endless.size, 1)
    })
  )

  it.effect("positions are not used again after a history has gone", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 1, maxIdleTime: "1 second" })
      const seen: Array<number> = []
      for (let n = 0; n < 5; n++) {
        seen.push((yield* channel.publishAck(general, n)).roomSeq, (yield* channel.publishAck(general, n)).roomSeq)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* channel.size, 0)
      }
      assert.strictEqual(new Set(seen).size, 10)
    })
  )
})

describe("maxIdleKeys", () => {
  it.effect("bounds the histories nobody listens to; the one idle longest goes first", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 1, maxIdleKeys: 3 })
      const refs = [1, 2, 3, 4, 5].map((n) => Room.ref`room/${n}`)
      const listened = yield* channel.open(Room.ref`listened`)
      yield* Effect.forEach(refs.slice(0, 3), (ref, n) => channel.publish(ref, n))
      yield* channel.publish(refs[0]!, 10)
      yield* channel.publish(refs[3]!, 3)
      assert.strictEqual(yield* channel.size, 4)
      assert.deepStrictEqual(yield* replayed(channel, refs[1]), [])
      assert.deepStrictEqual(yield* replayed(channel, refs[0]), [10])
      listened.unsubscribe()
      assert.strictEqual(yield* channel.size, 3)
    })
  )
})
