/**
 * Wires a route together: compiles its schemas once, and runs handshake and session for each request.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import type * as Http from "node:http"
import * as Turn from "../../internal/turn.ts"
import { RoomsServer } from "../RoomsServer.ts"
import type * as WebSocketRoute from "../WebSocketRoute.ts"
import { makeDecoder, makeEncoder } from "./codec.ts"
import * as Handshake from "./handshake.ts"
import * as metrics from "./metrics.ts"
import { defaultInvalidReply } from "./receiver.ts"
import * as Session from "./session.ts"

/** The response of an upgraded request: logged, never written. */
const upgraded = HttpServerResponse.empty({ status: 101 })

/** Done when a socket whose handshake failed is closed, so that nobody writes a second answer to it. */
const untilClosed = (request: Http.IncomingMessage): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.callback<void>((resume) => {
      if (request.socket.destroyed) return resume(Effect.void)
      request.socket.once("close", () => resume(Effect.void))
    })
  )

const fieldsDecoder = <F extends WebSocketRoute.Fields>(fields: F | undefined) => {
  const decode = Schema.decodeUnknownEffect(Schema.Struct(fields ?? {}))
  return (input: unknown) => decode(input) as Effect.Effect<WebSocketRoute.Decoded<F>, Schema.SchemaError>
}

export const layer = <
  In,
  Out,
  Params extends WebSocketRoute.Fields,
  Query extends WebSocketRoute.Fields,
  Principal,
  RA,
  Handled extends WebSocketRoute.Handling
>(
  { options, path }: WebSocketRoute.WebSocketRoute<In, Out, Params, Query, Principal, RA>,
  handle: (
    session: WebSocketRoute.Session<In, Out, WebSocketRoute.Decoded<Params>, WebSocketRoute.Decoded<Query>, Principal>
  ) => Handled
): Layer.Layer<never, never, WebSocketRoute.Requirements<RA, Handled>> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const server = yield* RoomsServer
      const clock = yield* Clock.Clock
      const context = yield* Effect.context()
      const open = Metric.withAttributes(metrics.connections, { route: path })
      let connections = 0
      const count = (change: number) => open.updateUnsafe((connections += change), context)

      const parts: Session.RouteParts<
        In,
        Out,
        WebSocketRoute.Decoded<Params>,
        WebSocketRoute.Decoded<Query>,
        Principal
      > = {
        path,
        server,
        now: () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n),
        turn: yield* Turn.make,
        decode: makeDecoder(options.incoming, server.limits.maxDepth),
        encode: makeEncoder(options.outgoing),
        invalidReply: options.invalidReply ?? defaultInvalidReply,
        onInvalid: (reason) =>
          Metric.withAttributes(metrics.invalidMessages, { route: path, reason }).updateUnsafe(1, context),
        // The router provides what the handler requires: that is what `Requirements` says.
        handle: handle as never
      }
      const handshake = Handshake.handshake({
        server,
        decodeParams: fieldsDecoder(options.params),
        decodeQuery: fieldsDecoder(options.query),
        authenticate: options.authenticate,
        allowQueryToken: options.allowQueryToken ?? false
      })

      /** From the decision to the callbacks in one step, so that neither a frame nor the start of a drain is missed. */
      const upgrade = (
        accepted: Handshake.Accepted<WebSocketRoute.Decoded<Params>, WebSocketRoute.Decoded<Query>, Principal>
      ) => {
        if (server.acceptor.draining) return Handshake.answer(Handshake.draining)
        const peer = server.acceptor.accept(accepted.request)
        if (peer === undefined) return Effect.as(untilClosed(accepted.request), upgraded)
        count(1)
        return Session.run(parts, accepted, peer).pipe(
          Effect.ensuring(Effect.sync(() => count(-1))),
          Effect.as(upgraded)
        )
      }
      yield* router.add(
        "GET",
        path,
        Effect.uninterruptibleMask((restore) =>
          Effect.matchEffect(restore(handshake), { onSuccess: upgrade, onFailure: Handshake.answer })
        )
      )
    })
  )
