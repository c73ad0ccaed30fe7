/**
 * Which pages may change something over HTTP: the same that may open a WebSocket.
 */
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { RoomsServer } from "effect-rooms/websocket"

/** Answers a request from a foreign page with 403. Browsers let any page send one, and name the page in `Origin`. */
export const sameOrigin = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const { originAllowed } = yield* RoomsServer.RoomsServer
    if (originAllowed(headers["origin"], headers["host"])) return yield* handler
    return HttpServerResponse.jsonUnsafe({ error: "origin not allowed" }, { status: 403 })
  })
