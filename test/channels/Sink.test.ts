/**
 * Sinks: what a transport attaches to the keys of a channel, without a subscription.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Envelope, Subscription } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { Attach, Sink, Wire } from "../../src/channels/Sink.ts"
import { brief, drain, general, Room } from "../support/channels.ts"

/** Notes what it is handed, for its receivers together. */
class NotingSink implements Sink<string> {
  readonly log: Array<string>
  readonly receivers = new Set<string>()
  constructor(log: Array<string>) {
    this.log = log
  }
  get size(): number {
    return this.receivers.size
  }
  deliver(envelope: Envelope.Envelope<string>): number {
    const to = Array.from(this.receivers).filter((id) => !envelope.except.includes(id))
    this.log.push(`${brief(envelope)} to ${to.join(" ")}`)
    return 10 * to.length
  }
  close(): void {
    this.log.push("close")
  }
}

/** A wire whose sinks write to one log. */
const noting = () => {
  const log: Array<string> = []
  const sinks: Array<NotingSink> = []
  const keys: Array<string> = []
  const wire: Wire<string, NotingSink> = {
    open: (kind, identifier) => {
      keys.push(`${kind} ${identifier}`)
      const sink = new NotingSink(log)
      sinks.push(sink)
      return sink
    }
  }
  const join = (id: string) => (sink: NotingSink) => {
    sink.receivers.add(id)
    return () => void sink.receivers.delete(id)
  }
  return { log, sinks, keys, attach: (attach: Attach<string>, id: string) => attach(wire, join(id)) }
}

const options = { key: Room, message: Schema.String }
const other = Room.ref`other`

describe("Channels.reserve", () => {
  it.effect("by itself attaches nothing; attaching is one step, after which every publish is handed over at once", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const attach = yield* channel.reserve(general)
      assert.strictEqual(yield* channel.size, 0)
      yield* channel.publish(general, "unheard")
      const { attach: attachTo, log } = noting()
      attachTo(attach, "a")
      yield* channel.publish(other, "elsewhere")
      yield* channel.publish(general, "one")
      assert.deepStrictEqual(log, ["1:one to a"])
      yield* channel.deliverRemote(general, "two")
      assert.deepStrictEqual(log, ["1:one to a", "2:two to a"])
    })
  )

  it.effect("all receivers of a wire and key share a sink, which is handed each message once", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const attach = yield* channel.reserve(general)
      const again = yield* channel.reserve(general)
      const elsewhere = yield* channel.reserve(other)
      const first = noting()
      const second = noting()
      first.attach(attach, "a")
      first.attach(again, "b")
      second.attach(attach, "c")
      first.attach(elsewhere, "d")
      assert.deepStrictEqual(first.keys, ["room general", "room other"])
      yield* channel.publish(general, "hello", { except: { id: "a" } })
      assert.deepStrictEqual(first.log, ["1:hello to b"])
      assert.deepStrictEqual(second.log, ["1:hello to c"])
      assert.strictEqual(yield* channel.subscriberCount(general), 3)
      assert.strictEqual(yield* channel.subscriberCount(other), 1)
    })
  )

  it.effect("a sink goes with its last receiver, and the next one gets a new sink", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const attach = yield* channel.reserve(general)
      const { attach: attachTo, log, sinks } = noting()
      const leave = attachTo(attach, "a")
      const leaveToo = attachTo(attach, "b")
      leave()
      yield* channel.publish(general, "one")
      leaveToo()
      leaveToo()
      yield* channel.publish(general, "unheard")
      assert.strictEqual(yield* channel.size, 0)
      attachTo(attach, "c")
      leave()
      yield* channel.publish(general, "two")
      assert.strictEqual(sinks.length, 2)
      assert.deepStrictEqual(log, ["1:one to b", "2:two to c"])
    })
  )

  it.effect("keeps a key as long as anybody listens, subscription or sink, and no longer", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const attach = yield* channel.reserve(general)
      const { attach: attachTo, log } = noting()
      const leave = attachTo(attach, "a")
      const lines = yield* channel.open(general)
      lines.unsubscribe()
      assert.strictEqual(yield* channel.subscriberCount(general), 1)
      const later = yield* channel.open(general)
      yield* channel.publish(general, "to both")
      leave()
      assert.strictEqual(yield* channel.subscriberCount(general), 1)
      yield* channel.publish(general, "to the subscription")
      assert.deepStrictEqual(drain(later), ["to both", "to the subscription"])
      assert.deepStrictEqual(log, ["1:to both to a"])
      later.unsubscribe()
      assert.strictEqual(yield* channel.size, 0)
    })
  )

  it.effect("with a replay the history stays when the last sink goes, and goes on while it is there", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ ...options, replay: 2 })
      const attach = yield* channel.reserve(general)
      const { attach: attachTo, log } = noting()
      yield* channel.publish(general, "before")
      const leave = attachTo(attach, "a")
      yield* channel.publish(general, "while")
      leave()
      yield* channel.publish(general, "after")
      assert.deepStrictEqual(log, ["2:while to a"])
      const lines = yield* channel.open(general)
      assert.deepStrictEqual(drain(lines), ["while", "after"])
    })
  )

  it.effect("charges a publish to whom it is done for: the bytes of all sinks together", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make(options)
      const attach = yield* channel.reserve(general)
      for (const id of ["a", "b", "c"]) noting().attach(attach, id)
      const charged: Array<number> = []
      const quota = { join: () => "granted" as const, leave: () => {}, charge: (bytes: number) => charged.push(bytes) }
      const asA = Effect.provideService(Subscription.CurrentReceiver, { id: "a", quota })
      yield* asA(channel.publish(general, "to three"))
      yield* asA(channel.publish(general, "to two", { except: { id: "a" } }))
      yield* asA(channel.publish(other, "to nobody"))
      yield* channel.publish(general, "by nobody")
      assert.deepStrictEqual(charged, [30, 20])
    })
  )

  it.effect("tells sinks once that the channel closes; afterwards nothing is attached any more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const channel = yield* Scope.provide(Channels.make(options), scope)
      const attach = yield* channel.reserve(general)
      const { attach: attachTo, log, sinks } = noting()
      const leave = attachTo(attach, "a")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(log, ["close"])
      leave()
      const late = attachTo(yield* channel.reserve(general), "late")
      yield* channel.publish(general, "unheard")
      late()
      assert.deepStrictEqual(log, ["close"])
      assert.strictEqual(sinks.length, 1)
      assert.strictEqual(yield* channel.size, 0)
    })
  )
})

/** A channel whose hook notes, and waits for the test. */
const guarded = (log: Array<string>, opened: Deferred.Deferred<void, "refused">) =>
  Channels.make({
    ...options,
    onOpen: (_, key) =>
      Effect.andThen(
        Effect.acquireRelease(
          Effect.sync(() => void log.push(`open ${key}`)),
          () => Effect.sync(() => void log.push(`close ${key}`))
        ),
        Deferred.await(opened)
      )
  })

describe("Channels.reserve and onOpen", () => {
  it.effect("runs before it returns, once for all, and closes with the last scope", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const opened = yield* Deferred.make<void, "refused">()
      const channel = yield* guarded(log, opened)
      const scopes = [yield* Scope.make(), yield* Scope.make()] as const
      const reserved: Array<Attach<string>> = []
      const fibers = scopes.map((scope) =>
        Effect.runFork(
          Scope.provide(
            Effect.map(channel.reserve(general), (attach) => reserved.push(attach)),
            scope
          )
        )
      )
      const lines = yield* Effect.forkChild(channel.open(general), { startImmediately: true })
      assert.deepStrictEqual(log, ["open room:general"])
      assert.deepStrictEqual(reserved, [])
      yield* Deferred.succeed(opened, undefined)
      for (const fiber of fibers) yield* Fiber.join(fiber)
      const subscription = yield* Fiber.join(lines)
      const { attach, log: heard } = noting()
      attach(reserved[0]!, "a")
      yield* channel.publish(general, "hello")
      assert.deepStrictEqual(heard, ["1:hello to a"])
      yield* Scope.close(scopes[0], Exit.void)
      yield* Scope.close(scopes[1], Exit.void)
      assert.deepStrictEqual(log, ["open room:general"])
      subscription.unsubscribe()
      assert.deepStrictEqual(log, ["open room:general", "close room:general"])
    })
  )

  it.effect("fails with the failure of the hook and leaves nothing, also in a scope that stays open", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const opened = yield* Deferred.make<void, "refused">()
      const channel = yield* guarded(log, opened)
      const scope = yield* Scope.make()
      const reserving = yield* Effect.forkChild(Scope.provide(channel.reserve(general), scope), {
        startImmediately: true
      })
      yield* Deferred.fail(opened, "refused")
      assert.strictEqual(yield* Effect.flip(Fiber.join(reserving)), "refused")
      assert.deepStrictEqual(log, ["open room:general", "close room:general"])
      assert.strictEqual(yield* channel.size, 0)
    })
  )

  it.effect("interrupted while it waits leaves nothing, also in a scope that stays open", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const channel = yield* guarded(log, yield* Deferred.make<void, "refused">())
      const scope = yield* Scope.make()
      const reserving = yield* Effect.forkChild(Scope.provide(channel.reserve(general), scope), {
        startImmediately: true
      })
      yield* Fiber.interrupt(reserving)
      assert.deepStrictEqual(log, ["open room:general", "close room:general"])
    })
  )
})
