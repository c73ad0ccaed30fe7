import { assert, describe, it } from "@effect/vitest"
import type { RoomsServer } from "effect-rooms/websocket"
import { connect, connectRaw, handshake, refused } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const start = (server: Partial<RoomsServer.Options>) =>
  startServer({ routes: EchoLive, server: { allowNonBrowsers: false, ...server } })

describe("SEC1: origins", () => {
  it("by default a page of the server's own host and port is let in, and no other", async () => {
    await using server = await start({})
    const own = `http://127.0.0.1:${server.port}`
    using client = await connect(server.url("/echo"), { origin: own })
    client.send("hello")
    assert.strictEqual(await client.next(), "hello")
    for (const origin of [
      "http://127.0.0.1:1",
      `http://localhost:${server.port}`,
      `${own}.evil.example`,
      `http://evil.example:${server.port}`,
      `${own}/`,
      "null"
    ]) {
      assert.strictEqual((await refused(server.url("/echo"), { origin })).status, 403, origin)
    }
    assert.strictEqual(server.metric("effect_rooms_rejections", { reason: "origin not allowed" }), 6)
  })

  it("by default a client without an origin is refused", async () => {
    await using server = await start({})
    assert.strictEqual((await refused(server.url("/echo"))).status, 403)
    await using open = await start({ allowNonBrowsers: true })
    using client = await connect(open.url("/echo"))
    assert.strictEqual((await refused(open.url("/echo"), { origin: "https://evil.example" })).status, 403)
    client.send("hello")
    assert.strictEqual(await client.next(), "hello")
  })

  it("a list is compared as a whole", async () => {
    await using server = await start({ origins: ["https://chat.example"] })
    using client = await connect(server.url("/echo"), { origin: "https://chat.example" })
    client.send("hello")
    assert.strictEqual(await client.next(), "hello")
    for (const origin of [
      "http://chat.example",
      "https://chat.example:8443",
      "https://chat.example.evil.example",
      "https://www.chat.example",
      `http://127.0.0.1:${server.port}`
    ]) {
      assert.strictEqual((await refused(server.url("/echo"), { origin })).status, 403, origin)
    }
  })

  it("two Origin headers are refused, though one of them is allowed", async () => {
    await using server = await start({ origins: ["https://chat.example"] })
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo", { Origin: "https://chat.example\r\nOrigin: https://evil.example" }))
    await raw.ended
    assert.match(raw.text, /^HTTP\/1.1 403 /)
  })

  it("the origin that counts is the one of Origin, not of other headers", async () => {
    await using server = await start({ origins: ["https://chat.example"] })
    using raw = await connectRaw(server.port)
    const headers = { "Sec-WebSocket-Origin": "https://chat.example", Referer: "https://chat.example/" }
    raw.write(handshake("/echo", headers))
    await raw.ended
    assert.match(raw.text, /^HTTP\/1.1 403 /)
  })

  it.each(["*", "chat.example", "https://chat.example/path"])("the entry %j stops the start", async (entry) => {
    let error: unknown
    try {
      await using _server = await start({ origins: [entry] })
    } catch (thrown) {
      error = thrown
    }
    assert.instanceOf(error, TypeError)
    assert.include(String(error), entry)
  })
})
