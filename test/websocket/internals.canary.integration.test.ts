/**
 * That a server takes away what Effect listens to on an upgraded socket, which depends on the order in which both listen.
 */
import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Socket } from "node:net"
import { connect, signal } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

const leftovers = "Effect listens otherwise to the socket of an upgrade: look at src/websocket/internal/leftovers.ts"

describe("the socket of a connection", () => {
  it("has what Effect listens to until it is upgraded, and not behind that", async () => {
    const asked = signal()
    const gate = Deferred.makeUnsafe<void>()
    const authenticate = () => Effect.andThen(Effect.sync(asked.fire), Deferred.await(gate))
    const route = WebSocketRoute.make("/slow", { incoming: Schema.String, outgoing: Schema.String, authenticate })
    const routes = WebSocketRoute.layer(route, ({ send }) => {
      send("here")
      return Effect.never
    })
    await using server = await startServer({ routes })
    const sockets: Array<Socket> = []
    server.node.on("connection", (socket) => void sockets.push(socket))
    const connecting = connect(server.url("/slow"))
    await asked.promise
    const interrupts = () => sockets[0]!.rawListeners("close").filter((listener) => /interrupt/i.test(String(listener)))
    assert.strictEqual(interrupts().length, 1, leftovers)
    await Effect.runPromise(Deferred.succeed(gate, undefined))
    using client = await connecting
    await client.next()
    assert.strictEqual(interrupts().length, 0, leftovers)
  })
})
