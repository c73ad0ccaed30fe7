/**
 * What a channel holds on to, and what it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { drain, general, Room } from "../support/channels.ts"
import { survivors, usedHeap } from "../support/memory.ts"

const mebibyte = 1_048_576
const Large = Schema.Struct({ bytes: Schema.Uint8Array })
const options = { key: Room, message: Large }
type Channel = Channels.Channels<Room, typeof Large.Type>

/** Publishes messages of 64 KiB of which nothing but weak references is kept. */
const publishLarge = (channel: Channel, count: number): ReadonlyArray<WeakRef<object>> =>
  Array.from({ length: count }, () => {
    const message = { bytes: new Uint8Array(65_536) }
    Effect.runSync(channel.publish(general, message))
    return new WeakRef(message)
  })

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n)

describe("memory", () => {
  it.effect("TRAP15: publishing to a million keys nobody listens to leaves nothing behind", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ key: Room, message: Schema.Int })
      yield* Effect.sync(() => Effect.runSync(channel.publish(general, 0)))
      const before = yield* Effect.promise(usedHeap)
      for (let n = 0; n < 1_000_000; n++) {
        const ref = Room.ref.make(`room/${n}`)
        yield* n % 2 === 0 ? channel.publish(ref, n) : channel.deliverRemote(ref, n)
      }
      const after = yield* Effect.promise(usedHeap)
      assert.strictEqual(yield* channel.size, 0)
      assert.isBelow(after - before, 4 * mebibyte)
    })
  )

  it.effect("TRAP15: with a replay, too, no more keys are kept than maxIdleKeys", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ key: Room, message: Schema.Int, replay: 2, maxIdleKeys: 100 })
      for (let n = 0; n < 100_000; n++) yield* channel.publish(Room.ref.make(`room/${n}`), n)
      assert.strictEqual(yield* channel.size, 100)
    })
  )

  it.effect("twenty thousand subscriptions that came and went leave nothing behind", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ key: Room, message: Schema.Int, onOpen: () => Effect.void })
      const comeAndGo = (from: number, to: number) =>
        Effect.forEach(range(from, to), (n) => Effect.scoped(channel.subscribe(Room.ref.make(`room/${n}`))), {
          discard: true
        })
      yield* comeAndGo(0, 1_000)
      const before = yield* Effect.promise(usedHeap)
      yield* comeAndGo(1_000, 21_000)
      const after = yield* Effect.promise(usedHeap)
      assert.strictEqual(yield* channel.size, 0)
      assert.isBelow(after - before, 4 * mebibyte)
    })
  )

  it.effect("ten thousand stalled subscriptions hold one ring of the last messages", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 16 })
      const stalled = yield* Effect.forEach(range(0, 10_000), () => channel.subscribe(general))
      const before = yield* Effect.promise(usedHeap)
      const messages = publishLarge(channel, 200)
      assert.deepStrictEqual(yield* Effect.promise(() => survivors(messages)), range(184, 200))
      // Each message has been put into no reader's own memory: that would be 10,000 × 16 entries.
      assert.isBelow((yield* Effect.promise(usedHeap)) - before, mebibyte)
      for (const subscription of stalled) {
        assert.strictEqual(subscription.pending, 16)
        assert.strictEqual(subscription.dropped, 184)
      }
    })
  )

  it.effect("a stalled subscription that ends gives up what it held", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 16 })
      const stalled = [
        yield* channel.open(general),
        yield* channel.open(general, { overflow: "dropNewest" }),
        yield* channel.open(general, { overflow: { latestBy: (message) => message } })
      ]
      const quick = yield* channel.subscribe(general)
      const messages = publishLarge(channel, 16)
      drain(quick)
      for (const subscription of stalled) subscription.unsubscribe()
      publishLarge(channel, 1)
      drain(quick)
      assert.deepStrictEqual(yield* Effect.promise(() => survivors(messages)), [])
      assert.deepStrictEqual(
        stalled.map((subscription) => subscription.pending),
        [0, 0, 0]
      )
    })
  )

  it.effect("latest holds one message, a history as many as it replays", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 3 })
      const subscription = yield* channel.subscribe(Room.ref`elsewhere`, { overflow: "latest" })
      const kept = publishLarge(channel, 20)
      assert.deepStrictEqual(yield* Effect.promise(() => survivors(kept)), [17, 18, 19])
      const plain = yield* Channels.make(options)
      const latest = yield* plain.subscribe(general, { overflow: "latest" })
      const messages = publishLarge(plain, 20)
      assert.deepStrictEqual(yield* Effect.promise(() => survivors(messages)), [19])
      assert.deepStrictEqual([latest.pending, subscription.pending], [1, 0])
    })
  )

  it.effect("a message that every reader has read is held by none of them", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const idle = yield* channel.subscribe(general)
      const messages = publishLarge(channel, 20)
      assert.strictEqual(drain(idle).length, 20)
      assert.deepStrictEqual(yield* Effect.promise(() => survivors(messages)), [])
      assert.strictEqual(idle.pending, 0)
    })
  )
})
