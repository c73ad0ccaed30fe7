import { assert, describe, it } from "@effect/vitest"
import { Channels, Subscription } from "effect-rooms"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { drain, general, Room } from "../support/channels.ts"

const options = { key: Room, message: Schema.Int }

/** An `onOpen` hook that notes when it opens and closes which key. */
const noting = (log: Array<string>) => (_: unknown, key: string) =>
  Effect.acquireRelease(
    Effect.sync(() => void log.push(`open ${key}`)),
    () => Effect.sync(() => void log.push(`close ${key}`))
  )

describe("onOpen", () => {
  it.effect("is open from before the first subscription of a key to after the last", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const channel: Channels.Channels<Room, number> = yield* Channels.make({
        ...options,
        onOpen: (ref, key) =>
          Effect.andThen(
            noting(log)(ref, key),
            Effect.flatMap(
              Effect.suspend(() => channel.subscriberCount(ref)),
              (count) => Effect.sync(() => void log.push(`${count} attached`))
            )
          )
      })
      const [first, second] = [yield* channel.open(general), yield* channel.open(general)]
      const elsewhere = yield* channel.open(Room.ref`other`)
      yield* Effect.promise(() => first[Symbol.asyncDispose]())
      assert.deepStrictEqual(log, ["open room:general", "0 attached", "open room:other", "0 attached"])
      yield* Effect.promise(() => second[Symbol.asyncDispose]())
      assert.strictEqual(log.at(-1), "close room:general")
      yield* Effect.scoped(channel.subscribe(general))
      assert.deepStrictEqual(log.slice(-3), ["open room:general", "0 attached", "close room:general"])
      elsewhere.unsubscribe()
    })
  )

  it.effect("does not run for publishes", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const channel = yield* Channels.make({ ...options, replay: 1, onOpen: noting(log) })
      yield* channel.publish(general, 1)
      yield* channel.deliverRemote(general, 2)
      assert.deepStrictEqual(log, [])
    })
  )

  it.effect("what it acquired is released when the channel's scope closes, once", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      const channel = yield* Scope.provide(Channels.make({ ...options, onOpen: noting(log) }), scope)
      const subscription = yield* channel.open(general)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.promise(() => subscription[Symbol.asyncDispose]())
      assert.deepStrictEqual(log, ["open room:general", "close room:general"])
    })
  )

  it.effect("its failure fails all who wait for it, leaves nothing, and a later try runs it anew", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const gate = yield* Deferred.make<void, string>()
      let runs = 0
      const channel = yield* Channels.make({
        ...options,
        onOpen: (ref, key) =>
          Effect.andThen(
            noting(log)(ref, key),
            Effect.suspend(() => (++runs === 1 ? Deferred.await(gate) : Effect.void))
          )
      })
      const subscribing = Effect.forkChild(Effect.exit(Effect.scoped(channel.subscribe(general))), {
        startImmediately: true
      })
      const waiting = [yield* subscribing, yield* subscribing]
      assert.deepStrictEqual([yield* channel.size, yield* channel.subscriberCount(general)], [0, 0])
      yield* Deferred.fail(gate, "refused")
      assert.deepStrictEqual(yield* Fiber.joinAll(waiting), [Exit.fail("refused"), Exit.fail("refused")])
      assert.deepStrictEqual(log, ["open room:general", "close room:general"])
      assert.strictEqual(yield* channel.size, 0)

      const subscription = yield* channel.open(general)
      yield* channel.publish(general, 1)
      assert.deepStrictEqual([runs, drain(subscription)], [2, [1]])
    })
  )

  it.effect("one who waited for a failed run and tries again at once gets a run of its own", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void, string>()
      let runs = 0
      const onOpen = () => Effect.suspend(() => (++runs === 1 ? Deferred.await(gate) : Effect.void))
      const channel = yield* Channels.make({ ...options, onOpen })
      const subscribing = channel.subscribe(general).pipe(Effect.retry({ times: 3 }), Effect.exit)
      const first = yield* Effect.forkChild(subscribing, { startImmediately: true })
      const second = yield* Effect.forkChild(subscribing, { startImmediately: true })
      yield* Deferred.fail(gate, "refused")
      const exits = yield* Fiber.joinAll([first, second])
      assert.deepStrictEqual(
        exits.map((exit) => exit._tag),
        ["Success", "Success"]
      )
    })
  )

  for (const how of ["dies", "throws"] as const) {
    it.effect(`a hook that ${how} makes subscribing die, and leaves nothing`, () =>
      Effect.gen(function* () {
        const channel = yield* Channels.make({
          ...options,
          onOpen: () => {
            if (how === "dies") return Effect.die(new Error("broken"))
            throw new Error("broken")
          }
        })
        const exit = yield* Effect.exit(channel.open(general))
        assert(Exit.isFailure(exit))
        assert.match(String(Cause.squash(exit.cause)), /broken/)
        assert.strictEqual(yield* channel.size, 0)
      })
    )
  }

  it.effect("BUG7: an interrupted subscriber closes the scope of the run it alone waited for", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const channel = yield* Channels.make({
        ...options,
        onOpen: (ref, key) => Effect.andThen(noting(log)(ref, key), Effect.never)
      })
      const subscriber = yield* Effect.forkChild(Effect.scoped(channel.subscribe(general)), { startImmediately: true })
      const opener = yield* Effect.forkChild(channel.open(general), { startImmediately: true })
      yield* Fiber.interrupt(subscriber)
      assert.deepStrictEqual(log, ["open room:general"])
      yield* Fiber.interrupt(opener)
      assert.deepStrictEqual(log, ["open room:general", "close room:general"])
      assert.strictEqual(yield* channel.size, 0)
    })
  )

  it.effect("does not begin anew before what the run before it acquired is released", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const onOpen = () =>
        Effect.acquireRelease(
          Effect.sync(() => void log.push("open")),
          () =>
            Effect.andThen(
              Deferred.await(gate),
              Effect.sync(() => void log.push("closed"))
            )
        )
      const channel = yield* Channels.make({ ...options, onOpen })
      yield* Effect.addFinalizer(() => Deferred.succeed(gate, undefined))
      const first = yield* channel.open(general)
      first.unsubscribe()
      const again = yield* Effect.forkChild(channel.open(general), { startImmediately: true })
      assert.deepStrictEqual(log, ["open"])
      yield* Deferred.succeed(gate, undefined)
      const second = yield* Fiber.join(again)
      assert.deepStrictEqual(log, ["open", "closed", "open"])
      second.unsubscribe()
    })
  )
})

describe("where onOpen runs", () => {
  class Name extends Context.Service<Name, string>()("test/Name") {}

  it.effect("with the services the channel was made with, not those of who subscribes first", () =>
    Effect.gen(function* () {
      const names: Array<string> = []
      const onOpen = () => Effect.map(Name, (name) => void names.push(name))
      const channel = yield* Effect.provideService(Channels.make({ ...options, onOpen }), Name, "the channel's")
      yield* Effect.provideService(channel.subscribe(general), Name, "a subscriber's")
      assert.deepStrictEqual(names, ["the channel's"])
    })
  )

  it.effect("on behalf of all, so that what it subscribes to is not left out with one connection", () =>
    Effect.gen(function* () {
      const source = yield* Channels.make(options)
      let inner: Subscription.Subscription<number> | undefined
      const onOpen = () => Effect.map(source.subscribe(general), (subscription) => void (inner = subscription))
      const channel = yield* Channels.make({ ...options, onOpen })
      const connection: Subscription.Receiver = { id: "connection-1" }
      yield* Effect.provideService(channel.subscribe(general), Subscription.CurrentReceiver, connection)
      yield* source.publish(general, 1, { except: connection })
      assert.deepStrictEqual(drain(inner!), [1])
    })
  )
})

describe("closing with onOpen", () => {
  it.effect("a subscription made after the channel's scope closed ends at once, as it does without onOpen", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      const channel = yield* Scope.provide(Channels.make({ ...options, onOpen: noting(log) }), scope)
      yield* Scope.close(scope, Exit.void)
      const exit = yield* Effect.exit(channel.subscribe(general))
      assert(Exit.isSuccess(exit), String(exit))
      assert.isTrue(Cause.isDone(yield* Effect.flip(exit.value.take)))
      assert.deepStrictEqual(log, [])
    })
  )
})
