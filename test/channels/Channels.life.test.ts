import { assert, describe, it } from "@effect/vitest"
import { Channels } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drain, general, Room } from "../support/channels.ts"

const options = { key: Room, message: Schema.Int }

describe("the life of a channel", () => {
  it.effect("counts subscriptions and keys, whatever the keys are called", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const refs = ["hasOwnProperty", "toString", "valueOf"].map((name) => Room.ref.make(name))
      for (const ref of refs) assert.strictEqual(yield* channel.subscriberCount(ref), 0)
      const subscriptions = yield* Effect.forEach([...refs, refs[0]!], (ref) => channel.open(ref))
      assert.strictEqual(yield* channel.size, 3)
      assert.strictEqual(yield* channel.subscriberCount(refs[0]!), 2)
      for (const subscription of subscriptions) subscription.unsubscribe()
      assert.strictEqual(yield* channel.size, 0)
    })
  )

  it.effect("subscriptions, loops and streams end with the channel's scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const channel = yield* Scope.provide(Channels.make({ ...options, replay: 1 }), scope)
      const looped = yield* channel.subscribe(general)
      const streamed = yield* channel.subscribe(general, { overflow: "dropNewest" })
      const taken = yield* channel.subscribe(general, { overflow: "latest" })
      const looping = yield* Effect.forkChild(
        Effect.promise(async () => {
          for await (const message of looped) assert.fail(String(message))
        })
      )
      const streaming = yield* Effect.forkChild(Stream.runDrain(streamed.stream))
      const taking = yield* Effect.forkChild(Effect.flip(taken.take))
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.joinAll([looping, streaming])
      assert.isTrue(Cause.isDone(yield* Fiber.join(taking)))
      assert.strictEqual(yield* channel.size, 0)
      assert.strictEqual(yield* channel.subscriberCount(general), 0)
    })
  )

  it.effect("after its end publishes do nothing and subscriptions end at once", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const channel = yield* Scope.provide(Channels.make({ ...options, replay: 3 }), scope)
      yield* channel.publish(general, 1)
      yield* Scope.close(scope, Exit.void)
      const subscription = yield* channel.subscribe(general)
      yield* channel.publish(general, 2)
      yield* channel.deliverRemote(general, 3)
      assert.deepStrictEqual(yield* Stream.runCollect(subscription.stream), [])
      assert.isTrue(Cause.isDone(yield* Effect.flip(subscription.take)))
      assert.deepStrictEqual([yield* channel.size, subscription.pending, subscription.dropped], [0, 0, 0])
    })
  )

  it.effect("a subscription ends with its scope, and one made in a closed scope has ended", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const scope = yield* Scope.make()
      const subscription = yield* Scope.provide(channel.subscribe(general), scope)
      assert.strictEqual(yield* channel.subscriberCount(general), 1)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Cause.isDone(yield* Effect.flip(subscription.take)))
      const late = yield* Scope.provide(channel.subscribe(general), scope)
      assert.isTrue(Cause.isDone(yield* Effect.flip(late.take)))
      assert.strictEqual(yield* channel.size, 0)
    })
  )

  it.effect("is a service with a layer, one for each time the layer is built", () => {
    class Chat extends Channels.Service<Chat>()("test/Chat", { ...options, replay: 1 }) {}
    return Effect.gen(function* () {
      const chat = yield* Chat
      yield* chat.publish(general, 1)
      assert.deepStrictEqual(drain(yield* chat.subscribe(general)), [1])
      const fresh = yield* Effect.provide(
        Effect.map(Chat, (again) => again),
        Layer.fresh(Chat.layer)
      )
      assert.notStrictEqual(fresh.epoch, chat.epoch)
      assert.isTrue(Cause.isDone(yield* Effect.flip((yield* fresh.subscribe(general)).take)))
    }).pipe(Effect.provide(Chat.layer))
  })

  const bounds: ReadonlyArray<Channels.Bounds> = [
    ...[0, -1, 1.5, Number.NaN, Infinity].map((capacity) => ({ capacity })),
    ...[-1, 0.5, Number.NaN, Infinity].map((replay) => ({ replay })),
    ...[0, -1, 0.5, Number.NaN, Infinity].map((maxIdleKeys) => ({ maxIdleKeys })),
    ...[0, -1, 1.5, Number.NaN, Infinity].map((hookCapacity) => ({ hookCapacity }))
  ]
  for (const wrong of bounds) {
    it.effect(`is not made with ${Object.entries(wrong).flat().join(" ")}`, () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Channels.make({ ...options, ...wrong }))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Cause.squash(exit.cause), RangeError)
      })
    )
  }

  for (const maxIdleTime of [0, -1, Duration.zero]) {
    it.effect(`is not made with a maxIdleTime of ${String(maxIdleTime)}, which would sweep without a pause`, () =>
      Effect.gen(function* () {
        const make = Channels.make({ ...options, replay: 1, maxIdleTime })
        const exit = yield* Effect.exit(Effect.scoped(Effect.as(make, "made")))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Cause.squash(exit.cause), RangeError)
      })
    )
  }
})
