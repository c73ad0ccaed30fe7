/**
 * When devices go by themselves: not before their time, and one sweep after it at the latest.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { Presence } from "effect-rooms"
import { drain, general, Room } from "../support/channels.ts"
import { alice, bob, type Chat, lines, ManualClock, options } from "./support.ts"

const isPresent = (chat: Chat, user = alice) => Effect.map(chat.get(general, user), Option.isSome)
const hour = 3_600_000

describe("time to live", () => {
  it.effect("a device without a sign of life goes between timeToLive and timeToLive + sweepInterval", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      // At every phase of the sweep.
      for (let phase = 0; phase < 5_000; phase += 499) {
        yield* chat.set(general, alice, { meta: "x" })
        yield* TestClock.adjust(59_999)
        assert.isTrue(yield* isPresent(chat), `before its time at phase ${phase}`)
        yield* TestClock.adjust(5_001)
        assert.isFalse(yield* isPresent(chat), `too long at phase ${phase}`)
        yield* TestClock.adjust(499)
      }
      assert.strictEqual(yield* chat.size, 0)
    })
  )

  for (const sign of ["heartbeat", "update", "set"] as const) {
    it.effect(`${sign} is a sign of life`, () =>
      Effect.gen(function* () {
        const chat = yield* Presence.make(options)
        yield* chat.set(general, alice, { meta: "x" })
        for (let n = 0; n < 5; n++) {
          yield* TestClock.adjust(50_000)
          yield* chat[sign](general, alice, { meta: "x" })
        }
        yield* TestClock.adjust(59_999)
        assert.isTrue(yield* isPresent(chat))
        yield* TestClock.adjust(5_001)
        assert.isFalse(yield* isPresent(chat))
      })
    )
  }

  it.effect("a sign of life of one device keeps no other alive", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      yield* chat.set(general, alice, { device: "phone", meta: "x" })
      yield* chat.set(general, alice, { device: "tab", meta: "x" })
      yield* TestClock.adjust(30_000)
      yield* chat.heartbeat(general, alice, { device: "tab" })
      yield* TestClock.adjust(35_000)
      const entry = Option.getOrThrow(yield* chat.get(general, alice))
      assert.deepStrictEqual(
        entry.devices.map(({ device }) => device),
        ["tab"]
      )
    })
  )

  it.effect("a tracked device needs no heartbeat; what it says last is when it was seen last", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const session = yield* chat.track(general, alice, { meta: "x" })
      yield* TestClock.adjust("1 hour")
      yield* session.heartbeat
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(Option.getOrThrow(yield* chat.get(general, alice)).lastSeen, hour)
    })
  )

  it.effect("J7: cleanup can be called with an age of one's own, and says how many went", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      yield* chat.set(general, alice, { meta: "x" })
      yield* TestClock.adjust(10_000)
      yield* chat.set(Room.ref`other`, alice, { meta: "x" })
      yield* chat.track(general, bob, { meta: "x" })
      assert.strictEqual(yield* chat.cleanup(), 0)
      assert.strictEqual(yield* chat.cleanup(10_001), 0)
      assert.strictEqual(yield* chat.cleanup("10 seconds"), 1)
      assert.strictEqual(yield* chat.cleanup(0), 1)
      assert.isTrue(yield* isPresent(chat, bob))
      assert.strictEqual(yield* chat.size, 1)
    })
  )

  it.effect("K10: a wall clock that jumps an hour either way evicts nobody and keeps nobody", () =>
    Effect.gen(function* () {
      const clock = new ManualClock()
      const chat = yield* Presence.make(options).pipe(Effect.provideService(Clock.Clock, clock))
      for (const jump of [hour, -hour, -hour, hour]) {
        yield* chat.set(general, alice, { meta: "x" })
        const { lastSeen } = Option.getOrThrow(yield* chat.get(general, alice))
        assert.strictEqual(lastSeen, clock.at + clock.wallOffset)
        clock.advance(59_999)
        clock.wallOffset += jump
        assert.strictEqual(yield* chat.cleanup(), 0)
        assert.isTrue(yield* isPresent(chat))
        clock.advance(5_001)
        assert.isFalse(yield* isPresent(chat))
      }
    })
  )

  it.effect("a process that was held up evicts none of those whose heartbeats wait to be read", () =>
    Effect.gen(function* () {
      const clock = new ManualClock()
      const chat = yield* Presence.make(options).pipe(Effect.provideService(Clock.Clock, clock))
      yield* chat.set(general, alice, { meta: "x" })
      yield* chat.set(general, bob, { meta: "x" })
      clock.stall(hour)
      // One is read before the sweep that is due, the other is not.
      yield* chat.heartbeat(general, alice)
      clock.advance(0)
      assert.isTrue(yield* isPresent(chat, alice))
      assert.isTrue(yield* isPresent(chat, bob))
      clock.advance(65_000)
      assert.isFalse(yield* isPresent(chat, alice))
      assert.isFalse(yield* isPresent(chat, bob))
    })
  )
})

describe("grace", () => {
  it.effect("a dropped device is unstable at once, and gone between the grace period and one sweep later", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const watcher = yield* chat.changes(general)
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(chat.track(general, alice, { meta: "x" }), scope)
      yield* TestClock.adjust(2_000)
      drain(watcher)
      assert.isTrue(yield* session.drop)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Option.getOrThrow(yield* chat.get(general, alice)).unstable)
      yield* TestClock.adjust(14_999)
      assert.isTrue(yield* isPresent(chat))
      assert.deepStrictEqual(drain(watcher).flatMap(lines), ["~ alice online"])
      yield* TestClock.adjust(5_101)
      assert.isFalse(yield* isPresent(chat))
      assert.deepStrictEqual(drain(watcher).flatMap(lines), ["- alice dropped"])
    })
  )

  for (const back of ["track", "set", "heartbeat", "update"] as const) {
    it.effect(`P7: a device that is back by ${back} within the grace period never left`, () =>
      Effect.gen(function* () {
        const chat = yield* Presence.make(options)
        const watcher = yield* chat.changes(general)
        const fields = { device: "session-1", meta: "x" }
        const scope = yield* Scope.make()
        const session = yield* Scope.provide(chat.track(general, alice, fields), scope)
        yield* session.drop
        yield* TestClock.adjust(14_000)
        yield* chat[back](general, alice, fields)
        // The old connection notices its end late.
        assert.isFalse(yield* session.drop)
        assert.isFalse(yield* session.heartbeat)
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust(50_000)
        assert.isFalse(Option.getOrThrow(yield* chat.get(general, alice)).unstable)
        assert.deepStrictEqual(drain(watcher).flatMap(lines), ["+ alice online", "~ alice online"])
        yield* TestClock.adjust(15_000)
        assert.strictEqual(yield* isPresent(chat), back === "track")
      })
    )
  }

  it.effect("cleanup does not end a grace period early", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const session = yield* chat.track(general, alice, { meta: "x" })
      yield* session.drop
      assert.strictEqual(yield* chat.cleanup(0), 0)
      assert.isTrue(yield* isPresent(chat))
    })
  )
})
