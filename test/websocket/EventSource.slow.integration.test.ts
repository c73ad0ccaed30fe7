/**
 * Readers of Server-Sent Events that do not read: what they cost, what they get, and how they end.
 */
import { assert, describe, it } from "@effect/vitest"
import { event, follow, open, readers, say, type Server, startEvents } from "../support/events.ts"
import { usedHeap } from "../support/memory.ts"
import type { Feed } from "../support/playground.ts"
import { filler } from "../support/slow.ts"
import { eventually, type RawClient } from "../support/wsClient.ts"

const limits = { outboxBytes: 256 * 1024, outboundBytes: 1e9 }
const end = "\r\n0\r\n\r\n"

/** Publishes so many large messages, no faster than somebody reads them. */
const flood = async (server: Server, reader: Feed, messages: number): Promise<void> => {
  for (let n = 0; n < messages; n++) {
    await say(server, `${n} ${filler}`)
    assert.strictEqual(await event(reader), `data: ${n} ${filler}`)
  }
}
const heardBy = (client: RawClient) => Array.from(client.text.matchAll(/data: (\d+) /g), ([, n]) => Number(n))
const first = (count: number) => Array.from({ length: count }, (_, n) => n)

describe("a reader of events that does not read", () => {
  it("K1: gets what was kept up to the bound and then the end, and nobody else misses anything", async () => {
    await using server = await startEvents({ testClock: true, server: { limits } })
    using slow = await open(server, "/plain")
    using other = await follow(server, "/plain")
    slow.socket.pause()
    await flood(server, other, 800)
    await server.adjust("4999 millis")
    slow.socket.resume()
    await slow.until(end)
    const heard = heardBy(slow)
    assert.isBelow(heard.length, 800)
    assert.deepStrictEqual(heard, first(heard.length))
    await eventually(async () => (await readers(server)) === 1)
    assert.deepStrictEqual(server.logs, [])
  })

  it("is cut off when it does not take in time what was kept", async () => {
    await using server = await startEvents({ testClock: true, server: { limits } })
    using slow = await open(server, "/plain")
    using other = await follow(server, "/plain")
    slow.socket.pause()
    await flood(server, other, 800)
    await server.adjust("4999 millis")
    assert.strictEqual(await readers(server), 2)
    await server.adjust("1 milli")
    await eventually(async () => (await readers(server)) === 1)
    slow.socket.resume()
    await slow.ended
    assert.notInclude(slow.text, end, "it does not look complete")
    const heard = heardBy(slow)
    assert.deepStrictEqual(heard, first(heard.length))
  })

  it("K1: costs no more than the bound", async () => {
    await using server = await startEvents({ testClock: true, server: { limits } })
    using slow = await open(server, "/plain")
    const other = await follow(server, "/plain")
    slow.socket.pause()
    await flood(server, other, 800)
    other[Symbol.dispose]()
    await eventually(async () => (await readers(server)) === 1)
    await usedHeap()
    const before = process.memoryUsage().arrayBuffers
    await say(server, ...Array.from({ length: 2000 }, () => filler))
    await eventually(async () => {
      await usedHeap()
      return process.memoryUsage().arrayBuffers - before < 2 * 1024 * 1024
    })
    assert.strictEqual(await readers(server), 1)
  })

  it("may ask for something else on its connection once it has taken what was kept", async () => {
    await using server = await startEvents({ testClock: true, server: { limits } })
    using slow = await open(server, "/plain")
    using other = await follow(server, "/plain")
    slow.socket.pause()
    await flood(server, other, 800)
    await server.adjust("4 seconds")
    slow.socket.resume()
    await slow.until(end)
    await eventually(async () => (await readers(server)) === 1)
    slow.received = Buffer.alloc(0)
    slow.write("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await slow.until(": \n\n")
    await server.adjust("1 minute")
    await say(server, "the next")
    await slow.until("data: the next")
  })

  it("SEC29: is ended when all readers together have left too much, and nobody who reads", async () => {
    const few = { outboxBytes: 1e9, outboxMessages: 1e9, outboundBytes: 1024 * 1024 }
    await using server = await startEvents({ testClock: true, server: { limits: few } })
    using slow = await open(server, "/plain")
    using other = await follow(server, "/plain")
    slow.socket.pause()
    await flood(server, other, 800)
    await server.adjust("5 seconds")
    await eventually(async () => (await readers(server)) === 1)
    await say(server, "still here")
    assert.strictEqual(await event(other), "data: still here")
  })
})
