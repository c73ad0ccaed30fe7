/**
 * Devices tracked on behalf of a connection: what becomes of them when the connection goes, in which way it goes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { Presence, Subscription } from "effect-rooms"
import { drain, general } from "../support/channels.ts"
import { FakeConnection } from "../support/rooms.ts"
import { alice, bob, brief, type Chat, end, endUnsafe, lines, options } from "./support.ts"

const shown = (chat: Chat, user = alice) =>
  Effect.map(chat.get(general, user), (entry) => Option.getOrUndefined(Option.map(entry, brief)))

const window = TestClock.adjust(100)

const tab = { device: "tab", meta: "x" }
const online = "alice online x [tab online x]"
const unstable = "alice online x lost [tab online x lost]"

/** A presence, and a connection that tracks alice in a scope of its own, as a handler does. */
const setUp = Effect.gen(function* () {
  const chat = yield* Presence.make(options)
  const attend = (id: string, fields: typeof tab = tab) =>
    Effect.gen(function* () {
      const connection = new FakeConnection(id)
      const scope = yield* Scope.make()
      const tracking = chat
        .track(general, alice, fields)
        .pipe(Effect.provideService(Subscription.CurrentReceiver, connection), Scope.provide(scope))
      return { connection, scope, tracked: yield* tracking }
    })
  return { attend, chat }
})

describe("a device tracked for a connection", () => {
  it.effect("P5: leaves in the step in which a connection that says goodbye is gone, before its scope closes", () =>
    Effect.gen(function* () {
      const { attend, chat } = yield* setUp
      const changes = yield* chat.changes(general)
      drain(changes)
      const { connection, scope, tracked } = yield* attend("c1")
      assert.strictEqual(yield* shown(chat), online)
      yield* window
      endUnsafe(connection, "clean")
      assert.strictEqual(Effect.runSync(shown(chat)), undefined)
      assert.isFalse(yield* tracked.update({ status: "busy" }))
      yield* window
      assert.deepStrictEqual(drain(changes).flatMap(lines), ["+ alice online", "- alice left"])
      const second = yield* attend("c2")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* shown(chat), online)
      yield* end(second.connection, "clean")
    })
  )

  it.effect("P6: is unstable in the step in which a connection is lost, and gone after the grace period", () =>
    Effect.gen(function* () {
      const { attend, chat } = yield* setUp
      const changes = yield* chat.changes(general)
      drain(changes)
      const { connection, scope, tracked } = yield* attend("c1")
      yield* window
      endUnsafe(connection, "lost")
      assert.strictEqual(Effect.runSync(shown(chat)), unstable)
      assert.isFalse(yield* tracked.update({ status: "busy" }))
      assert.isFalse(yield* tracked.heartbeat)
      assert.isFalse(yield* tracked.drop)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("14999 millis")
      assert.strictEqual(yield* shown(chat), unstable)
      assert.deepStrictEqual(drain(changes).flatMap(lines), ["+ alice online", "~ alice online"])
      yield* TestClock.adjust("5101 millis")
      assert.strictEqual(yield* shown(chat), undefined)
      assert.deepStrictEqual(drain(changes).flatMap(lines), ["- alice dropped"])
    })
  )

  it.effect("P7: that is back within the grace period under its name has not left: one update, stable again", () =>
    Effect.gen(function* () {
      const { attend, chat } = yield* setUp
      const first = yield* attend("c1")
      yield* end(first.connection, "lost")
      yield* TestClock.adjust("14 seconds")
      const changes = yield* chat.changes(general)
      drain(changes)
      const second = yield* attend("c2")
      assert.strictEqual(yield* shown(chat), online)
      yield* Scope.close(first.scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(drain(changes).flatMap(lines), ["~ alice online"])
      assert.isTrue(yield* second.tracked.heartbeat)
      assert.isFalse(Option.getOrThrow(yield* chat.get(general, alice)).unstable)
    })
  )

  for (const ending of ["clean", "lost"] as const) {
    it.effect(`P19: that was taken over by a later connection is not touched when the earlier goes: ${ending}`, () =>
      Effect.gen(function* () {
        const { attend, chat } = yield* setUp
        const first = yield* attend("c1")
        yield* attend("c2")
        yield* end(first.connection, ending)
        assert.strictEqual(yield* shown(chat), online)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* shown(chat), online)
      })
    )

    it.effect(`leaves with a scope that closes first, which lets go of the connection: ${ending}`, () =>
      Effect.gen(function* () {
        const { attend, chat } = yield* setUp
        const { connection, scope } = yield* attend("c1")
        assert.strictEqual(connection.waiting, 1)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(connection.waiting, 0)
        assert.strictEqual(yield* shown(chat), undefined)
        yield* end(connection, ending)
        assert.strictEqual(yield* chat.size, 0)
      })
    )

    it.effect(`P5: never appears when the connection is gone already: ${ending}`, () =>
      Effect.gen(function* () {
        const { chat } = yield* setUp
        const connection = new FakeConnection("c1")
        yield* end(connection, ending)
        const changes = yield* chat.changes(general)
        drain(changes)
        const scope = yield* Scope.make()
        const late = yield* Scope.provide(chat.track(general, alice, { ...tab, as: connection }), scope)
        assert.strictEqual(late.device, "tab")
        assert.isFalse(yield* late.update({ status: "busy" }))
        assert.isFalse(yield* late.heartbeat)
        assert.isFalse(yield* late.drop)
        assert.strictEqual(yield* shown(chat), undefined)
        assert.strictEqual(scope.state._tag, "Empty")
        yield* Scope.close(scope, Exit.void)
        yield* window
        assert.deepStrictEqual(drain(changes), [])
      })
    )

    it.effect(`P19: is not taken over for a connection that is gone already: ${ending}`, () =>
      Effect.gen(function* () {
        const { attend, chat } = yield* setUp
        const old = new FakeConnection("c1")
        yield* end(old, ending)
        const { tracked } = yield* attend("c2")
        yield* Effect.scoped(chat.track(general, alice, { ...tab, meta: "late", as: old }))
        assert.strictEqual(yield* shown(chat), online)
        assert.isTrue(yield* tracked.heartbeat)
      })
    )
  }

  it.effect("that was refused leaves nothing with the connection or the scope", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, maxDevices: 1 })
      yield* chat.set(general, alice, { device: "phone", meta: "x" })
      const connection = new FakeConnection("c1")
      const scope = yield* Scope.make()
      const tracking = chat.track(general, alice, { ...tab, as: connection })
      const { reason } = yield* Effect.flip(Scope.provide(tracking, scope))
      assert.strictEqual(reason, "tooManyDevices")
      assert.strictEqual(connection.waiting, 0)
      assert.strictEqual(scope.state._tag, "Empty")
    })
  )

  it.effect(
    "is that of the fiber's receiver, or of the one it is tracked as, which may be one that is never gone",
    () =>
      Effect.gen(function* () {
        const { chat } = yield* setUp
        const [own, other] = [new FakeConnection("own"), new FakeConnection("other")]
        const track = (device: string, as?: Subscription.Receiver) => chat.track(general, alice, { ...tab, device, as })
        yield* Effect.provideService(track("mine"), Subscription.CurrentReceiver, own)
        yield* Effect.provideService(track("others", other), Subscription.CurrentReceiver, own)
        yield* Effect.provideService(track("nobodys", { id: "nobody" }), Subscription.CurrentReceiver, own)
        yield* track("scopes")
        const devices = Effect.map(chat.get(general, alice), (entry) =>
          Option.getOrThrow(entry).devices.map(({ device }) => device)
        )
        assert.deepStrictEqual(yield* devices, ["scopes", "nobodys", "others", "mine"])
        yield* end(own, "clean")
        assert.deepStrictEqual(yield* devices, ["scopes", "nobodys", "others"])
        yield* end(other, "clean")
        assert.deepStrictEqual(yield* devices, ["scopes", "nobodys"])
      })
  )

  it.effect("leaves the other devices of its user as they are", () =>
    Effect.gen(function* () {
      const { attend, chat } = yield* setUp
      const [phone, laptop] = [yield* attend("c1", { ...tab, device: "phone" }), yield* attend("c2")]
      yield* end(phone.connection, "lost")
      assert.strictEqual(yield* shown(chat), "alice online x [tab online x, phone online x lost]")
      yield* end(laptop.connection, "clean")
      assert.strictEqual(yield* shown(chat), "alice online x lost [phone online x lost]")
    })
  )

  it.effect("P5: a thousand connections that come and go while one scope stays open leave nothing with it", () =>
    Effect.gen(function* () {
      const { chat } = yield* setUp
      const scope = yield* Scope.make()
      for (let n = 0; n < 1_000; n++) {
        const connection = new FakeConnection(`c${n}`)
        yield* Scope.provide(chat.track(general, n % 2 === 0 ? alice : bob, { ...tab, as: connection }), scope)
        yield* end(connection, n % 3 === 0 ? "clean" : "lost")
      }
      const { state } = scope
      assert.strictEqual(state._tag === "Open" ? (state.finalizers?.size ?? 1) : 0, 0)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* chat.size, 0)
    })
  )
})

const nameOf = (chat: Chat) => Effect.map(chat.track(general, alice, { meta: "x" }), ({ device }) => device)

describe("a device without a name", () => {
  it.effect("has one that no other presence gives, so that two nodes can be put together", () =>
    Effect.gen(function* () {
      const [here, there] = [yield* Presence.make(options), yield* Presence.make(options)]
      const names = yield* Effect.all([nameOf(here), nameOf(here), nameOf(there), nameOf(there)])
      assert.strictEqual(new Set(names).size, 4)
      const epochs = names.map((name) => name.split("-")[0])
      assert.strictEqual(epochs[0], epochs[1])
      assert.strictEqual(epochs[2], epochs[3])
      assert.notStrictEqual(epochs[0], epochs[2])
    })
  )
})
