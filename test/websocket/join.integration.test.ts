/**
 * Rooms on real sockets: what members are sent, in which order, and until when.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { counted, Hall, HallApi, type HallEvent, Halls, inBrief, openHall, openPlace, said } from "../support/halls.ts"
import { ways } from "../support/ways.ts"
import { eventually } from "../support/wsClient.ts"

describe.each(ways)("session.join, $way", (way) => {
  it("sends the events of the room in the order in which they were published, but not to whom they except", async () => {
    await using hall = await openHall(way, 3)
    const { room, visitors } = hall
    const [first, second, third] = visitors
    await hall.place.run(
      Effect.gen(function* () {
        for (let n = 0; n < 100; n++) {
          yield* room.broadcast("counted", n, { except: n % 3 === 0 ? first!.connection : [] })
          if (n % 10 === 0) yield* Effect.yieldNow
        }
        yield* room.broadcast("said", "neither", { except: [first!.connection, second!.connection] })
        yield* room.broadcast("said", "the end")
      })
    )
    const all = Array.from({ length: 100 }, (_, n) => n)
    const end = said("the end")
    const others = [...all.filter((n) => n % 3 !== 0).map(counted), end]
    assert.deepStrictEqual(await first!.client.take(others.length), others)
    assert.deepStrictEqual(await second!.client.take(101), [...all.map(counted), end])
    assert.deepStrictEqual(await third!.client.take(102), [...all.map(counted), said("neither"), end])
  })

  it("sends what `as` makes of the events, on the route that needs it and on the one that does not", async () => {
    await using place = await openPlace(way)
    const room = await place.room("hall")
    using full = await place.full()
    using brief = await place.brief()
    using changed = await place.full()
    await place.hold(full.session.join(room, "as they are"))
    await place.hold(brief.session.join(room, "in brief", inBrief))
    await place.hold(changed.session.join(room, "changed", ({ event }) => event))
    await place.run(Effect.andThen(room.broadcast("said", "hello"), room.broadcast("counted", 7)))
    assert.deepStrictEqual(await full.client.take(2), [said("hello"), counted(7)])
    assert.deepStrictEqual(await brief.client.take(2), ["hello", "7"])
    assert.deepStrictEqual(await changed.client.take(2), ["said", "counted"])
  })

  it("TRAP13: encodes an event once for fifty members of a route, and once for each wire of two routes", async () => {
    await using hall = await openHall(way, 50)
    const { place, room, visitors } = hall
    await place.run(room.broadcast("said", "to one route", { except: visitors[0]!.connection }))
    for (const { client } of visitors.slice(1)) assert.deepStrictEqual(await client.next(), said("to one route"))
    assert.deepStrictEqual({ ...place.encodings }, { full: 1, brief: 0 })

    using first = await place.brief()
    using second = await place.brief()
    let made = 0
    const once = (event: HallEvent) => {
      made++
      return inBrief(event)
    }
    for (const { session } of [first, second]) await place.hold(session.join(room, "in brief", once))
    await place.run(room.broadcast("said", "to two"))
    for (const { client } of visitors) assert.deepStrictEqual(await client.next(), said("to two"))
    for (const { client } of [first, second]) assert.strictEqual(await client.next(), "to two")
    assert.deepStrictEqual({ ...place.encodings, made }, { full: 2, brief: 1, made: 1 })
  })

  it("leaving stops what is sent at once, and joining again begins it again, in the middle of a turn", async () => {
    await using hall = await openHall(way, 2)
    const { place, room, visitors } = hall
    const [watcher, { client, session }] = visitors as [(typeof visitors)[0], (typeof visitors)[0]]
    const scope = Scope.makeUnsafe()
    const left: Array<boolean> = []
    await place.run(
      Effect.gen(function* () {
        yield* room.broadcast("counted", 1)
        left.push(yield* session.leave(room), yield* session.leave(room))
        yield* room.broadcast("counted", 2)
        yield* Scope.provide(session.join(room, "again"), scope)
        yield* room.broadcast("counted", 3)
        yield* Scope.close(scope, Exit.void)
        yield* room.broadcast("counted", 4)
        session.send("the end")
      })
    )
    assert.deepStrictEqual(left, [true, false])
    assert.deepStrictEqual(await client.take(3), [counted(1), counted(3), "the end"])
    assert.deepStrictEqual(await watcher.client.take(4), [1, 2, 3, 4].map(counted))
  })

  it("who joins again without leaving is sent each event once, as the later join says", async () => {
    await using place = await openPlace(way)
    const room = await place.room("hall")
    using visitor = await place.full()
    const { client, session } = visitor
    const earlier = await place.hold(session.join(room, "as it is"))
    await place.run(room.broadcast("counted", 1))
    await place.hold(session.join(room, "changed", ({ data }) => `${data}`))
    await place.run(room.broadcast("counted", 2))
    await earlier.end()
    await place.run(room.broadcast("counted", 3))
    assert.deepStrictEqual(await client.take(3), [counted(1), "2", "3"])
    assert.deepStrictEqual(await place.run(Effect.map(session.rooms, (all) => all.length)), 1)
  })

  it("a membership ends with its scope, with the connection, and when the room is closed", async () => {
    await using hall = await openHall(way, 3)
    const { place, room, visitors } = hall
    const [stays, closes, resets] = visitors
    const scoped = await place.hold(stays!.session.join(await place.room("other"), "for a while"))
    const names = () => place.run(Effect.map(stays!.session.rooms, (all) => all.map(({ identifier }) => identifier)))
    assert.deepStrictEqual(await names(), ["hall", "other"])
    await scoped.end()
    assert.deepStrictEqual(await names(), ["hall"])
    const size = () => place.run(room.size)
    closes!.client.socket.close()
    await eventually(async () => (await size()) === 2)
    resets!.client.reset()
    await eventually(async () => (await size()) === 1)
    assert.deepStrictEqual(await place.run(closes!.session.rooms), [])
    await place.run(Effect.andThen(room.broadcast("said", "last"), room.close("enough")))
    await place.run(room.broadcast("said", "unheard"))
    stays!.session.send("the end")
    assert.deepStrictEqual(await stays!.client.take(2), [said("last"), "the end"])
    assert.deepStrictEqual(await names(), [])
  })

  it("a message a wire cannot encode is logged and counted, and costs nobody anything else", async () => {
    await using hall = await openHall(way, 2)
    const { place, room, visitors } = hall
    using brief = await place.brief()
    await place.hold(
      brief.session.join(room, "in brief", ({ data }) => {
        if (data === "unspeakable") throw new Error("cannot be put in brief")
        return String(data)
      })
    )
    await place.run(
      Effect.gen(function* () {
        yield* room.broadcast("said", "before")
        yield* room.broadcast("counted", Number.NaN)
        yield* room.broadcast("said", "unspeakable")
        yield* room.broadcast("said", "after")
      })
    )
    for (const { client } of visitors) {
      assert.deepStrictEqual(await client.take(3), [said("before"), said("unspeakable"), said("after")])
    }
    assert.deepStrictEqual(await brief.client.take(3), ["before", "NaN", "after"])
    assert.strictEqual(place.server.metric("effect_rooms_encode_failures", { route: "/full" }), 1)
    assert.strictEqual(place.server.metric("effect_rooms_encode_failures", { route: "/brief" }), 1)
    const errors = place.server.logs.filter(({ level }) => level === "Error")
    assert.strictEqual(errors.length, 2)
    assert.include(JSON.stringify(errors.map(({ message }) => message)), "cannot be sent")
  })

  it("counts what was handed to connections, without those who were left out", async () => {
    await using hall = await openHall(way, 3)
    const { place, room, visitors } = hall
    await place.run(room.broadcast("said", "to two", { except: visitors[0]!.connection }))
    await place.run(room.broadcast("said", "to all"))
    for (const { client } of visitors) await eventually(() => client.messages.length > 0)
    await eventually(() => place.server.metric("effect_rooms_deliveries", { route: "/full" }) === 5)
  })
})

describe.each(ways)("a membership that has ended, $way", (way) => {
  it("tells whether its session has left, or was taken out, and why", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const room = await place.room("hall")
    const { session } = visitor
    const told: Array<string> = []
    for (const leave of [
      session.leave(room),
      room.leave(session.connection),
      room.leave(session.connection, "banned")
    ]) {
      const { value: membership } = await place.hold(session.join(room, "in"))
      assert.isTrue(await place.run(leave))
      told.push(await place.run(membership.ended))
    }
    assert.deepStrictEqual(told, ["left", "removed", "banned"])
  })
})

/** Rooms that let nobody in before the test says so. */
const guarded = (allowed: Deferred.Deferred<boolean>) => Rooms.make(HallApi, { canJoin: () => Deferred.await(allowed) })

describe.each(ways)("BUG8, TRAP1: a connection that closes while it joins, $way", (way) => {
  it("does not come in: the join fails with MemberGone and leaves nothing", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    const allowed = Deferred.makeUnsafe<boolean>()
    const { value: rooms } = await place.hold(guarded(allowed))
    const room = rooms.get(Hall.ref`guarded`)
    const joining = place.hold(Effect.exit(visitor.session.join(room, "late")))
    visitor.client.reset()
    await eventually(() => place.server.metric("effect_rooms_connections") === 0)
    await place.run(Deferred.succeed(allowed, true))
    const { value: exit } = await joining
    assert.strictEqual(Option.getOrThrow(Exit.findErrorOption(exit)).reason._tag, "MemberGone")
    assert.deepStrictEqual(await place.run(rooms.list), [])
    assert.deepStrictEqual(await place.run(visitor.session.rooms), [])
  })

  it("nor when it is the handler that joins, which is no failure of the handler", async () => {
    const allowed = Deferred.makeUnsafe<boolean>()
    const asked = Deferred.makeUnsafe<void>()
    await using place = await openPlace(way, ({ join }) =>
      Effect.gen(function* () {
        const rooms = yield* guarded(allowed)
        yield* Deferred.succeed(asked, undefined)
        yield* join(rooms.get(Hall.ref`guarded`), "late")
        const halls = yield* Halls
        yield* join(halls.get(Hall.ref`hall`), "never")
      })
    )
    using visitor = await place.full()
    visitor.client.send("join")
    await place.run(Deferred.await(asked))
    visitor.client.reset()
    await eventually(() => visitor.session.signal.aborted)
    await place.run(Deferred.succeed(allowed, true))
    await eventually(() => place.server.metric("effect_rooms_connections") === 0)
    assert.strictEqual(place.server.metric("effect_rooms_handler_failures"), 0)
    assert.deepStrictEqual(await place.run(Effect.flatMap(Halls, ({ list }) => list)), [])
    assert.deepStrictEqual(await place.run(visitor.session.rooms), [])
  })
})
