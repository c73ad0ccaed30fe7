/**
 * One client that does all it can, and the others who are served all the same (P16).
 */
import { assert, describe, it } from "@effect/vitest"
import { Limits, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, eventually, frame, handshake, serverFrames } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

/** Keeps what it is told and answers nothing. */
const inboxRoute = () => {
  const heard: Array<string> = []
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/inbox", { incoming: Schema.String, outgoing: Schema.Never }),
    ({ messages }) => Stream.runForEach(messages.stream, (text) => Effect.sync(() => void heard.push(text)))
  )
  return { Live, heard }
}

const { bytesPerSecond, maxRateStrikes, messageBurst, messagesPerSecond } = Limits.defaults
const limits = { bytesPerSecond, maxRateStrikes, messageBurst, messagesPerSecond }

describe("P16, SEC11: ten thousand messages in a second", () => {
  it("reach the handler as far as the burst goes, are answered once, and others are served meanwhile", async () => {
    const inbox = inboxRoute()
    await using server = await startServer({
      routes: Layer.merge(inbox.Live, EchoLive),
      testClock: true,
      server: { limits }
    })
    using flooder = await connectRaw(server.port)
    flooder.write(handshake("/inbox"))
    await flooder.until("\r\n\r\n")
    using other = await connect(server.url("/echo"))
    const refused = () => server.metric("effect_rooms_invalid_messages", { route: "/inbox", reason: "message_rate" })
    let served = 0
    const hundred = Buffer.concat(Array.from({ length: 100 }, (_, n) => frame(`"${n}"`)))
    for (let sent = 0; sent < 10_000; sent += 100) {
      flooder.write(hundred)
      if (served === 90) continue
      other.send("well?")
      assert.strictEqual(await other.next(), "well?")
      served++
    }
    await eventually(() => refused() === 10_000 - messageBurst)
    assert.strictEqual(inbox.heard.length, messageBurst)
    const replies = serverFrames(flooder.received).map(({ payload }) => payload.toString())
    assert.strictEqual(replies.length, 1)
    assert.include(replies[0], "rate_limited")
    assert.strictEqual(other.socket.readyState, other.socket.OPEN)
  })

  it("are the end of the connection in the third second of them, and of no other", async () => {
    const inbox = inboxRoute()
    await using server = await startServer({
      routes: Layer.merge(inbox.Live, EchoLive),
      testClock: true,
      server: { limits }
    })
    using flooder = await connect(server.url("/inbox"))
    using other = await connect(server.url("/echo"))
    for (let second = 0; second < 3; second++) {
      for (let n = 0; n < 10_000; n++) flooder.sendText(`"${n}"`)
      await flooder.next()
      other.send(`second ${second}`)
      assert.strictEqual(await other.next(), `second ${second}`)
      await server.adjust("1 second")
    }
    assert.strictEqual((await flooder.closed).code, 4005)
    other.send("still here")
    assert.strictEqual(await other.next(), "still here")
    assert.strictEqual(inbox.heard.length, messageBurst + 2 * messagesPerSecond)
  })
})

describe("P16: a hundred half-open clients", () => {
  it("do not keep others from being served, and are gone after ping and pong", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true })
    const halfOpen = await Promise.all(Array.from({ length: 100 }, () => connectRaw(server.port)))
    for (const client of halfOpen) client.write(handshake("/echo"))
    await Promise.all(halfOpen.map((client) => client.until("\r\n\r\n")))
    using other = await connect(server.url("/echo"))
    for (let second = 0; second < 31; second += 1) {
      await server.adjust("1 second")
      other.send("well?")
      assert.strictEqual(await other.next(), "well?")
    }
    await eventually(() => server.metric("effect_rooms_connections") === 1)
    await eventually(() => server.metric("effect_rooms_closes", { code: "4003" }) === 100)
    for (const client of halfOpen) client.socket.destroy()
  })
})
