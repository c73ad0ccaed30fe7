/**
 * What subscribers are told: the state first, then each change once, in batches, and the state anew where that fails.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Presence } from "effect-rooms"
import { drain, general, Room, takeNow, User } from "../support/channels.ts"
import { alice, bob, brief, carol, type Change, type Chat, lines, options } from "./support.ts"

const window = TestClock.adjust(100)
const told = (changes: Parameters<typeof drain<Change, never>>[0]) => drain(changes).map(lines)

const fill = (chat: Chat, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => User.ref.make(`user-${n}`)),
    (user) => chat.set(general, user, { meta: "x" }),
    { discard: true }
  )

/** All orders of three. */
const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0]
] as const

describe("changes", () => {
  it.effect("begins with the state when it was subscribed to, and tells what came after in one diff per window", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      yield* chat.set(general, alice, { meta: "x" })
      const changes = yield* chat.changes(general)
      yield* chat.set(general, bob, { meta: "x", status: "busy" })
      assert.deepStrictEqual(told(changes), [["= alice online"]])
      yield* chat.update(general, alice, { status: "away" })
      yield* chat.update(general, alice, { meta: "y" })
      yield* TestClock.adjust(99)
      assert.deepStrictEqual(told(changes), [])
      yield* TestClock.adjust(1)
      yield* chat.remove(general, alice)
      yield* window
      const [first, second] = drain(changes)
      assert(first?._tag === "Diff" && second?._tag === "Diff")
      assert.deepStrictEqual(lines(first), ["+ bob busy", "~ alice away"])
      assert.deepStrictEqual([first.users, first.devices], [2, 2])
      assert.deepStrictEqual(lines(second), ["- alice removed"])
    })
  )

  it.effect("who subscribes in the middle of a window sees the state as it is and no part of it twice", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const early = yield* chat.changes(general)
      yield* chat.set(general, alice, { meta: "x" })
      yield* chat.set(general, bob, { meta: "x" })
      yield* TestClock.adjust(50)
      const late = yield* chat.changes(general)
      yield* chat.set(general, carol, { meta: "x" })
      yield* chat.remove(general, bob)
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(told(early), [[], ["+ alice online", "+ carol online"]])
      assert.deepStrictEqual(told(late), [
        ["= alice online", "= bob online"],
        ["- bob removed", "+ carol online"]
      ])
      yield* chat.remove(general, alice)
      yield* window
      assert.deepStrictEqual([told(early), told(late)], [[["- alice removed"]], [["- alice removed"]]])
    })
  )

  it.effect("what was undone within a window is not told, and a leave with a new enter is no more than an update", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      yield* chat.set(general, alice, { meta: "x" })
      const changes = yield* chat.changes(general)
      drain(changes)
      yield* chat.remove(general, alice)
      yield* chat.set(general, bob, { meta: "x" })
      yield* chat.set(general, alice, { meta: "x" })
      yield* chat.remove(general, bob)
      yield* window
      assert.deepStrictEqual(told(changes), [])
      yield* chat.remove(general, alice)
      yield* chat.set(general, alice, { meta: "x", status: "busy" })
      yield* window
      assert.deepStrictEqual(told(changes), [["~ alice busy"]])
    })
  )

  for (const order of orders) {
    it.effect(`BUG23: three tabs closed in the order ${order.join("")} are one enter and one leave`, () =>
      Effect.gen(function* () {
        const chat = yield* Presence.make(options)
        const changes = yield* chat.changes(general)
        drain(changes)
        const tabs = yield* Effect.forEach([0, 1, 2], (n) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            yield* Scope.provide(chat.track(general, alice, { device: `tab${n}`, meta: `meta${n}` }), scope)
            yield* window
            return scope
          })
        )
        assert.deepStrictEqual(told(changes).flat(), ["+ alice online", "~ alice online", "~ alice online"])
        const open = new Set([0, 1, 2])
        for (const n of order) {
          yield* Scope.close(tabs[n]!, Exit.void)
          open.delete(n)
          yield* window
          const rest = Array.from(open).toReversed()
          const expected = rest.map((tab) => `tab${tab} online meta${tab}`).join(", ")
          const [diff, ...more] = drain(changes)
          assert(diff?._tag === "Diff" && more.length === 0)
          const event = diff.events[0]!
          if (rest.length === 0) assert.deepStrictEqual(lines(diff), ["- alice left"])
          else
            assert.strictEqual(
              event._tag === "Update" && brief(event.entry),
              `alice online meta${rest[0]} [${expected}]`
            )
        }
        assert.deepStrictEqual(told(changes), [])
      })
    )
  }

  it.effect("BUG21: a storm of updates is one event of one entry, and none when all is as it was", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const changes = yield* chat.changes(general)
      drain(changes)
      const session = yield* chat.track(general, alice, { meta: "x" })
      for (let n = 0; n < 1_000; n++) {
        yield* session.update({ meta: `${n}` })
        yield* session.heartbeat
      }
      yield* window
      const [diff] = drain(changes)
      assert(diff?._tag === "Diff" && diff.events.length === 1)
      const event = diff.events[0]!
      assert.strictEqual(event._tag === "Enter" && event.entry.meta, "999")
      for (let n = 0; n < 1_000; n++) {
        yield* session.update({ meta: "999", status: "online" })
        yield* session.heartbeat
        yield* chat.track(general, alice, { device: session.device, meta: "999" })
      }
      yield* window
      assert.deepStrictEqual(drain(changes), [])
    })
  )

  it.effect("a reader that falls behind is given the state anew, at once the latest, and nothing twice after it", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, maxBehind: 3 })
      const slow = yield* chat.changes(general)
      const quick = yield* chat.changes(general)
      drain(slow)
      drain(quick)
      for (const status of ["online", "busy", "away", "online"] as const) {
        yield* chat.set(general, alice, { meta: "x", status })
        yield* window
        drain(quick)
      }
      // Not announced yet: the fresh state has it, so the diff that follows must not tell it again.
      yield* chat.set(general, bob, { meta: "x" })
      assert.deepStrictEqual(told(slow), [["= alice online", "= bob online"]])
      yield* chat.update(general, alice, { status: "busy" })
      yield* window
      assert.deepStrictEqual(told(slow), [["~ alice busy"]])
      assert.deepStrictEqual(told(quick), [["+ bob online", "~ alice busy"]])
    })
  )

  it.effect("a reader at the bound is given every diff", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, maxBehind: 3 })
      const slow = yield* chat.changes(general)
      drain(slow)
      for (const status of ["online", "busy", "away"] as const) {
        yield* chat.set(general, alice, { meta: "x", status })
        yield* window
      }
      assert.deepStrictEqual(told(slow), [["+ alice online"], ["~ alice busy"], ["~ alice away"]])
    })
  )

  it.effect("SEC12: above listCap users only counts are told, and the list again at nine tenths of it", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, listCap: 10 })
      yield* fill(chat, 10)
      const changes = yield* chat.changes(general)
      assert.strictEqual(told(changes)[0]!.length, 10)
      yield* chat.set(general, alice, { meta: "x" })
      yield* window
      assert.deepStrictEqual(told(changes), [["# 11 11"]])
      yield* chat.update(general, alice, { status: "busy" })
      yield* window
      assert.deepStrictEqual(told(changes), [])
      assert.deepStrictEqual(told(yield* chat.changes(general)), [["# 11 11"]])
      yield* chat.remove(general, User.ref`user-0`)
      yield* window
      assert.deepStrictEqual(told(changes), [["# 10 10"]])
      yield* chat.remove(general, User.ref`user-1`)
      yield* window
      const [anew] = drain(changes)
      assert(anew?._tag === "Snapshot")
      assert.strictEqual(anew.entries.length, 9)
    })
  )

  it.effect("I10: what is collected for a diff is bounded: a room that changes very much tells at once", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...options, listCap: 10 })
      const changes = yield* chat.changes(general)
      drain(changes)
      for (let n = 0; n < 25; n++) {
        const user = User.ref.make(`user-${n}`)
        yield* chat.set(general, user, { meta: "x" })
        yield* chat.remove(general, user)
      }
      yield* chat.set(general, alice, { meta: "x" })
      for (let n = 0; n < 9; n++) yield* chat.set(general, User.ref.make(`user-${n}`), { meta: "x" })
      const sizes = told(changes).map((session) => session.length)
      assert.isTrue(sizes.length > 0 && sizes.every((size) => size <= 10))
    })
  )

  it.effect("rooms do not mix, and one that is only read is gone with its last reader", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const scope = yield* Scope.make()
      const changes = yield* Scope.provide(chat.changes(general), scope)
      yield* chat.set(Room.ref`other`, alice, { meta: "x" })
      yield* window
      assert.deepStrictEqual(told(changes), [[]])
      assert.strictEqual(yield* chat.size, 2)
      yield* Scope.close(scope, Exit.void)
      yield* chat.remove(Room.ref`other`, alice)
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  it.effect("waiting readers are woken by a diff, and end with their scope and with the service", () =>
    Effect.gen(function* () {
      const service = yield* Scope.make()
      const own = yield* Scope.make()
      const chat = yield* Scope.provide(Presence.make(options), service)
      const looped: Array<ReadonlyArray<string>> = []
      const loop = yield* chat.changes(general)
      const looping = yield* Effect.forkChild(
        Effect.promise(async () => {
          for await (const change of loop) looped.push(lines(change))
        })
      )
      const stream = yield* chat.changes(general)
      const streaming = yield* Effect.forkChild(Stream.runCollect(stream.stream))
      const short = yield* Scope.provide(chat.changes(general), own)
      drain(short)
      const taking = yield* Effect.forkChild(Effect.flip(short.take))
      yield* TestClock.adjust(1)
      yield* Scope.close(own, Exit.void)
      assert.isTrue(Cause.isDone(yield* Fiber.join(taking)))
      yield* chat.set(general, alice, { meta: "x" })
      yield* window
      yield* Scope.close(service, Exit.void)
      yield* Fiber.join(looping)
      assert.deepStrictEqual(looped, [[], ["+ alice online"]])
      assert.deepStrictEqual((yield* Fiber.join(streaming)).map(lines), looped)
      const exit = takeNow(yield* chat.changes(general))
      assert.isTrue(exit !== undefined && Exit.isFailure(exit))
    })
  )
})

describe("occupancy", () => {
  it.effect("counts users and devices: now, then when they change, and only the latest to a slow reader", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      yield* chat.set(general, alice, { meta: "x" })
      const counts = yield* Stream.toPull(chat.occupancy(general))
      const reader = { take: Effect.map(counts, ([counted]) => [counted.users, counted.devices]) }
      assert.deepStrictEqual(drain(reader), [[1, 1]])
      yield* chat.update(general, alice, { status: "busy" })
      yield* window
      assert.deepStrictEqual(drain(reader), [])
      for (const device of ["a", "b", "c"]) {
        yield* chat.set(general, bob, { device, meta: "x" })
        yield* window
      }
      assert.deepStrictEqual(drain(reader), [[2, 4]])
      const waiting = yield* Effect.forkChild(reader.take)
      yield* TestClock.adjust(1)
      yield* chat.remove(general, bob)
      yield* window
      assert.deepStrictEqual(yield* Fiber.join(waiting), [1, 1])
    })
  )

  it.effect("subscribes while it runs, and ends with the service", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const chat = yield* Scope.provide(Presence.make(options), scope)
      const occupancy = chat.occupancy(general)
      assert.strictEqual(yield* chat.size, 0)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(occupancy, 1)), [{ users: 0, devices: 0 }])
      assert.strictEqual(yield* chat.size, 0)
      const running = yield* Effect.forkChild(Stream.runCollect(occupancy))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* chat.size, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Fiber.join(running), [{ users: 0, devices: 0 }])
    })
  )
})
