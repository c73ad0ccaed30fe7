import { assert, describe, it } from "@effect/vitest"
import { Channels, Ref } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { drain, general, Room } from "../support/channels.ts"

const options = { key: Room, message: Schema.Int }

/** Counted hook failures of the channels of one entity. */
const failures = (entity: string) =>
  Effect.map(Metric.snapshot, (metrics) => {
    const own = metrics.filter(
      ({ attributes, id }) => id === "effect_rooms_channel_hook_failures" && attributes?.["channel"] === entity
    )
    return own.reduce((sum, { state }) => sum + ("count" in state ? Number(state.count) : 0), 0)
  })

describe("onPublish", () => {
  it.effect("sees key, reference, message, id and who was left out, after local delivery", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const channel: Channels.Channels<Room, number> = yield* Channels.make({
        ...options,
        onPublish: ({ except, id, key, message, ref }) =>
          Effect.sync(() => seen.push([key, Room.ref.is(ref), message, id, except, subscription.pending]))
      })
      const subscription = yield* channel.subscribe(general)
      const ack = yield* channel.publishAck(general, 7, { except: { id: "somebody" } })
      assert.deepStrictEqual(seen, [["room:general", true, 7, ack.id, ["somebody"], 1]])
      assert.strictEqual(ack.reached, "everyone")
    })
  )

  it.effect("the prefix of the keys can be chosen", () =>
    Effect.gen(function* () {
      const keys: Array<string> = []
      const channel = yield* Channels.make({
        ...options,
        prefix: "v2/",
        onPublish: ({ key }) => Effect.sync(() => void keys.push(`published ${key}`)),
        onOpen: (ref, key) => Effect.sync(() => void keys.push(`opened ${key} ${ref.identifier}`))
      })
      yield* channel.subscribe(general)
      yield* channel.publishAck(general, 1)
      assert.deepStrictEqual(keys, ["opened v2/general general", "published v2/general"])
    })
  )

  it.effect("runs one at a time, in the order of the publishes of all keys, also where nobody listens", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const channel = yield* Channels.make({
        ...options,
        onPublish: ({ message }) =>
          Effect.sync(() => order.push(`begin ${message}`)).pipe(
            Effect.andThen(message % 2 === 0 ? Effect.yieldNow : Effect.void),
            Effect.andThen(Effect.sync(() => void order.push(`end ${message}`)))
          )
      })
      for (const n of [1, 2, 3]) yield* channel.publish(Room.ref`room/${n}`, n)
      yield* channel.publishAck(general, 4)
      assert.deepStrictEqual(
        order,
        [1, 2, 3, 4].flatMap((n) => [`begin ${n}`, `end ${n}`])
      )
    })
  )

  it.effect("does not run for deliverRemote", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const onPublish = ({ message }: { readonly message: number }) => Effect.sync(() => void seen.push(message))
      const channel = yield* Channels.make({ ...options, onPublish })
      const subscription = yield* channel.subscribe(general)
      yield* channel.deliverRemote(general, 1, { id: "far-1" })
      yield* channel.publishAck(general, 2)
      assert.deepStrictEqual([seen, drain(subscription)], [[2], [1, 2]])
    })
  )

  it.effect("what a run acquires is released when the run is over", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const channel = yield* Channels.make({
        ...options,
        onPublish: ({ message }) =>
          Effect.acquireRelease(
            Effect.sync(() => void log.push(`acquire ${message}`)),
            () => Effect.sync(() => void log.push(`release ${message}`))
          )
      })
      yield* channel.publishAck(general, 1)
      yield* channel.publishAck(general, 2)
      assert.deepStrictEqual(log, ["acquire 1", "release 1", "acquire 2", "release 2"])
    })
  )

  it.effect("without a hook everyone is reached", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      assert.strictEqual((yield* channel.publishAck(general, 1)).reached, "everyone")
    })
  )
})

describe("BUG13 a hook that does not work", () => {
  const broken: ReadonlyArray<readonly [how: string, hook: () => Effect.Effect<void, string>]> = [
    ["fails", () => Effect.fail("refused")],
    ["dies", () => Effect.die(new Error("broken"))],
    ["interrupts itself", () => Effect.interrupt],
    [
      "throws before it returns an effect",
      () => {
        throw new Error("thrown")
      }
    ]
  ]
  for (const [how, hook] of broken) {
    it.effect(`BUG13: a hook that ${how} costs local readers nothing, and is counted`, () =>
      Effect.gen(function* () {
        class Counted extends Ref.Entity<Counted>()(`Counted ${how}`) {}
        const ref = Counted.ref`a`
        const channel = yield* Channels.make({
          key: Counted,
          message: Schema.Int,
          onPublish: ({ message }) => (message === 3 ? Effect.void : hook())
        })
        const subscription = yield* channel.subscribe(ref)
        yield* channel.publish(ref, 1)
        assert.deepStrictEqual(drain(subscription), [1])
        const second = yield* channel.publishAck(ref, 2)
        assert.deepStrictEqual([second.reached, second.roomSeq], ["local-only", 2])
        assert.strictEqual((yield* channel.publishAck(ref, 3)).reached, "everyone")
        assert.deepStrictEqual(drain(subscription), [2, 3])
        assert.strictEqual(yield* failures(`Counted ${how}`), 2)
      })
    )
  }

  it.effect("BUG13: behind a hook that hangs as many publishes wait as the bound says, others skip it", () =>
    Effect.gen(function* () {
      class Counted extends Ref.Entity<Counted>()("Counted hangs") {}
      const ref = Counted.ref`a`
      const gate = yield* Deferred.make<void>()
      const hooked: Array<number> = []
      const channel = yield* Channels.make({
        key: Counted,
        message: Schema.Int,
        hookCapacity: 2,
        onPublish: ({ message }) =>
          Effect.andThen(
            Deferred.await(gate),
            Effect.sync(() => void hooked.push(message))
          )
      })
      const subscription = yield* channel.subscribe(ref)
      const first = yield* Effect.forkChild(channel.publishAck(ref, 1), { startImmediately: true })
      // The hook of the first has begun once the fiber of the hook had its turn.
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      const waiting = yield* Effect.forEach([2, 3], (n) =>
        Effect.forkChild(channel.publishAck(ref, n), { startImmediately: true })
      )
      yield* channel.publish(ref, 4)
      assert.strictEqual((yield* channel.publishAck(ref, 5)).reached, "local-only")
      assert.deepStrictEqual(drain(subscription), [1, 2, 3, 4, 5])
      assert.strictEqual(yield* failures("Counted hangs"), 2)
      assert.deepStrictEqual(hooked, [])

      yield* Deferred.succeed(gate, undefined)
      const reached = (yield* Fiber.joinAll([first, ...waiting])).map((ack) => ack.reached)
      assert.deepStrictEqual(reached, ["everyone", "everyone", "everyone"])
      assert.strictEqual((yield* channel.publishAck(ref, 6)).reached, "everyone")
      assert.deepStrictEqual(hooked, [1, 2, 3, 6])
      assert.strictEqual(yield* failures("Counted hangs"), 2)
    })
  )

  it.effect("BUG13: closing the channel lets go of those who wait for a hook that hangs", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const channel = yield* Scope.provide(Channels.make({ ...options, onPublish: () => Effect.never }), scope)
      const acks = yield* Effect.forEach([1, 2, 3], (n) =>
        Effect.forkChild(channel.publishAck(general, n), { startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      const reached = (yield* Fiber.joinAll(acks)).map((ack) => ack.reached)
      assert.deepStrictEqual(reached, ["local-only", "local-only", "local-only"])
      assert.strictEqual((yield* channel.publishAck(general, 4)).reached, "local-only")
    })
  )
})
