import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { expectTypeOf } from "vitest"
import { Presence } from "effect-rooms"
import { general, Room, User } from "../support/channels.ts"
import { usedHeap } from "../support/memory.ts"
import { alice, bob, brief, carol, type Chat, options } from "./support.ts"

const shown = (chat: Chat, user = alice) =>
  Effect.map(chat.get(general, user), (entry) => Option.getOrUndefined(Option.map(entry, brief)))

const reasonOf = <A>(effect: Effect.Effect<A, Presence.PresenceError, Scope.Scope>) =>
  Effect.map(Effect.flip(effect), (error) => [error.reason, error.limit])

class Chatters extends Presence.Service<Chatters>()("test/Chatters", options) {}
class Online extends Presence.Service<Online>()("test/Online", { user: User }) {}

describe("presence", () => {
  it.effect("J7: sets, updates, gets and removes; what is unknown is not created", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      assert.isFalse(yield* chat.heartbeat(general, alice))
      assert.isFalse(yield* chat.update(general, alice, { status: "busy" }))
      assert.isFalse(yield* chat.remove(general, alice))
      assert.isTrue(Option.isNone(yield* chat.get(general, alice)))
      assert.strictEqual(yield* chat.size, 0)
      yield* chat.set(general, alice, { meta: "x" })
      assert.strictEqual(yield* shown(chat), "alice online x [default online x]")
      assert.isTrue(yield* chat.heartbeat(general, alice))
      assert.isTrue(yield* chat.update(general, alice, { status: "away" }))
      assert.strictEqual(yield* shown(chat), "alice away x [default away x]")
      assert.isTrue(yield* chat.update(general, alice, { meta: "y" }))
      assert.strictEqual(yield* shown(chat), "alice away y [default away y]")
      assert.isTrue(yield* chat.remove(general, alice))
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  it.effect("a user is shown as the best of the devices, on a tie as the newest, with that device's metadata", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      yield* chat.set(general, alice, { device: "tab", status: "away", meta: "tab" })
      yield* chat.set(general, alice, { device: "phone", status: "busy", meta: "phone" })
      assert.strictEqual(yield* shown(chat), "alice busy phone [phone busy phone, tab away tab]")
      yield* chat.update(general, alice, { device: "tab", status: "online" })
      assert.strictEqual(yield* shown(chat), "alice online tab [phone busy phone, tab online tab]")
      yield* chat.update(general, alice, { device: "phone", status: "online" })
      assert.strictEqual(yield* shown(chat), "alice online phone [phone online phone, tab online tab]")
      yield* chat.remove(general, alice, { device: "phone" })
      assert.strictEqual(yield* shown(chat), "alice online tab [tab online tab]")
    })
  )

  it.effect("a tracked device is present while its scope is open, and each without a name is one of its own", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      const a = yield* Scope.provide(chat.track(general, alice, { meta: "a" }), first)
      const b = yield* Scope.provide(chat.track(general, alice, { meta: "b" }), second)
      assert.notStrictEqual(a.device, b.device)
      yield* Scope.close(second, Exit.void)
      assert.strictEqual(yield* shown(chat), `alice online a [${a.device} online a]`)
      assert.isTrue(yield* a.update({ status: "busy", meta: "c" }))
      assert.strictEqual(yield* shown(chat), `alice busy c [${a.device} busy c]`)
      assert.isFalse(yield* b.update({ status: "busy" }))
      assert.isFalse(yield* b.heartbeat)
      assert.isFalse(yield* b.drop)
      yield* Scope.close(first, Exit.void)
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  it.effect("a device that is dropped was seen when it was dropped, and so was its user", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const first = yield* chat.track(general, alice, { meta: "a" })
      yield* TestClock.adjust("50 minutes")
      yield* chat.track(general, alice, { meta: "b" })
      yield* TestClock.adjust("10 minutes")
      yield* first.drop
      const entry = Option.getOrThrow(yield* chat.get(general, alice))
      assert.strictEqual(entry.lastSeen, 3_600_000)
    }).pipe(Effect.scoped)
  )

  it.effect("P19: a device tracked again belongs to the newer scope; the older cannot close, drop or change it", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const [older, newer] = [yield* Scope.make(), yield* Scope.make()]
      const fields = { device: "tab", meta: "x" }
      const late = yield* Scope.provide(chat.track(general, alice, fields), older)
      yield* Scope.provide(chat.track(general, alice, fields), newer)
      assert.strictEqual(yield* shown(chat), "alice online x [tab online x]")
      assert.isFalse(yield* late.drop)
      assert.isFalse(yield* late.update({ status: "busy" }))
      yield* Scope.close(older, Exit.void)
      assert.strictEqual(yield* shown(chat), "alice online x [tab online x]")
      yield* Scope.close(newer, Exit.void)
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  it.effect("P19: a scope from before the room was empty cannot touch the room after it", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const [older, newer] = [yield* Scope.make(), yield* Scope.make()]
      const fields = { device: "tab", meta: "x" }
      yield* Scope.provide(chat.track(general, alice, fields), older)
      yield* chat.remove(general, alice)
      assert.strictEqual(yield* chat.size, 0)
      yield* Scope.provide(chat.track(general, alice, fields), newer)
      yield* Scope.close(older, Exit.void)
      assert.strictEqual(yield* shown(chat), "alice online x [tab online x]")
      yield* Scope.close(newer, Exit.void)
    })
  )

  it.effect("P5: tracking in a scope that is closed already leaves nothing behind", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      yield* Scope.provide(chat.track(general, alice, { meta: "x" }), scope)
      yield* Scope.provide(chat.changes(general), scope)
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  it.effect("SEC16: metadata is checked against its schema and its size, and refused without a trace", () =>
    Effect.gen(function* () {
      const meta = Schema.Struct({ x: Schema.Finite, name: Schema.optionalKey(Schema.String) })
      const chat = yield* Presence.make({ ...options, meta })
      const wrong = { x: Number.NaN }
      assert.deepStrictEqual(yield* reasonOf(chat.set(general, alice, { meta: wrong })), ["metaInvalid", undefined])
      assert.deepStrictEqual(yield* reasonOf(chat.track(general, alice, { meta: wrong })), ["metaInvalid", undefined])
      const overhead = JSON.stringify({ x: 1, name: "" }).length
      const large = { x: 1, name: "x".repeat(1_025 - overhead) }
      assert.deepStrictEqual(yield* reasonOf(chat.set(general, alice, { meta: large })), ["metaTooLarge", 1_024])
      // 3 bytes each: few characters, too many bytes.
      const wide = { x: 1, name: "€".repeat(400) }
      assert.deepStrictEqual(yield* reasonOf(chat.set(general, alice, { meta: wide })), ["metaTooLarge", 1_024])
      assert.strictEqual(yield* chat.size, 0)
      const fits = { x: 1, name: "x".repeat(1_024 - overhead) }
      yield* chat.set(general, alice, { meta: fits })
      assert.deepStrictEqual(yield* reasonOf(chat.update(general, alice, { meta: large })), ["metaTooLarge", 1_024])
      assert.deepStrictEqual(Option.getOrThrow(yield* chat.get(general, alice)).meta, fits)
    })
  )

  it.effect("the devices of a user, of all rooms, and their names are bounded", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, maxDevices: 2, capacity: 3 })
      const add = (user: typeof alice, device: string) => chat.set(general, user, { device, meta: "x" })
      yield* add(alice, "a")
      yield* add(alice, "b")
      assert.deepStrictEqual(yield* reasonOf(add(alice, "c")), ["tooManyDevices", 2])
      yield* add(alice, "b")
      yield* chat.set(Room.ref`other`, bob, { meta: "x" })
      assert.deepStrictEqual(yield* reasonOf(add(bob, "a")), ["full", 3])
      yield* chat.remove(general, alice, { device: "a" })
      yield* add(bob, "a")
      for (const name of ["", "x".repeat(129)])
        assert.deepStrictEqual(yield* reasonOf(add(alice, name)), ["badDevice", 128])
      const { message } = new Presence.PresenceError({ reason: "tooManyDevices", limit: 2 })
      assert.strictEqual(message, "the user has 2 devices in the room, the most that is allowed")
    })
  )

  it.effect("lists in the order users entered, up to listCap users; above it only counts", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, listCap: 2 })
      yield* chat.set(general, bob, { meta: "x" })
      yield* chat.set(general, alice, { meta: "x" })
      yield* chat.set(general, bob, { meta: "x", device: "tab" })
      const full = yield* chat.list(general)
      assert(full._tag === "Snapshot")
      assert.deepStrictEqual(
        full.entries.map((entry) => entry.user.identifier),
        ["bob", "alice"]
      )
      yield* chat.set(general, carol, { meta: "x" })
      assert.deepStrictEqual(yield* chat.list(general), { _tag: "Counts", users: 3, devices: 4 })
    })
  )

  it.effect("is a service, and global where there is no room entity", () =>
    Effect.gen(function* () {
      const online = yield* Online
      yield* online.set(Presence.everywhere, alice, { status: "away" })
      assert.strictEqual(Option.getOrThrow(yield* online.get(Presence.everywhere, alice)).status, "away")
      const chatters = yield* Chatters
      yield* chatters.set(general, alice, { meta: "x" })
      expectTypeOf(online).toEqualTypeOf<Presence.Presence<Presence.Everywhere, User, undefined>>()
      expectTypeOf(chatters).toEqualTypeOf<Chat>()
      // @ts-expect-error: metadata is needed where there is a schema
      const withoutMeta = () => chatters.set(general, alice, { status: "busy" })
      // @ts-expect-error: a user is no room
      const noRoom = () => chatters.get(alice, alice)
      assert.isFunction(withoutMeta)
      assert.isFunction(noRoom)
    }).pipe(Effect.provide([Chatters.layer, Online.layer]))
  )

  it.effect("bounds that are no bounds are refused at once", () =>
    Effect.gen(function* () {
      for (const bad of [{ listCap: 0 }, { capacity: 1.5 }, { batchWindow: 0 }, { timeToLive: -1 }]) {
        const exit = yield* Effect.exit(Presence.make({ ...options, ...bad }))
        assert.isTrue(Exit.hasDies(exit))
      }
    })
  )

  it.effect("after its end nobody is present, and calls change nothing", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const chat = yield* Scope.provide(Presence.make(options), scope)
      yield* chat.track(general, alice, { meta: "x" })
      yield* Scope.close(scope, Exit.void)
      yield* chat.set(general, bob, { meta: "x" })
      const late = yield* chat.track(general, bob, { meta: "x" })
      assert.isFalse(yield* late.heartbeat)
      assert.strictEqual(yield* chat.cleanup(0), 0)
      assert.deepStrictEqual(yield* chat.list(general), { _tag: "Snapshot", users: 0, devices: 0, entries: [] })
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  it.effect("P5: twenty thousand devices that came and went leave nothing behind", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const visit = (n: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const room = Room.ref.make(`room/${n % 500}`)
            yield* chat.changes(room)
            const session = yield* chat.track(room, User.ref.make(`user/${n}`), { meta: "x" })
            if (n % 3 === 0) yield* session.drop
            if (n % 3 === 0) yield* chat.remove(room, User.ref.make(`user/${n}`))
          })
        )
      for (let n = 0; n < 2_000; n++) yield* visit(n)
      const before = yield* Effect.promise(usedHeap)
      for (let n = 0; n < 20_000; n++) yield* visit(n)
      assert.strictEqual(yield* chat.size, 0)
      const after = yield* Effect.promise(usedHeap)
      assert.isBelow(after - before, 2 * 1_048_576)
    })
  )
})
