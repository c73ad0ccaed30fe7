/**
 * Connections that have negotiated permessage-deflate: nothing is different but the bytes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"
import { constants, deflateRawSync } from "node:zlib"
import { describeConversation } from "../support/conversation.ts"
import { counted, openPlace, said } from "../support/halls.ts"
import { startPlace } from "../support/slow.ts"
import { ways } from "../support/ways.ts"
import { connect, connectRaw, eventually, frame, handshake, type RawClient, serverFrames } from "../support/wsClient.ts"
import { Echo, EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

for (const way of ways) describeConversation(way)

const [raw, compressing] = ways
const offer = { "Sec-WebSocket-Extensions": "permessage-deflate" }
const compressed = 0x40

/** A message as a client compresses it. */
const deflated = (text: string | Buffer): Buffer => {
  const bytes = deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH })
  return frame(bytes.subarray(0, -4), 0x1 | compressed)
}

const upgraded = async (
  port: number,
  headers: Readonly<Record<string, string>>,
  path = Echo.path
): Promise<RawClient> => {
  const client = await connectRaw(port)
  client.write(handshake(path, headers))
  await client.until("\r\n\r\n")
  return client
}

const closeCode = async (client: RawClient): Promise<number | undefined> => {
  const closing = () => serverFrames(client.received).find(({ opcode }) => opcode === 8)
  await eventually(() => closing() !== undefined)
  return closing()!.payload.readUInt16BE(0)
}

describe("permessage-deflate", () => {
  it("SEC8: is not agreed on where the server does not say so", async () => {
    await using server = await startServer({ routes: EchoLive })
    using client = await upgraded(server.port, offer)
    assert.match(client.text, /^HTTP\/1.1 101 /)
    assert.notMatch(client.text, /permessage-deflate/i)
    client.write(deflated("compressed all the same"))
    assert.strictEqual(await closeCode(client), 1002)
  })

  it("SEC8: is agreed on without windows that are kept, where the server says so and the client offers it", async () => {
    await using server = await startServer({ routes: EchoLive, server: { compression: true } })
    using client = await upgraded(server.port, offer)
    const header = /^sec-websocket-extensions: (.*)\r$/im.exec(client.text)?.[1]
    assert.deepStrictEqual(header?.split("; "), [
      "permessage-deflate",
      "server_no_context_takeover",
      "client_no_context_takeover"
    ])
    using plain = await upgraded(server.port, {})
    assert.notMatch(plain.text, /permessage-deflate/i)
  })

  it("SEC8: compresses what has 1024 bytes and more, and nothing below", async () => {
    await using server = await startServer({ routes: EchoLive, server: { compression: true } })
    using client = await upgraded(server.port, offer)
    const first = client.received.length
    // With the quotes of JSON.
    for (const length of [1021, 1022]) client.write(frame(JSON.stringify("x".repeat(length))))
    await eventually(() => serverFrames(client.received).length === 2)
    const [small, large] = serverFrames(client.received)
    assert.strictEqual(small!.payload.length, 1023)
    assert.isBelow(large!.payload.length, 50)
    const second = first + 4 + 1023
    assert.deepStrictEqual(
      [first, second].map((at) => client.received[at]),
      [0x81, 0x81 | compressed]
    )
  })

  it("SEC8: a message larger than the limit when it is decompressed is refused with 1009, and costs nothing more", async () => {
    await using server = await startServer({ routes: EchoLive, server: { compression: true } })
    using client = await upgraded(server.port, offer)
    using other = await connect(server.url(Echo.path), { perMessageDeflate: true })
    const bomb = deflated(Buffer.alloc(40 * 1024 * 1024, "x"))
    assert.isBelow(bomb.length, 64 * 1024)
    const before = process.memoryUsage().arrayBuffers
    client.write(bomb)
    assert.strictEqual(await closeCode(client), 1009)
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 4 * 1024 * 1024)
    other.send("still there?")
    assert.strictEqual(await other.next(), "still there?")
    client.reset()
    await eventually(() => server.metric("effect_rooms_closes", { code: "1009" }) === 1)
  })

  it("SEC8: a message of just the limit when it is decompressed is taken, and one of one byte more is not", async () => {
    const limits = { maxMessageBytes: 10_000 }
    await using server = await startServer({ routes: EchoLive, server: { compression: true, limits } })
    using client = await connect(server.url(Echo.path), { perMessageDeflate: { threshold: 0 } })
    const text = "x".repeat(10_000 - 2)
    client.send(text)
    assert.strictEqual(await client.next(), text)
    client.send(`${text}x`)
    assert.strictEqual((await client.closed).code, 1009)
  })

  it("closes with 1007 for bytes that are no deflated data, and nothing else happens", async () => {
    await using server = await startServer({ routes: EchoLive, server: { compression: true } })
    using client = await upgraded(server.port, offer)
    client.write(frame("no deflated data", 0x1 | compressed))
    assert.strictEqual(await closeCode(client), 1007)
    assert.deepStrictEqual(server.logs, [])
  })

  it("has members that compress and others that do not in one room, who hear the same", async () => {
    await using place = await openPlace({ ...compressing!, client: raw!.client })
    const room = await place.room("hall")
    const all = [
      await place.full(),
      await place.full({ perMessageDeflate: true }),
      await place.full(),
      await place.full({ perMessageDeflate: true })
    ]
    assert.deepStrictEqual(
      all.map(({ client }) => client.socket.extensions),
      ["", "permessage-deflate", "", "permessage-deflate"]
    )
    for (const { session } of all) await place.hold(session.join(room, "member"))
    const before = place.encodings.full
    const long = "over the threshold ".repeat(100)
    const [first] = all
    await place.run(
      Effect.gen(function* () {
        for (let n = 0; n < 20; n++) {
          yield* room.broadcast("counted", n)
          yield* room.broadcast("said", long, { except: first!.connection })
        }
      })
    )
    assert.strictEqual(place.encodings.full - before, 40)
    const numbers = Array.from({ length: 20 }, (_, n) => n)
    assert.deepStrictEqual(await first!.client.take(20), numbers.map(counted))
    for (const visitor of all.slice(1)) {
      assert.deepStrictEqual(
        await visitor.client.take(40),
        numbers.flatMap((n) => [counted(n), said(long)])
      )
    }
    for (const visitor of all) visitor[Symbol.dispose]()
  })

  it("K1: a client that does not read is cut at the bound of messages, however small they are when compressed", async () => {
    const limits = { outboxBytes: 1e9, outboxMessages: 1000 }
    await using place = await startPlace({ way: compressing!, limits })
    const sockets: Array<Duplex> = []
    place.server.node.on("upgrade", (_request, socket: Duplex) => sockets.push(socket))
    using slow = await place.visit("slow")
    using other = await place.visit("other")
    slow.client.socket.pause()
    // Until the kernel takes no more; then what hardly has a size.
    while (sockets[0]!.writableLength === 0) {
      await place.publish(3)
      await eventually(() => other.client.messages.length === place.published)
    }
    let sent = 0
    while (slow.session.send("x".repeat(5000)) && sent < 5000) {
      sent++
      if (sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    assert.isAtMost(sent, 1000)
    slow.client.socket.resume()
    assert.strictEqual((await slow.client.closed).code, 4004)
    assert.strictEqual(slow.client.messages.length, place.published + sent)
  })
})
