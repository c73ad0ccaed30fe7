/**
 * Channels forwarded to real sockets, beside or without a membership.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Channels } from "effect-rooms"
import type { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import {
  type BriefSession,
  type Full,
  type FullSession,
  Hall,
  type HallEvent,
  type HallRoom,
  Halls,
  News,
  openPlace,
  type Place
} from "../support/halls.ts"
import { ways } from "../support/ways.ts"
import { eventually } from "../support/wsClient.ts"

const today = Hall.ref`today`
const loud = (news: string) => news.toUpperCase()

/** What was said, of messages that are events of a hall or texts. */
const said = (messages: ReadonlyArray<unknown>) =>
  messages.map((message) => (typeof message === "string" ? message : (message as HallEvent).data))

const newsOf = (place: Place) => place.run(Effect.map(News, (news) => news))
const names = (place: Place, session: FullSession) =>
  place.run(Effect.map(session.rooms, (all) => all.map(({ identifier }) => identifier)))

describe.each(ways)("session.forward, $way", (way) => {
  it("sends what is published from the moment it returns until its scope closes, without a membership", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const { client, session } = visitor
    const news = await newsOf(place)
    const room = await place.room("today")
    await place.run(news.publish(today, "before"))
    const scope = Scope.makeUnsafe()
    await place.run(
      Effect.gen(function* () {
        yield* Scope.provide(session.forward(news, today), scope)
        yield* news.publish(today, "one")
        yield* news.publish(Hall.ref`another-key`, "elsewhere")
        yield* news.publish(today, "not for them", { except: session.connection })
        assert.strictEqual(yield* news.subscriberCount(today), 1)
        assert.strictEqual(yield* room.size, 0)
        yield* news.publish(today, "two")
        yield* Scope.close(scope, Exit.void)
        yield* news.publish(today, "after")
        session.send("the end")
      })
    )
    assert.deepStrictEqual(await client.take(3), ["one", "two", "the end"])
    assert.strictEqual(await place.run(news.size), 0)
  })

  it("sends a key that is forwarded twice once, until the last of them ends, and once more in other words", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const { client, session } = visitor
    const news = await newsOf(place)
    const plain = await place.hold(session.forward(news, today))
    const changed = await place.hold(session.forward(news, today, loud))
    const again = await place.hold(session.forward(news, today))
    await place.run(Effect.andThen(news.publish(today, "a"), news.publish(today, "b")))
    assert.deepStrictEqual(await client.take(4), ["a", "A", "b", "B"])
    assert.deepStrictEqual(await names(place, session), ["today", "today", "today"])
    await plain.end()
    await place.run(news.publish(today, "c"))
    await changed.end()
    await place.run(news.publish(today, "d"))
    await again.end()
    await place.run(news.publish(today, "e"))
    session.send("the end")
    assert.deepStrictEqual(await client.take(4), ["c", "C", "d", "the end"])
  })

  it("of a room that was joined, before or after, sends nothing twice, and goes on when the room is left", async () => {
    await using place = await openPlace(way)
    using one = await place.full()
    using two = await place.full()
    const halls = await place.run(Effect.map(Halls, (all) => all))
    const room = await place.room("today")
    const membership = await place.hold(one.session.join(room, "member"))
    const forwarded = await place.hold(one.session.forward(halls, today))
    await place.hold(two.session.forward(halls, today))
    await place.hold(two.session.join(room, "member"))
    await place.run(room.broadcast("said", "a"))
    await membership.end()
    await place.run(Effect.andThen(two.session.leave(room), room.broadcast("said", "b")))
    await forwarded.end()
    await place.run(room.broadcast("said", "c"))
    for (const { session } of [one, two]) session.send("the end")
    assert.deepStrictEqual(said(await one.client.take(3)), ["a", "b", "the end"])
    assert.deepStrictEqual(said(await two.client.take(4)), ["a", "b", "c", "the end"])
  })

  it("lists what was joined and is forwarded in the order in which that began, also where names are equal", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const { session } = visitor
    const news = await newsOf(place)
    await place.hold(session.join(await place.room("today"), "member"))
    await place.hold(session.forward(news, Hall.ref`yesterday`))
    const last = await place.hold(session.forward(news, today))
    assert.deepStrictEqual(await names(place, session), ["today", "yesterday", "today"])
    await last.end()
    assert.deepStrictEqual(await names(place, session), ["today", "yesterday"])
  })

  it("ends with the connection, in the step in which that is known, whatever scope it has", async () => {
    await using place = await openPlace(way)
    using leaver = await place.full()
    using reader = await place.full()
    const news = await newsOf(place)
    for (const { session } of [leaver, reader]) await place.hold(session.forward(news, today))
    const counts: Array<number> = []
    leaver.connection.onClose(() => void counts.push(Effect.runSync(news.subscriberCount(today))))
    leaver.client.reset()
    await eventually(() => counts.length === 1)
    assert.deepStrictEqual(counts, [1])
    assert.deepStrictEqual(await names(place, leaver.session), [])
    await place.run(news.publish(today, "still here"))
    assert.strictEqual(await reader.client.next(), "still here")
  })

  it("of a connection that has gone attaches nothing", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const news = await newsOf(place)
    visitor.client.reset()
    await eventually(() => place.server.metric("effect_rooms_connections") === 0)
    await place.hold(visitor.session.forward(news, today))
    assert.strictEqual(await place.run(news.subscriberCount(today)), 0)
    assert.deepStrictEqual(await names(place, visitor.session), [])
  })

  it("waits for `onOpen`, fails with its failure, and leaves nothing of a connection that goes meanwhile", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const { session } = visitor
    const log: Array<string> = []
    const opened = Deferred.makeUnsafe<void, "refused">()
    const { value: channel } = await place.hold(
      Channels.make({
        key: Hall,
        message: Schema.String,
        onOpen: (_, key) =>
          Effect.andThen(
            Effect.acquireRelease(
              Effect.sync(() => void log.push(`open ${key}`)),
              () => Effect.sync(() => void log.push(`close ${key}`))
            ),
            key.endsWith("refused") ? Effect.fail("refused" as const) : Deferred.await(opened)
          )
      })
    )
    const { value: refused } = await place.hold(Effect.exit(session.forward(channel, Hall.ref`refused`)))
    assert.deepStrictEqual(refused, Exit.fail("refused"))
    const late = place.hold(session.forward(channel, Hall.ref`slow`))
    visitor.client.reset()
    await eventually(() => place.server.metric("effect_rooms_connections") === 0)
    await place.run(Deferred.succeed(opened, undefined))
    const { end } = await late
    assert.strictEqual(await place.run(channel.size), 0)
    await end()
    assert.deepStrictEqual(log, ["open hall:refused", "close hall:refused", "open hall:slow", "close hall:slow"])
  })

  it("of a channel that closes leaves the connection as it is", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const { client, session } = visitor
    const made = await place.hold(Channels.make({ key: Hall, message: Schema.String }))
    await place.hold(session.forward(made.value, today))
    await place.run(made.value.publish(today, "last"))
    await made.end()
    await place.run(made.value.publish(today, "unheard"))
    session.send("the end")
    assert.deepStrictEqual(await client.take(2), ["last", "the end"])
  })
})

/** Never called: it is for the compiler. */
const uses = (full: FullSession, brief: BriefSession, room: HallRoom, news: Channels.Channels<Hall, string>) => [
  full.join(room, "member"),
  full.join(room, "member", ({ event }) => event),
  brief.join(room, "member", ({ data }) => String(data)),
  // @ts-expect-error events of the hall are no strings
  brief.join(room, "member"),
  // @ts-expect-error a number is no message of the route
  brief.join(room, "member", () => 1),
  // @ts-expect-error members of the hall are strings
  full.join(room, 1),
  full.forward(news, today),
  brief.forward(news, today, loud),
  // @ts-expect-error a number is no message of the route
  brief.forward(news, today, () => 1)
]

describe("types of join and forward", () => {
  it("`as` is asked for where what is published is no message of the route, and may be left out where it is", () => {
    expectTypeOf<WebSocketRoute.As<HallEvent, string>>().toEqualTypeOf<[as: (message: HallEvent) => string]>()
    expectTypeOf<WebSocketRoute.As<HallEvent, Full>>().toEqualTypeOf<[as?: (message: HallEvent) => Full]>()
    // A union of which one member does not fit is made into messages as a whole.
    expectTypeOf<WebSocketRoute.As<string | number, string>>().toEqualTypeOf<
      [as: (message: string | number) => string]
    >()
  })

  it("join and forward ask for it", () => {
    assert.isFunction(uses)
  })
})
