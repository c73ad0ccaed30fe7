/**
 * What a route that names no other reply answers, read by a typed client.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Schema from "effect/Schema"
import { connect } from "../support/wsClient.ts"
import { Echo, EchoLive } from "../support/wsRoutes.ts"
import { startServer } from "../support/wsServer.ts"

const FromServer = Schema.Union([Echo.options.outgoing, WebSocketRoute.ErrorReply])
const decode = Schema.decodeUnknownSync(Schema.toCodecJson(FromServer))

describe("the default error reply", () => {
  it("is decoded by a client that knows the route's messages and ErrorReply, whatever was wrong", async () => {
    const limits = { messagesPerSecond: 1, messageBurst: 5 }
    await using server = await startServer({ routes: EchoLive, server: { limits }, testClock: true })
    using client = await connect(server.url("/echo"))
    client.send("hello")
    client.sendText("{")
    client.send({ not: "a string" })
    client.sendText("[".repeat(40) + "]".repeat(40))
    client.send("bye")
    client.send("one too many")
    const all = (await client.take(6)).map((message) => decode(message))
    assert.deepStrictEqual(
      all.map((message) => (typeof message === "string" ? message : message.code)),
      ["hello", "invalid_json", "invalid_message", "too_deep", "bye", "rate_limited"]
    )
  })

  it("has a code for everything that can be wrong, and no other", () => {
    expectTypeOf<WebSocketRoute.ErrorReply["code"]>().toEqualTypeOf<WebSocketRoute.InvalidMessage["code"]>()
  })
})
