/**
 * The playground: what effect-rooms does, in one small application. `npm start`; the port comes from `PORT`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Limits, RoomsServer } from "effect-rooms/websocket"
import { createServer } from "node:http"
import { BoardRoutes, BoardServices } from "./board.ts"
import { ChatRoutes, ChatServices } from "./chat.ts"
import { ClusterRoutes, ClusterServices } from "./cluster.ts"
import { MoostRoutes } from "./moost.ts"
import { Pages } from "./pages.ts"

const Server = Layer.unwrap(
  Effect.map(Config.Int("PORT").pipe(Config.withDefault(3000)), (port) =>
    // Non-browsers are let in so that wscat works; a server for browsers alone leaves that off.
    // Everybody who tries it comes from one address, so that does not bound them here, nor does their zeal.
    RoomsServer.layer(createServer, { port, allowNonBrowsers: true, limits: Limits.trusted })
  )
)

const PrintUrls = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const host = `localhost:${"port" in address ? address.port : ""}`
    yield* Console.log(
      [
        "",
        "  effect-rooms playground",
        "",
        `  Chat page     http://${host}/`,
        `  Public room   ws://${host}/chat/room/general?username=Alice`,
        `  Private room  ws://${host}/chat/private/vip?token=alice-token`,
        `  Kanban page   http://${host}/board`,
        `  Kanban        ws://${host}/  as in the tutorial, and POST http://${host}/tasks`,
        `  Events        ws://${host}/moost`,
        `  Metrics       http://${host}/metrics`,
        `  Health        http://${host}/health`,
        `  Cluster       http://${host}/cluster`,
        "",
        "  Open the page in two windows. Ctrl-C stops.",
        ""
      ].join("\n")
    )
  })
)

HttpRouter.serve(Layer.mergeAll(ChatRoutes, BoardRoutes, MoostRoutes, ClusterRoutes, Pages), {
  disableLogger: true,
  disableListenLog: true
}).pipe(
  Layer.merge(PrintUrls),
  Layer.provide([ChatServices, BoardServices, Server]),
  // Around everything else: what is built on it reaches the other nodes.
  Layer.provide(ClusterServices),
  Layer.launch,
  NodeRuntime.runMain
)
