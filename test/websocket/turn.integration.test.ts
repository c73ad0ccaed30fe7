/**
 * A turn on real sockets: what one handler does, much at once, and members that stop reading.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { counted, type Full, Hall, Halls, News, openHall, openPlace, said } from "../support/halls.ts"
import { ways } from "../support/ways.ts"
import { eventually } from "../support/wsClient.ts"

describe.each(ways)("what one handler does, $way", (way) => {
  it("goes that way, by the word of both ends", async () => {
    await using place = await openPlace(way)
    using visitor = await place.full()
    assert.strictEqual(visitor.client.socket.extensions, way.server.compression === true ? "permessage-deflate" : "")
  })

  it("its replies and broadcasts arrive in the order in which it made them, everything before its close", async () => {
    await using place = await openPlace(way, ({ connection, join, send }, text) =>
      Effect.gen(function* () {
        const halls = yield* Halls
        const news = yield* News
        const room = halls.get(Hall.ref`hall`)
        if (text === "join") yield* join(room, "member")
        else {
          for (let n = 0; n < 20; n++) {
            send(`reply ${n}`)
            yield* room.broadcast("counted", n)
            yield* news.publish(Hall.ref`news`, `news ${n}`)
            yield* room.broadcast("said", "to the others", { except: connection })
          }
          connection.close(4321, "enough")
          send("too late")
          yield* room.broadcast("said", "after the close")
        }
      })
    )
    using speaker = await place.full()
    using listener = await place.full()
    for (const { client, session } of [speaker, listener]) {
      client.send("join")
      await place.hold(Effect.flatMap(News, (news) => session.forward(news, Hall.ref`news`)))
    }
    const room = await place.room("hall")
    await eventually(async () => (await place.run(room.size)) === 2)
    speaker.client.send("speak")
    const all = Array.from({ length: 20 }, (_, n) => n)
    const heard = all.flatMap((n) => [counted(n), `news ${n}`, said("to the others")])
    assert.deepStrictEqual(await listener.client.take(heard.length + 1), [...heard, said("after the close")])
    assert.deepStrictEqual(await speaker.client.closed, { code: 4321, reason: "enough" })
    assert.deepStrictEqual(
      speaker.client.messages,
      all.flatMap((n): Array<Full> => [`reply ${n}`, counted(n), `news ${n}`])
    )
  })

  it("much in one turn arrives in order, whatever lengths it has and wherever it was sent", async () => {
    await using place = await openPlace(way)
    const [one, two] = [await place.room("one"), await place.room("two")]
    using visitor = await place.full()
    for (const room of [one, two]) await place.hold(visitor.session.join(room, "member"))
    const texts = [10, 70_000, 0, 125, 30_000, 65_535, 20_000, 20_000, 20_000, 1].map((length, n) =>
      `${n}${"é".repeat(length / 2)}`.padEnd(length, "x")
    )
    await place.run(
      Effect.gen(function* () {
        for (const [n, text] of texts.entries()) {
          if (n % 3 === 0) visitor.session.send(text)
          else yield* (n % 3 === 1 ? one : two).broadcast("said", text)
        }
      })
    )
    const expected = texts.map((text, n) => (n % 3 === 0 ? text : said(text)))
    assert.deepStrictEqual(await visitor.client.take(texts.length), expected)
  })
})

describe.each(ways)("K1: a member that stops reading, $way", (way) => {
  it("is closed with 4004 after what fitted, and the others miss nothing", async () => {
    const limits = { outboxBytes: 1024 * 1024, outboxMessages: 1000 }
    await using hall = await openHall({ ...way, server: { ...way.server, limits } }, 3)
    const { place, room, visitors } = hall
    const [slow, ...others] = visitors
    slow!.client.socket.pause()
    const text = Array.from({ length: 16 * 1024 }, (_, n) => n.toString(36)).join("")
    let published = 0
    const cut = () => place.run(Effect.map(room.size, (size) => size < 3 || !slow!.session.send("open?")))
    while (!(await cut())) {
      await place.run(room.broadcast("said", `${published++} ${text}`))
      await Promise.all(others.map(({ client }) => eventually(() => client.messages.length === published)))
    }
    slow!.client.socket.resume()
    assert.strictEqual((await slow!.client.closed).code, 4004)
    const read = slow!.client.messages.filter((message) => message !== "open?")
    assert.isBelow(read.length, published)
    assert.deepStrictEqual(read, others[0]!.client.messages.slice(0, read.length))
  })
})
