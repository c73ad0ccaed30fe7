/**
 * Clients that never read, read slowly and read again, on routes where they lose messages instead of being closed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Connections } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import { usedHeap } from "../support/memory.ts"
import { assertWhole, type Gap, isGap, isNumbered, type Policy, size, startPlace } from "../support/slow.ts"
import { ways } from "../support/ways.ts"
import { type Client, eventually } from "../support/wsClient.ts"

const policies: ReadonlyArray<{ readonly name: string; readonly policy: Policy }> = [
  { name: "dropOldest", policy: "dropOldest" },
  { name: "dropNewest", policy: "dropNewest" },
  { name: "latest", policy: "latest" },
  { name: "latestBy", policy: { latestBy: (message) => isNumbered(message) && message.n % 5 } }
]

const gapsOf = (client: Client): ReadonlyArray<Gap> => client.messages.filter(isGap).map(({ gap }) => gap)
const numbersOf = (client: Client): ReadonlyArray<number> => client.messages.filter(isNumbered).map(({ n }) => n)
const upTo = (first: number, last: number) => Array.from({ length: last - first }, (_, index) => first + index + 1)

const noKey = () => {
  throw new Error("no key")
}

let asked = 0
/** Reads until nothing comes but answers, and so has everything that was sent before. */
const readAll = async (client: Client): Promise<void> => {
  client.socket.resume()
  let before: number
  do {
    before = client.messages.length
    const question = `done ${++asked}?`
    client.send(question)
    await eventually(() => client.messages.includes(question) || client.socket.readyState !== client.socket.OPEN)
  } while (client.messages.length > before + 1)
}

describe.each(ways)("$way,", (way) => {
  describe.each(policies)("K1: a client that does not read, $name,", ({ name, policy }) => {
    /** Whether what is lost of a stall is in one piece. */
    const isOrdered = name === "dropOldest" || name === "dropNewest"

    it("reads again what was kept, and gaps where the rest was, and nobody else misses anything", async () => {
      await using place = await startPlace({ way, policy })
      using slow = await place.visit("slow")
      slow.client.socket.pause()
      await place.publishUntilDropped(150)
      await readAll(slow.client)
      const { dropped, other, published } = place
      assert.deepStrictEqual(numbersOf(other), upTo(0, published))
      assert.deepStrictEqual(gapsOf(other), [])

      const numbers = numbersOf(slow.client)
      const gaps = gapsOf(slow.client)
      const missed = gaps.reduce((sum, gap) => sum + gap.missed, 0)
      assert.strictEqual(missed, dropped, "what is told is what was counted")
      assert.strictEqual(numbers.length + missed, published)
      if (isOrdered) assert.strictEqual(assertWhole(slow.client.messages, published), dropped)
      // The kernel may take some while the client does not read; what was lost behind that is told behind it.
      const { to } = gaps.at(-1)!
      const behind = numbers.filter((n) => n > to)
      if (name === "dropOldest") {
        assert.deepStrictEqual(behind, upTo(to, published))
        assert.isAbove(behind.length * size, 256 * 1024, "as much is kept as there is room for")
      }
      if (name === "dropNewest") assert.strictEqual(to, published)
      if (name === "latest") assert.deepStrictEqual([to, ...behind], [published - 1, published])
      if (name === "latestBy") {
        assert.deepStrictEqual(numbers.slice(-5), upTo(published - 5, published))
        assert.isAtMost(behind.length, 10, "five of each time something went out")
      }

      await place.publish(1)
      await eventually(() => numbersOf(slow.client).at(-1) === published + 1)
      assert.strictEqual(gapsOf(slow.client).length, gaps.length, "what was told is not told again")
    })

    it("that reads a little from time to time is told of each loss where it was, and has the last in the end", async () => {
      await using place = await startPlace({ way, policy })
      using slow = await place.visit("slow")
      for (let round = 0; round < 4; round++) {
        slow.client.socket.pause()
        await place.publishUntilDropped(60)
        const before = slow.client.messages.length
        slow.client.socket.resume()
        await eventually(() => slow.client.messages.length > before + 40)
      }
      slow.client.socket.pause()
      await place.publish(1)
      await readAll(slow.client)
      await place.publish(1)
      await readAll(slow.client)
      const { dropped, published } = place
      const numbers = numbersOf(slow.client)
      assert.strictEqual(numbers.at(-1), published)
      assert.strictEqual(numbers.length, published - dropped)
      const missed = gapsOf(slow.client).reduce((sum, gap) => sum + gap.missed, 0)
      assert.strictEqual(missed, dropped)
      if (isOrdered) assertWhole(slow.client.messages, published)
      for (const [index, n] of numbers.entries()) assert.isTrue(index === 0 || n > numbers[index - 1]!)
    })

    it("costs the server no more than its bound, however much is published", async () => {
      await using place = await startPlace({ way, policy, limits: { outboxBytes: 512 * 1024 } })
      using slow = await place.visit("slow")
      slow.client.socket.pause()
      await place.publishUntilDropped(1)
      place.other.socket.terminate()
      await eventually(() => place.server.metric("effect_rooms_connections") === 1)
      await usedHeap()
      const before = process.memoryUsage().arrayBuffers
      await place.publish(1500)
      const grown = async () => {
        // What was collected is given back a little later.
        await usedHeap()
        return process.memoryUsage().arrayBuffers - before
      }
      await eventually(async () => (await grown()) < 2 * 1024 * 1024)
      assert.isTrue(slow.session.send("and it is still there"))
    })

    it("gets all of its own messages, each behind what was published before it", async () => {
      await using place = await startPlace({ way, policy })
      using slow = await place.visit("slow")
      slow.client.socket.pause()
      let sent = 0
      while (place.dropped < 100) {
        await place.publish(7)
        if (sent < 200) assert.isTrue(slow.session.send(`own ${++sent} after ${place.published}`))
      }
      await readAll(slow.client)
      let read = 0
      let own = 0
      for (const message of slow.client.messages) {
        if (isNumbered(message)) read = message.n
        if (typeof message !== "string" || !message.startsWith("own")) continue
        const [, number, , after] = message.split(" ")
        assert.strictEqual(Number(number), ++own)
        assert.isAtMost(read, Number(after))
        read = Number(after)
      }
      assert.strictEqual(own, sent)
    })

    it("is closed with 4004 when its own messages alone are too many, behind all that was taken", async () => {
      await using place = await startPlace({ way, policy, limits: { outboxMessages: 40 } })
      using slow = await place.visit("slow")
      slow.client.socket.pause()
      await place.publishUntilDropped(50)
      let sent = 0
      while (slow.session.send(`own ${sent}`)) sent++
      assert.isAbove(sent, 10, "what was published makes room for them")
      assert.isAtMost(sent, 40)
      await place.publish(5)
      slow.client.socket.resume()
      assert.strictEqual((await slow.client.closed).code, 4004)
      assert.deepStrictEqual(
        slow.client.messages.filter((message) => typeof message === "string"),
        Array.from({ length: sent }, (_, index) => `own ${index}`)
      )
    })
  })

  it("a bound of few messages is kept by what is lost, not by closing", async () => {
    await using place = await startPlace({ way, policy: "latest", limits: { outboxMessages: 8 } })
    using slow = await place.visit("slow")
    slow.client.socket.pause()
    await place.publishUntilDropped(50)
    await place.publish(1, "the last")
    await readAll(slow.client)
    assert.strictEqual(numbersOf(slow.client).at(-1), place.published)
  })

  it("a client that takes nothing for ten seconds is closed with 4004, behind what was kept and the gap", async () => {
    await using place = await startPlace({ way, policy: "dropOldest" })
    using slow = await place.visit("slow")
    slow.client.socket.pause()
    await place.publishUntilDropped(100)
    // What is compressed until then, or taken by the kernel, is progress.
    let seconds = 0
    while (slow.session.send("still open") && seconds < 60) {
      await place.server.adjust("1 second")
      seconds++
    }
    assert.isAtLeast(seconds, 10)
    assert.isBelow(seconds, 60)
    slow.client.socket.resume()
    assert.strictEqual((await slow.client.closed).code, 4004)
    assert.strictEqual(assertWhole(slow.client.messages, place.published), place.dropped)
    assert.strictEqual(slow.client.messages.at(-1), "still open")
  })

  it("a client that does not read when the server stops gets what was kept, the gap, and the goodbye", async () => {
    await using place = await startPlace({ way, policy: "dropOldest", testClock: false })
    using slow = await place.visit("slow")
    slow.client.socket.pause()
    await place.publishUntilDropped(100)
    const stopped = place.server.stop()
    slow.client.socket.resume()
    assert.strictEqual((await slow.client.closed).code, 1012)
    assert.strictEqual(assertWhole(slow.client.messages, place.published), place.dropped)
    await stopped
  })

  it("a client that is gone before it reads again leaves nothing behind", async () => {
    await using place = await startPlace({ way, policy: "dropOldest" })
    using slow = await place.visit("slow")
    slow.client.socket.pause()
    await place.publishUntilDropped(10)
    slow.client.reset()
    await eventually(() => place.server.metric("effect_rooms_connections") === 1)
    const { dropped } = place
    await place.publish(3)
    await eventually(() => numbersOf(place.other).at(-1) === place.published)
    assert.strictEqual(place.dropped, dropped)
    assert.deepStrictEqual(place.server.logs, [])
  })

  it("a broadcast to all connections of the route can be lost, and has no positions", async () => {
    await using place = await startPlace({ way, policy: "dropNewest", limits: { outboxMessages: 20 } })
    using slow = await place.visit("slow")
    slow.client.socket.pause()
    await place.publishUntilDropped(10)
    const everybody = await place.server.run(Connections.of(place.route) as Effect.Effect<Broadcast>)
    for (let n = 0; n < 5; n++) await place.server.run(everybody.broadcast(`to all ${n}`))
    await eventually(() => place.server.metric("effect_rooms_outbox_drops", { kind: "everybody" }) === 5)
    await readAll(slow.client)
    const [of, all] = gapsOf(slow.client)
    assert.strictEqual(of!.missed, place.dropped)
    assert.deepStrictEqual(all, { kind: "everybody", room: "$everybody", from: 0, to: 0, missed: 5 })
  })

  it("a gap that cannot be made is logged, and the connection goes on", async () => {
    await using place = await startPlace({
      way,
      policy: "dropOldest",
      gap: () => {
        throw new Error("no gap")
      }
    })
    using slow = await place.visit("slow")
    slow.client.socket.pause()
    await place.publishUntilDropped(10)
    await readAll(slow.client)
    assert.strictEqual(place.server.metric("effect_rooms_encode_failures", { route: "/slow" }), 1)
    assert.deepStrictEqual(gapsOf(slow.client), [])
    assert.strictEqual(numbersOf(slow.client).at(-1), place.published)
  })

  it("a key that cannot be told is logged, and everybody gets the message", async () => {
    await using place = await startPlace({ way, policy: { latestBy: noKey } })
    using one = await place.visit("one")
    using other = await place.visit("other")
    await place.publish(3)
    for (const { client } of [one, other]) await eventually(() => numbersOf(client).length === 3)
    assert.strictEqual(place.server.metric("effect_rooms_encode_failures", { route: "/slow" }), 3)
  })
})

type Broadcast = Connections.Connections<string, string>
