/**
 * Code of the application that is asked while a connection opens, and fails.
 */
import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, refused } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

const fail = () => {
  throw new Error("a mistake")
}

/** A route whose hook of this name throws for the client called Mallory. */
const routeWith = (hook: "authenticate" | "user" | "data") => {
  const route = WebSocketRoute.make("/hooks", {
    query: { name: Schema.String },
    incoming: Schema.String,
    outgoing: Schema.String,
    authenticate: ({ request }) =>
      Effect.sync(() => {
        const name = request.url.includes("Mallory") ? "Mallory" : "Alice"
        return hook === "authenticate" && name === "Mallory" ? fail() : name
      }),
    user: (name) => (hook === "user" && name === "Mallory" ? fail() : undefined),
    data: ({ principal }) => (hook === "data" && principal === "Mallory" ? fail() : undefined)
  })
  return WebSocketRoute.layer(route, ({ messages, send }) =>
    Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
  )
}

describe("BUG24: a defect before the upgrade", () => {
  it.each(["authenticate", "user", "data"] as const)("in `%s` is a 500, and leaves no connection", async (hook) => {
    await using server = await startServer({ routes: routeWith(hook), server: { limits: { maxConnections: 1 } } })
    const refusal = await refused(server.url("/hooks?name=Mallory"))
    assert.strictEqual(refusal.status, 500)
    assert.notInclude(refusal.body, "mistake")
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
    using alice = await connect(server.url("/hooks?name=Alice"))
    alice.send("well?")
    assert.strictEqual(await alice.next(), "well?")
  })
})
