/**
 * Changes on their way to clients: what is encoded is JSON, and what is decoded is the same.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Presence } from "effect-rooms"
import { drain, general, Room, User } from "../support/channels.ts"
import { alice, bob } from "./support.ts"

/** Metadata that is not its own JSON. */
const Meta = Schema.Struct({
  since: Schema.DateTimeUtcFromMillis,
  seen: Schema.Date,
  tags: Schema.ReadonlySet(Schema.String),
  note: Schema.optionalKey(Schema.String),
  x: Schema.Finite
})
type Meta = typeof Meta.Type
type Change = Presence.Change<User, Meta>

const users = { user: User, meta: Meta }
const changes = Presence.changeSchema(users)
const encode = Schema.encodeSync(changes)
const decode = Schema.decodeUnknownSync(changes)
const decodeResult = Schema.decodeUnknownResult(changes)

/** By value: references, dates and sets by what they hold. */
const assertSame = (actual: unknown, expected: unknown): void => {
  if (!Equal.equals(actual, expected)) assert.fail(`${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`)
}

/** There and back, by way of the text a socket carries. */
const travel = (change: Change): Change => decode(JSON.parse(JSON.stringify(encode(change))))

const millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_640_000_000_000 }))
const Drawn = Schema.Struct({
  tag: Schema.Literals(["Snapshot", "Counts", "Diff"]),
  counts: Schema.Tuple([millis, millis]),
  people: Schema.Array(
    Schema.Struct({
      name: Schema.Literals(["a", "hasOwnProperty", "u/1:2", "x".repeat(128)]),
      event: Schema.Literals(["Enter", "Update", "Leave"]),
      reason: Schema.Literals(["left", "expired", "dropped", "removed"]),
      devices: Schema.NonEmptyArray(
        Schema.Struct({
          device: Schema.NonEmptyString,
          status: Schema.Literals(["online", "away", "busy"]),
          lastSeen: Schema.Finite,
          unstable: Schema.Boolean,
          since: millis,
          tags: Schema.Array(Schema.String),
          note: Schema.Union([Schema.String, Schema.Undefined]),
          x: Schema.Finite
        })
      )
    })
  )
})

/** Any change whatever, also such as no presence tells. */
const drawn = Arbitrary.map(Arbitrary.schema(Drawn), ({ counts: [all, each], people, tag }): Change => {
  const occupancy = { users: all, devices: each }
  const entryOf = ({ devices, name }: (typeof people)[number]): Presence.Entry<User, Meta> => {
    const shown = devices.map(({ note, since, tags, x, ...rest }) => ({
      ...rest,
      meta: {
        since: DateTime.makeUnsafe(since),
        seen: new Date(since),
        tags: new Set(tags),
        ...(note !== undefined && { note }),
        x
      }
    }))
    const { lastSeen, meta, status, unstable } = shown[0]!
    return { user: User.ref.make(name), status, meta, lastSeen, unstable, devices: shown }
  }
  switch (tag) {
    case "Counts":
      return { _tag: "Counts", ...occupancy }
    case "Snapshot":
      return { _tag: "Snapshot", ...occupancy, entries: people.map(entryOf) }
    case "Diff":
      return {
        _tag: "Diff",
        ...occupancy,
        events: people.map((person) =>
          person.event === "Leave"
            ? { _tag: "Leave", user: User.ref.make(person.name), reason: person.reason }
            : { _tag: person.event, entry: entryOf(person) }
        )
      }
  }
})

const metaOf = (x: number): Meta => ({
  since: DateTime.makeUnsafe(1_000 * x),
  seen: new Date(2_000 * x),
  tags: new Set(["a", `${x}`]),
  x
})

const leave = (fields: object) => ({
  _tag: "Diff",
  users: 0,
  devices: 0,
  events: [{ _tag: "Leave", user: "alice", reason: "left", ...fields }]
})

describe("the schema of changes", () => {
  it.prop(
    "carries every change: what is decoded from the text is what was encoded",
    { change: drawn },
    ({ change }) => {
      const received = travel(change)
      assertSame(received, change)
      assert.strictEqual(JSON.stringify(encode(received)), JSON.stringify(encode(change)))
    },
    { arbitrary: { runs: 500, size: 12, seed: "effect-rooms" } }
  )

  it.effect("carries what a presence tells, so that a client that applies it knows what the server lists", () =>
    Effect.gen(function* () {
      const chat = yield* Presence.make({ ...users, room: Room, listCap: 2 })
      const wire = Presence.changeSchema(chat)
      const reader = yield* chat.changes(general)
      let known: Presence.Listing<User, Meta> = { _tag: "Counts", users: -1, devices: -1 }
      const tags: Array<string> = []
      const agree = Effect.gen(function* () {
        yield* TestClock.adjust(100)
        for (const change of drain(reader)) {
          tags.push(change._tag)
          const text = JSON.stringify(Schema.encodeSync(wire)(change))
          known = Presence.apply(known, Schema.decodeUnknownSync(wire)(JSON.parse(text)))
        }
        if (known._tag === "Snapshot") assertSame(known, yield* chat.list(general))
      })
      yield* agree
      const session = yield* chat.track(general, alice, { device: "tab", status: "busy", meta: metaOf(1) })
      yield* agree
      yield* session.drop
      yield* chat.set(general, bob, { meta: metaOf(2) })
      yield* agree
      yield* chat.set(general, User.ref`carol`, { meta: metaOf(3) })
      yield* agree
      yield* TestClock.adjust("1 minute")
      yield* chat.set(general, bob, { meta: metaOf(4) })
      yield* agree
      yield* chat.remove(general, bob)
      yield* agree
      assert.deepStrictEqual(tags, ["Snapshot", "Diff", "Diff", "Counts", "Counts", "Snapshot"])
    })
  )

  it("writes users as identifiers and metadata as its schema says", () => {
    const device = { device: "tab", status: "online", meta: metaOf(1), lastSeen: 5, unstable: false } as const
    const { device: _, ...shown } = device
    const meta = { since: 1_000, seen: "1970-01-01T00:00:02.000Z", tags: ["a", "1"], x: 1 }
    const entry: Presence.Entry<User, Meta> = { user: alice, ...shown, devices: [device] }
    assert.deepStrictEqual(encode({ _tag: "Diff", users: 1, devices: 1, events: [{ _tag: "Enter", entry }] }), {
      _tag: "Diff",
      users: 1,
      devices: 1,
      events: [
        {
          _tag: "Enter",
          entry: { user: "alice", ...shown, meta, devices: [{ ...device, meta }] }
        }
      ]
    })
  })

  it.effect("needs no schema of metadata where there is none", () =>
    Effect.gen(function* () {
      const online = yield* Presence.make({ user: User })
      yield* online.set(Presence.everywhere, alice, { status: "away" })
      const reader = yield* online.changes(Presence.everywhere)
      const first = Option.getOrThrow(yield* Stream.runHead(reader.stream))
      const wire = Presence.changeSchema(online)
      const received = Schema.decodeUnknownSync(wire)(JSON.parse(JSON.stringify(Schema.encodeSync(wire)(first))))
      assertSame(received, first)
      assert(received._tag === "Snapshot" && received.entries[0]!.meta === undefined)
      assertSame(Schema.decodeUnknownSync(Presence.changeSchema({ user: User }))(Schema.encodeSync(wire)(first)), first)
    })
  )

  it("refuses what no presence tells", () => {
    const good = encode({
      _tag: "Diff",
      users: 0,
      devices: 0,
      events: [{ _tag: "Leave", user: alice, reason: "left" }]
    })
    assert.isTrue(Result.isSuccess(decodeResult(good)))
    const device = { device: "tab", status: "online", meta: metaOf(1), lastSeen: 5, unstable: false } as const
    const { device: _, ...shown } = device
    const whole = encode({
      _tag: "Snapshot",
      users: 1,
      devices: 1,
      entries: [{ user: alice, ...shown, devices: [device] }]
    })
    assert.isTrue(Result.isSuccess(decodeResult(whole)))
    const [entry] = (whole as unknown as { readonly entries: ReadonlyArray<object> }).entries
    const bad = [
      leave({ user: "__proto__" }),
      leave({ user: "no spaces" }),
      leave({ reason: "bored" }),
      leave({ _tag: "Enter" }),
      { _tag: "Counts", users: -1, devices: 0 },
      { _tag: "Counts", users: 0.5, devices: 0 },
      { _tag: "Snapshot", users: 0, devices: 0 },
      { _tag: "Unknown", users: 0, devices: 0 },
      { _tag: "Snapshot", users: 1, devices: 0, entries: [{ ...entry, devices: [] }] },
      { _tag: "Snapshot", users: 1, devices: 1, entries: [{ ...entry, meta: {} }] }
    ]
    for (const change of bad) assert.isTrue(Result.isFailure(decodeResult(change)), JSON.stringify(change))
  })

  it("has the types of its presence", () => {
    expectTypeOf(changes).toEqualTypeOf<Schema.Codec<Presence.Change<User, Meta>, Schema.Json>>()
    const bare = Presence.changeSchema({ user: User })
    expectTypeOf(bare).toEqualTypeOf<Schema.Codec<Presence.Change<User, undefined>, Schema.Json>>()
    expectTypeOf<Presence.Presence<Room, User, Meta>>().toExtend<Presence.Users<User, Meta>>()
  })
})
