/**
 * Slow clients together: what all of them may leave untaken, and clients that come back only to be cut again.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Duplex } from "node:stream"
import { usedHeap } from "../support/memory.ts"
import { filler, isNumbered, type Place, type Policy, size, startPlace, type Visitor } from "../support/slow.ts"
import { ways } from "../support/ways.ts"
import { eventually } from "../support/wsClient.ts"

const mebibyte = 1024 * 1024

/** Connects, does not read until it is cut, and says with which code. */
const beCut = async (place: Place, name: string): Promise<number> => {
  using slow = await place.visit(name)
  slow.client.socket.pause()
  while (slow.session.send(filler));
  slow.client.socket.resume()
  return (await slow.client.closed).code
}

describe.each(ways)("P10, BUG4, $way: a client that is cut for being slow", (way) => {
  const limits = { outboxBytes: 64 * 1024 }

  it("the third time within a minute is told with 4505 not to come back; another user is not", async () => {
    await using place = await startPlace({ way, users: true, limits })
    for (const expected of [4004, 4004, 4505, 4505]) assert.strictEqual(await beCut(place, "alice"), expected)
    assert.strictEqual(await beCut(place, "bob"), 4004)
    await eventually(() => place.server.metric("effect_rooms_closes") === 5)
    assert.strictEqual(place.server.metric("effect_rooms_closes", { code: "4505" }), 2)
    assert.strictEqual(place.server.metric("effect_rooms_closes", { code: "4004" }), 3)
  })

  it("is known by its address where it has no name", async () => {
    await using place = await startPlace({ way, limits })
    const codes = [await beCut(place, "alice"), await beCut(place, "bob"), await beCut(place, "carol")]
    assert.deepStrictEqual(codes, [4004, 4004, 4505])
  })

  it("less often than that is told to come back", async () => {
    await using place = await startPlace({ way, users: true, limits })
    for (let round = 0; round < 4; round++) {
      assert.strictEqual(await beCut(place, "alice"), 4004)
      await place.server.adjust("30 seconds")
    }
  })

  it("is told after as many times as the limits say", async () => {
    const few = { ...limits, maxSlowCuts: 2, slowWindow: "2 seconds" } as const
    await using place = await startPlace({ way, users: true, limits: few })
    assert.strictEqual(await beCut(place, "alice"), 4004)
    await place.server.adjust("2 seconds")
    assert.strictEqual(await beCut(place, "alice"), 4004)
    assert.strictEqual(await beCut(place, "alice"), 4505)
  })

  it("for taking nothing in ten seconds counts as well", async () => {
    const few = { maxSlowCuts: 1, outboxBytes: 64 * mebibyte, outboxMessages: 1e9 }
    await using place = await startPlace({ way, users: true, limits: few })
    const sockets: Array<Duplex> = []
    place.server.node.on("upgrade", (_request, socket: Duplex) => sockets.push(socket))
    using slow = await place.visit("alice")
    slow.client.socket.pause()
    for (let n = 0; n < 1000; n++) assert.isTrue(slow.session.send(filler))
    await eventually(() => sockets[0]!.writableLength > 0)
    for (let second = 0; second < 60 && slow.session.send("there?"); second++) await place.server.adjust("1 second")
    slow.client.socket.resume()
    assert.strictEqual((await slow.client.closed).code, 4505)
  })
})

describe.each(ways)("SEC29, $way: over the bound of all connections together", (way) => {
  const roomy = { outboxBytes: 256 * mebibyte, outboxMessages: 1e9, outboundBytes: 32 * mebibyte }
  const owe = ({ client, session }: Visitor, mebibytes: number) => {
    client.socket.pause()
    let all = true
    for (let n = 0; n < (mebibytes * mebibyte) / size; n++) all = session.send(filler) && all
    return all
  }

  it("the connection with the most is closed with 4004 behind what it was sent, and nobody else", async () => {
    await using place = await startPlace({ way, limits: roomy })
    using much = await place.visit("much")
    using little = await place.visit("little")
    using none = await place.visit("none")
    assert.isTrue(owe(little, 12))
    assert.isFalse(owe(much, 40))
    assert.isTrue(little.session.send("still there"))
    assert.isTrue(none.session.send("nobody noticed"))
    assert.strictEqual(await none.client.next(), "nobody noticed")
    much.client.socket.resume()
    assert.strictEqual((await much.client.closed).code, 4004)
    assert.isAbove(much.client.messages.length * size, 16 * mebibyte)
    little.client.socket.resume()
    await eventually(() => little.client.messages.at(-1) === "still there")
    assert.strictEqual(little.client.messages.length, (12 * mebibyte) / size + 1)
  })

  it("a connection that was closed for it and does not take what it was sent is destroyed before others go", async () => {
    // Nothing else destroys it.
    await using place = await startPlace({ way, limits: { ...roomy, closeTimeout: "1 hour" } })
    using much = await place.visit("much")
    using little = await place.visit("little")
    assert.isFalse(owe(much, 64))
    assert.strictEqual(place.server.metric("effect_rooms_connections"), 2)
    assert.isTrue(owe(little, 12))
    await eventually(() => place.server.metric("effect_rooms_connections") === 1)
    assert.strictEqual(place.server.metric("effect_rooms_closes", { code: "4004" }), 1)
    assert.isTrue(little.session.send("still there"))
    much.client.socket.resume()
    assert.strictEqual((await much.client.closed).code, 1006)
  })

  it.each<Policy | "disconnect">(["dropOldest", "disconnect"])("memory stays within it, with %s", async (policy) => {
    const limits = { outboxBytes: 4 * mebibyte, outboxMessages: 1e9, outboundBytes: 8 * mebibyte, maxSlowCuts: 1e9 }
    await using place = await startPlace({ way, limits, ...(policy === "disconnect" ? {} : { policy }) })
    using reader = await place.visit("reader")
    await usedHeap()
    const before = process.memoryUsage().arrayBuffers
    const all: Array<Visitor> = []
    try {
      for (let n = 0; n < 10; n++) {
        const slow = await place.visit(`slow-${n}`)
        slow.client.socket.pause()
        all.push(slow)
      }
      // Half of a mebibyte at once, as fast as one of them reads.
      for (let round = 0; round < 48; round++) {
        await place.publish(32)
        await eventually(() => reader.client.messages.findLast(isNumbered)?.n === place.published)
        // The kernel's part is not the process's, and what is waited for is looked at once a second.
        await place.server.adjust("1 second")
      }
      assert.strictEqual(reader.client.messages.length, place.published)
      assert.isTrue(reader.session.send("nobody noticed"))
      const grown = async () => {
        await usedHeap()
        return process.memoryUsage().arrayBuffers - before
      }
      await eventually(async () => (await grown()) < 16 * mebibyte)
    } finally {
      for (const slow of all) slow[Symbol.dispose]()
    }
  })
})
