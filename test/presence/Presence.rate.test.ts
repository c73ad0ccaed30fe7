/**
 * Floods: nobody is refused or cut for changing often, and what others are sent because of it is bounded.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Presence } from "effect-rooms"
import { drain, general } from "../support/channels.ts"
import { alice, bob, type Change, options } from "./support.ts"

/** What the events of a change say: user, status and metadata. */
const said = (change: Change): ReadonlyArray<string> =>
  change._tag !== "Diff"
    ? []
    : change.events.map((event) =>
        event._tag === "Leave"
          ? `${event.user.identifier} left`
          : `${event.entry.user.identifier} ${event.entry.status} ${event.entry.meta}`
      )

/** The most that came within any one second. */
const mostInASecond = (times: ReadonlyArray<number>): number =>
  Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length))

describe("SEC11: a flood", () => {
  for (const listCap of [1_000, 1]) {
    it.effect(`of changes of one device is ten diffs a second, each with what is latest: listCap ${listCap}`, () =>
      Effect.gen(function* () {
        const chat = yield* Presence.make({ ...options, listCap })
        const session = yield* chat.track(general, alice, { meta: "0" })
        const changes = yield* chat.changes(general)
        drain(changes)
        const statuses = ["busy", "away", "online"] as const
        const times: Array<number> = []
        for (let at = 1; at <= 2_500; at++) {
          const status = statuses[at % 3]!
          assert.isTrue(yield* session.update({ status: "online", meta: "overwritten" }))
          assert.isTrue(yield* session.update({ status, meta: `${at}` }))
          yield* TestClock.adjust(1)
          for (const change of drain(changes)) {
            times.push(at)
            assert.deepStrictEqual(said(change), [`alice ${status} ${at}`])
          }
        }
        assert.strictEqual(mostInASecond(times), 10)
        assert.isAtLeast(times.length, 24)
        yield* session.update({ status: "busy", meta: "last" })
        yield* TestClock.adjust(100)
        assert.deepStrictEqual(drain(changes).flatMap(said), ["alice busy last"])
      })
    )
  }

  it.effect("of several devices of two users is ten diffs a second altogether, with one event a user", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const sessions = yield* Effect.forEach(
        [alice, bob].flatMap((user) => ["phone", "tab", "tv"].map((device) => [user, device] as const)),
        ([user, device]) => chat.track(general, user, { device, meta: "0" })
      )
      const changes = yield* chat.changes(general)
      drain(changes)
      const times: Array<number> = []
      for (let at = 1; at <= 1_500; at++) {
        for (const session of sessions) yield* session.update({ meta: `${at}` })
        yield* TestClock.adjust(1)
        for (const change of drain(changes)) {
          times.push(at)
          assert.deepStrictEqual(said(change), [`alice online ${at}`, `bob online ${at}`])
        }
      }
      assert.strictEqual(mostInASecond(times), 10)
    })
  )

  it.effect("of entering and leaving is ten diffs a second, and tells nothing of who was there within one only", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make(options)
      const changes = yield* chat.changes(general)
      drain(changes)
      const times: Array<number> = []
      let there = false
      for (let at = 1; at <= 1_500; at++) {
        yield* Effect.scoped(chat.track(general, bob, { meta: "x" }))
        // An odd number of times within each window, so that there is something to tell.
        if (at % 100 !== 50) {
          there = !there
          if (there) yield* chat.set(general, alice, { meta: "x" })
          else yield* chat.remove(general, alice)
        }
        yield* TestClock.adjust(1)
        for (const change of drain(changes)) {
          times.push(at)
          assert.deepStrictEqual(said(change), [there ? "alice online x" : "alice left"])
        }
      }
      assert.strictEqual(mostInASecond(times), 10)
    })
  )
})
