/**
 * Runs a route of effect-rooms with `Limits.trusted` and tells the runner its port.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import type { Socket } from "node:net"
import { Cluster, RedisBus } from "../../src/cluster/index.ts"
import { Limits, RoomsServer } from "../../src/websocket/index.ts"
import { listening } from "./report.ts"

/** With BENCH_WATCH, the most bytes seen waiting for one socket, looked at every few milliseconds. */
let mostUnsent = 0

const watched: RoomsServer.CreateServer = (options) => {
  const server = createServer(options)
  if (process.env["BENCH_WATCH"] === undefined) return server
  const sockets = new Set<Socket>()
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  setInterval(() => {
    for (const socket of sockets) mostUnsent = Math.max(mostUnsent, socket.writableLength)
  }, 5)
  return server
}

const Listening = Layer.effectDiscard(
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    if (address._tag !== "UnixPathAddress") listening(address.port, () => mostUnsent)
  })
)

const Server = RoomsServer.layer(watched, {
  port: 0,
  host: "127.0.0.1",
  allowNonBrowsers: true,
  limits: Limits.trusted
})

/** With BENCH_REDIS, one of several nodes. */
const url = process.env["BENCH_REDIS"]
const Node =
  url === undefined
    ? Layer.empty
    : Cluster.layer({ namespace: "bench", secret: "unsigned" }).pipe(Layer.provide(RedisBus.layer({ url })))

/** Serves until the runner is gone. Requests are not logged: no other contender logs them. */
export const serve = <S>(
  routes: Layer.Layer<
    never,
    never,
    RoomsServer.RoomsServer | HttpRouter.HttpRouter | HttpRouter.Request<"Requires", S>
  >,
  services: Layer.Layer<S>
): void =>
  Listening.pipe(
    Layer.provide(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true })),
    Layer.provide([services, Server]),
    Layer.provide(Node),
    Layer.launch,
    NodeRuntime.runMain
  )
