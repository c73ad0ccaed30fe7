/**
 * What holds of connections in whichever way they are written to: what arrives, in which order, and what comes last.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { counted, type Full, openHall, openPlace, said } from "./halls.ts"
import { filler, inShort, startPlace } from "./slow.ts"
import type { Way } from "./ways.ts"
import { eventually } from "./wsClient.ts"

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

const lengths = [0, 1, 100, 125, 126, 1000, 1023, 1024, 1025, 20_000, 65_535, 65_536, 90_000]
/**
 * Text of every length class of a frame, and on both sides of where compression begins. Together less than an outbox
 * holds: over TLS, and through `ws`, no socket takes anything before the turn is over.
 */
const texts: ReadonlyArray<string> = lengths.flatMap((length) => [
  "x".repeat(length),
  "é🦊".repeat(length / 6),
  filler.repeat(length / filler.length + 1).slice(0, length)
])

export const describeConversation = (way: Way): void => {
  describe(`members of a room, ${way.way},`, () => {
    it("hear everything from their join up to their leave, in one order with what they alone are sent", async () => {
      await using place = await openPlace(way)
      using first = await place.full()
      using second = await place.full()
      const room = await place.room("hall")
      const heard = { first: [] as Array<Full>, second: [] as Array<Full> }
      let n = 0
      const say = async () => {
        await place.run(room.broadcast("counted", ++n))
        return counted(n)
      }
      const firstIn = await place.hold(first.session.join(room, "first"))
      for (let round = 0; round < 5; round++) {
        heard.first.push(await say())
        const secondIn = await place.hold(second.session.join(room, "second"))
        const both = [await say(), await say()]
        first.session.send(`to the first ${round}`)
        second.session.send(`to the second ${round}`)
        heard.first.push(...both, `to the first ${round}`)
        heard.second.push(...both, `to the second ${round}`)
        const last = await say()
        heard.first.push(last)
        heard.second.push(last)
        await secondIn.end()
      }
      await firstIn.end()
      await say()
      for (const { session } of [first, second]) session.send("the end")
      assert.deepStrictEqual(await first.client.take(heard.first.length + 1), [...heard.first, "the end"])
      assert.deepStrictEqual(await second.client.take(heard.second.length + 1), [...heard.second, "the end"])
    })

    it("hear what is said in one turn, with joins and leaves in its midst", async () => {
      await using place = await openPlace(way)
      using visitor = await place.full()
      const room = await place.room("hall")
      await place.run(
        Effect.gen(function* () {
          yield* room.broadcast("counted", 1)
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* visitor.session.join(room, "member")
              yield* room.broadcast("counted", 2)
              visitor.session.send("in between")
              yield* room.broadcast("counted", 3)
            })
          )
          yield* room.broadcast("counted", 4)
          visitor.session.send("outside")
          yield* Effect.scoped(Effect.andThen(visitor.session.join(room, "member"), room.broadcast("counted", 5)))
          visitor.session.send("the end")
        })
      )
      const expected = [counted(2), "in between", counted(3), "outside", counted(5), "the end"]
      assert.deepStrictEqual(await visitor.client.take(expected.length), expected)
    })

    it("who are left out do not hear it, and what is said is encoded once for all others", async () => {
      await using hall = await openHall(way, 20)
      const { place, room, visitors } = hall
      const before = place.encodings.full
      const rounds = numbers(30)
      for (const n of rounds) {
        const except = visitors.filter((_, index) => index % 3 === n % 3).map(({ connection }) => connection)
        await place.run(room.broadcast("counted", n, { except }))
      }
      assert.strictEqual(place.encodings.full - before, rounds.length)
      for (const [index, { client, session }] of visitors.entries()) {
        session.send("the end")
        const expected = rounds.filter((n) => index % 3 !== n % 3).map(counted)
        assert.deepStrictEqual(await client.take(expected.length + 1), [...expected, "the end"])
      }
    })

    it("hear text of every length as it was said", async () => {
      await using hall = await openHall(way, 2)
      const { place, room, visitors } = hall
      await place.run(Effect.forEach(texts, (text) => room.broadcast("said", text), { discard: true }))
      for (const { client } of visitors) assert.deepStrictEqual(await client.take(texts.length), texts.map(said))
    })

    it("are heard as well, whatever they say", async () => {
      const heard: Array<string> = []
      await using place = await openPlace(way, (_, text) => Effect.sync(() => heard.push(text)))
      using visitor = await place.full()
      const short = texts.filter((text) => Buffer.byteLength(text) < 65_000)
      for (const text of short) visitor.client.send(text)
      await eventually(() => heard.length === short.length)
      assert.deepStrictEqual(heard, short)
      visitor.client.send("x".repeat(65_536))
      assert.strictEqual((await visitor.client.closed).code, 1009)
    })

    it("who are gone without a word are in no room any more, and the others go on", async () => {
      await using hall = await openHall(way, 3)
      const { place, room, visitors } = hall
      visitors[0]!.client.socket.terminate()
      await eventually(async () => (await place.run(room.size)) === 2)
      await place.run(room.broadcast("said", "who is left?"))
      for (const { client } of visitors.slice(1)) assert.deepStrictEqual(await client.next(), said("who is left?"))
      assert.deepStrictEqual(place.server.logs, [])
    })
  })

  describe(`the close of a connection, ${way.way},`, () => {
    it("comes behind everything that was sent before, and nothing comes behind it", async () => {
      await using hall = await openHall(way, 2)
      const { place, room, visitors } = hall
      await place.run(
        Effect.gen(function* () {
          for (const [n, text] of texts.entries()) {
            visitors[0]!.session.send(text)
            yield* room.broadcast("counted", n)
          }
          visitors[0]!.connection.close(4321, "enough")
          assert.isFalse(visitors[0]!.session.send("too late"))
          yield* room.broadcast("said", "after the close")
        })
      )
      assert.deepStrictEqual(await visitors[0]!.client.closed, { code: 4321, reason: "enough" })
      assert.deepStrictEqual(
        visitors[0]!.client.messages,
        texts.flatMap((text, n) => [text, counted(n)])
      )
      assert.deepStrictEqual(await visitors[1]!.client.take(texts.length + 1), [
        ...texts.map((_, n) => counted(n)),
        said("after the close")
      ])
    })

    it("comes behind everything when the server stops", async () => {
      await using hall = await openHall(way, 3)
      const { place, room, visitors } = hall
      await place.run(Effect.forEach(texts, (text) => room.broadcast("said", text), { discard: true }))
      await place.server.stop()
      for (const { client } of visitors) {
        assert.strictEqual((await client.closed).code, 1012)
        assert.deepStrictEqual(client.messages, texts.map(said))
      }
    })

    it("K1: is 4004 for who does not read, behind what fitted, and nobody else misses anything", async () => {
      const limits = { outboxBytes: 1024 * 1024, outboxMessages: 1000 }
      await using place = await startPlace({ way, limits })
      using slow = await place.visit("slow")
      using other = await place.visit("other")
      slow.client.socket.pause()
      const isCut = () => place.server.run(Effect.map(Effect.void, () => !slow.session.send("there?")))
      while (!(await isCut())) {
        await place.publish(3)
        await eventually(() => other.client.messages.length === place.published)
      }
      slow.client.socket.resume()
      assert.strictEqual((await slow.client.closed).code, 4004)
      const published = numbers(place.published).map((n) => ({ n: n + 1, text: filler }))
      assert.deepStrictEqual(inShort(other.client.messages), [`1..${place.published}`])
      const read = slow.client.messages.filter((message) => message !== "there?")
      assert.isBelow(read.length, published.length)
      assert.deepStrictEqual(read, published.slice(0, read.length))
    })

    it("is not for who takes a little within each ten seconds", async () => {
      const limits = { outboxBytes: 1e9, outboxMessages: 1e9 }
      await using place = await startPlace({ way, limits })
      using slow = await place.visit("slow")
      slow.client.socket.pause()
      const [rounds, perRound] = [6, 400]
      for (let n = 0; n < rounds * perRound; n++) assert.isTrue(slow.session.send(filler))
      for (let round = 1; round <= rounds; round++) {
        await place.server.adjust("6 seconds")
        slow.client.socket.resume()
        const { messages, socket } = slow.client
        await eventually(() => messages.length >= round * perRound || socket.readyState !== socket.OPEN)
        socket.pause()
      }
      assert.isTrue(slow.session.send("still open"))
      slow.client.socket.resume()
      await eventually(() => slow.client.messages.length > rounds * perRound)
      assert.strictEqual(slow.client.messages.at(-1), "still open")
    })
  })
}
