import { assert, describe, it } from "@effect/vitest"
import { Channels, Subscription } from "effect-rooms"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { brief, drain, general, Room, takeNow } from "../support/channels.ts"

const options = { key: Room, message: Schema.Int }
const other = Room.ref`other`

describe("P1, P2, J2: order and delivery", () => {
  it.effect("P1: every reader of a key sees every message once, in the order of the publishes", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const readers = yield* Effect.forEach(["dropOldest", "dropNewest", "fail"] as const, (overflow) =>
        channel.subscribe(general, { overflow })
      )
      for (let n = 0; n < 100; n++) yield* channel.publish(general, n)
      const all = Array.from({ length: 100 }, (_, n) => n)
      for (const reader of readers) assert.deepStrictEqual(drain(reader), all)
    })
  )

  it.effect("P1: publishes nobody waits for, from many fibers, reach all readers in one order", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 1_000 })
      const [first, second] = yield* Effect.all([
        channel.subscribe(general),
        channel.subscribe(general, { overflow: "dropNewest" })
      ])
      const reading = yield* Effect.forkChild(Effect.all(Array.from({ length: 500 }, () => first.take)))
      for (let publisher = 0; publisher < 50; publisher++) {
        yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 10 }), (_, n) =>
            Effect.andThen(channel.publish(general, publisher * 10 + n), Effect.yieldNow)
          )
        )
      }
      const seen = yield* Fiber.join(reading)
      assert.deepStrictEqual(drain(second), seen)
      assert.deepStrictEqual(
        seen.toSorted((a, b) => a - b),
        Array.from({ length: 500 }, (_, n) => n)
      )
      for (let publisher = 0; publisher < 50; publisher++) {
        const own = seen.filter((n) => Math.floor(n / 10) === publisher)
        assert.deepStrictEqual(
          own,
          own.toSorted((a, b) => a - b)
        )
      }
    })
  )

  it.effect("TRAP23: a subscription is attached when subscribe returns, not at the first read", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      yield* channel.publish(general, 1)
      const subscription = yield* channel.subscribe(general)
      yield* channel.publish(general, 2)
      assert.strictEqual(subscription.pending, 1)
      const iterator = subscription[Symbol.asyncIterator]()
      yield* channel.publish(general, 3)
      assert.deepStrictEqual(yield* Effect.promise(() => iterator.next()), { done: false, value: 2 })
      assert.deepStrictEqual(drain(subscription), [3])
    })
  )

  it.effect("a subscriber that stalls delays nobody", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, capacity: 2 })
      const stalled = yield* channel.subscribe(general)
      const quick = yield* channel.subscribe(general)
      for (let n = 1; n <= 10; n++) {
        yield* channel.publish(general, n)
        assert.deepStrictEqual(drain(quick), [n])
      }
      assert.deepStrictEqual(drain(stalled), [9, 10])
    })
  )

  it.effect("a subscriber that throws in its loop harms nobody and can go on", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const throwing = yield* channel.subscribe(general)
      const calm = yield* channel.subscribe(general)
      const loop = Effect.tryPromise(async () => {
        for await (const message of throwing) if (message === 2) throw new Error("cannot bear 2")
      })
      const failure = yield* Effect.forkChild(Effect.flip(loop))
      for (const n of [1, 2, 3]) yield* channel.publish(general, n)
      yield* Fiber.join(failure)
      assert.deepStrictEqual(drain(calm), [1, 2, 3])
      assert.deepStrictEqual(drain(throwing), [3])
    })
  )

  it.effect("keys do not hear of each other", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      yield* channel.publish(other, 1)
      assert.deepStrictEqual(drain(subscription), [])
    })
  )

  it.effect("messages may be undefined", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ key: Room, message: Schema.Undefined, replay: 1 })
      const subscription = yield* channel.subscribe(general)
      for (let n = 0; n < 3; n++) yield* channel.publish(general, undefined)
      assert.deepStrictEqual(takeNow(subscription), Exit.succeed(undefined))
      const iterator = subscription[Symbol.asyncIterator]()
      assert.deepStrictEqual(yield* Effect.promise(() => iterator.next()), { done: false, value: undefined })
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(subscription.stream, 1)), [undefined])
      assert.deepStrictEqual(drain(yield* channel.subscribe(general)), [undefined])
    })
  )
})

describe("positions and names", () => {
  it.effect("an envelope carries the epoch, the position and the id that publishAck answered", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      const ack = yield* channel.publishAck(general, 7)
      assert.deepStrictEqual(ack, { id: ack.id, epoch: channel.epoch, roomSeq: 1, reached: "everyone" })
      const [envelope] = drain(subscription.envelopes)
      assert(envelope?._tag === "Message")
      assert.deepStrictEqual([envelope.epoch, envelope.roomSeq, envelope.id], [channel.epoch, 1, ack.id])
    })
  )

  it.effect("positions rise by one and are never used twice for a key, also after nobody listened", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const seen: Array<number> = []
      for (let round = 0; round < 4; round++) {
        const subscription = yield* channel.open(general)
        const acks = yield* Effect.forEach([1, 2, 3], (n) => channel.publishAck(general, n))
        const roomSeqs = acks.map((ack) => ack.roomSeq)
        assert.deepStrictEqual(
          roomSeqs,
          [0, 1, 2].map((n) => roomSeqs[0]! + n)
        )
        seen.push(...roomSeqs)
        subscription.unsubscribe()
        assert.strictEqual(yield* channel.size, 0)
        assert.strictEqual((yield* channel.publishAck(general, 0)).roomSeq, 0)
      }
      assert.strictEqual(new Set(seen).size, seen.length)
    })
  )

  it.effect("ids of publishes, subscriptions and epochs are unique", () =>
    Effect.gen(function* () {
      const channels = yield* Effect.all([Channels.make(options), Channels.make(options), Channels.make(options)])
      const ids: Array<string> = []
      for (const channel of channels) {
        ids.push(channel.epoch)
        for (let n = 0; n < 20; n++) {
          ids.push((yield* channel.publishAck(general, n)).id, (yield* channel.subscribe(general)).id)
        }
      }
      assert.strictEqual(new Set(ids).size, 3 * 41)
    })
  )

  it.effect("deliverRemote keeps the id it is given and numbers the message here", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const subscription = yield* channel.subscribe(general)
      yield* channel.publish(general, 1)
      yield* channel.deliverRemote(general, 2, { id: "far-1" })
      yield* channel.deliverRemote(general, 3)
      const envelopes = drain(subscription.envelopes)
      assert.deepStrictEqual(envelopes.map(brief), ["1:1", "2:2", "3:3"])
      const ids = envelopes.map((envelope) => envelope._tag === "Message" && envelope.id)
      assert.strictEqual(ids[1], "far-1")
      assert.strictEqual(new Set(ids).size, 3)
    })
  )
})

describe("except", () => {
  const connection: Subscription.Receiver = { id: "connection-1" }

  it.effect("leaves out a subscription, several receivers, or all subscriptions of a connection", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const plain = yield* channel.subscribe(general)
      const inConnection = Effect.provideService(Subscription.CurrentReceiver, connection)
      const owned = yield* inConnection(channel.subscribe(general))
      const buffered = yield* inConnection(channel.subscribe(general, { overflow: "dropNewest" }))
      const everyone = [plain, owned, buffered]

      yield* channel.publish(general, 1, { except: plain })
      assert.deepStrictEqual(
        everyone.map((reader) => drain(reader)),
        [[], [1], [1]]
      )
      yield* channel.publish(general, 2, { except: connection })
      assert.deepStrictEqual(
        everyone.map((reader) => drain(reader)),
        [[2], [], []]
      )
      yield* channel.publish(general, 3, { except: owned })
      assert.deepStrictEqual(
        everyone.map((reader) => drain(reader)),
        [[3], [], [3]]
      )
      yield* channel.publish(general, 4, { except: [plain, buffered] })
      assert.deepStrictEqual(
        everyone.map((reader) => drain(reader)),
        [[], [4], []]
      )
      yield* channel.deliverRemote(general, 5, { except: [connection.id] })
      assert.deepStrictEqual(
        everyone.map((reader) => drain(reader)),
        [[5], [], []]
      )
      yield* channel.publish(general, 6, { except: [] })
      assert.deepStrictEqual(
        everyone.map((reader) => drain(reader)),
        [[6], [6], [6]]
      )
      assert.deepStrictEqual(
        everyone.map((reader) => reader.dropped),
        [0, 0, 0]
      )
    })
  )
})
