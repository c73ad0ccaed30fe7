/**
 * Wires a route together: compiles its schemas once, and runs handshake and session for each request.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { type IncomingMessage, ServerResponse } from "node:http"
import type { Overflow } from "../../channels/Subscription.ts"
import * as Turn from "../../internal/turn.ts"
import type { Authenticator } from "../Authenticator.ts"
import { RoomsServer } from "../RoomsServer.ts"
import type { AnyRef } from "../../Ref.ts"
import type { InvalidMessage, Opening, Session } from "../Session.ts"
import { makeDecoder, makeEncoder } from "./codec.ts"
import { Backlog, type Loss } from "./backlog.ts"
import { textFrame } from "./frame.ts"
import * as Handshake from "./handshake.ts"
import * as metrics from "./metrics.ts"
import { defaultInvalidReply } from "./receiver.ts"
import { makeFarDecoder } from "./remoteCodec.ts"
import * as Services from "./services.ts"
import * as SessionRunner from "./session.ts"
import { logUnsendable } from "./unsendable.ts"
import { type Feed, Wires } from "./wires.ts"

/** A route with its handler; what both require is provided by the router. */
export interface Endpoint<In, Out, Params, Query, Principal, Data> {
  /** What the route is known by in the server's directory. */
  readonly route: object
  readonly path: HttpRouter.PathInput
  readonly params: Schema.Codec<Params, unknown>
  readonly query: Schema.Codec<Query, unknown>
  readonly incoming: Schema.Codec<In, unknown>
  readonly outgoing: Schema.Codec<Out, unknown>
  readonly authenticate: Authenticator<Principal> | undefined
  readonly allowQueryToken: boolean
  readonly clientSpeaksFirst: boolean
  /** The answer to a request that is no handshake, where there is another than 426. */
  readonly otherwise: Effect.Effect<HttpServerResponse.HttpServerResponse> | undefined
  readonly invalidReply: ((invalid: InvalidMessage) => unknown) | undefined
  readonly user: (principal: Principal) => AnyRef | undefined
  readonly gap: ((gap: Loss) => Out) | undefined
  readonly overflow: { readonly policy: Exclude<Overflow<Out>, "fail">; readonly gap: (gap: Loss) => Out } | undefined
  readonly data: (opening: Opening<Params, Query, Principal>) => Data
  readonly handle: (
    session: Session<In, Out, Params, Query, Principal, Data>
  ) => Effect.Effect<unknown, unknown> | Promise<unknown>
}

/** The response of an upgraded request: logged, never written. */
const upgraded = HttpServerResponse.empty({ status: 101 })

/** Done when a socket whose handshake failed is closed, so that nobody writes a second answer to it. */
const untilClosed = (request: IncomingMessage): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.callback((resume) => {
    const done = () => resume(Effect.succeed(upgraded))
    if (request.socket.destroyed) return done()
    request.socket.once("close", done)
  })

/** The counter of each kind of channel on a route, made when it is first used. */
const byKind = (metric: Metric.Counter<number>, route: string): ((kind: string) => Metric.Counter<number>) => {
  const counters = new Map<string, Metric.Counter<number>>()
  return (kind) => {
    const known = counters.get(kind)
    if (known !== undefined) return known
    const counter = Metric.withAttributes(metric, { route, kind })
    counters.set(kind, counter)
    return counter
  }
}

/**
 * Tells Effect, which answers every request, that this one was upgraded: with the mark its own upgrade leaves. Where
 * there is none the socket is taken away from the response, so that it finds nobody there to answer.
 */
const markUpgraded = (request: HttpServerRequest.HttpServerRequest, { socket }: IncomingMessage): void => {
  const state = "upgradeState" in request ? request.upgradeState : undefined
  if (Predicate.hasProperty(state, "response")) {
    state.response = upgraded
    return
  }
  const response = NodeHttpServerRequest.toServerResponse(request)
  // An upgrade is HTTP/1.1.
  if ("detachSocket" in response) response.detachSocket(socket)
  response.destroy()
}

/** Answers nothing, on behalf of requests that were answered. */
const nobody = new ServerResponse({ method: "GET", httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage)
nobody.destroy()

/** A request as it is known to the session: without what was there for its answer. */
const answered = (request: HttpServerRequest.HttpServerRequest): HttpServerRequest.HttpServerRequest =>
  "upgradeState" in request ? Object.assign(request.modify({}), { response: nobody, upgradeState: undefined }) : request

/** Adds an endpoint to the router. */
export const add = Effect.fnUntraced(function* <In, Out, Params, Query, Principal, Data>(
  endpoint: Endpoint<In, Out, Params, Query, Principal, Data>
) {
  const { path } = endpoint
  const router = yield* HttpRouter.HttpRouter
  const server = yield* RoomsServer
  const clock = yield* Clock.Clock
  const turn = yield* Turn.make
  const context = yield* Effect.context()
  const base = Services.shared(context)
  const open = Metric.withAttributes(metrics.connections, { route: path })
  let connections = 0
  const count = (change: number) => open.updateUnsafe((connections += change), context)

  const encode = makeEncoder(endpoint.outgoing)
  const failures = Metric.withAttributes(metrics.encodeFailures, { route: path })
  const deliveriesOf = byKind(metrics.deliveries, path)
  const dropsOf = byKind(metrics.outboxDrops, path)
  const { overflow } = endpoint
  const gap = endpoint.gap ?? overflow?.gap
  const policy = overflow?.policy
  const onFailure = (error: unknown, feed: Feed | undefined) => {
    failures.updateUnsafe(1, context)
    Effect.runForkWith(context)(logUnsendable(error, path, feed))
  }
  const wires: Wires<Out> = new Wires<Out>({
    flusher: server.acceptor.flusher,
    encode,
    notice: gap && ((loss) => wires.encode(() => gap(loss), loss)),
    keyOf: policy && (typeof policy === "object" ? (message) => policy.latestBy(message()) : () => undefined),
    onFailure,
    onDelivered: (kind, messages) => deliveriesOf(kind).updateUnsafe(messages, context)
  })
  const makeBacklog = (): Backlog | undefined =>
    overflow &&
    new Backlog({
      policy: typeof overflow.policy === "object" ? "latest" : overflow.policy,
      limits: server.limits,
      notice: (loss) => {
        const text = wires.encode(() => overflow.gap(loss), loss)
        return text === undefined ? undefined : textFrame(text)
      },
      onDropped: (kind, messages) => dropsOf(kind).updateUnsafe(messages, context)
    })

  if (server.remote !== undefined && server.directory.pathOf(endpoint.route, path) === undefined) {
    yield* Effect.logWarning(`two routes have the path ${path}: other nodes know of the connections of the first only`)
  }
  const parts: SessionRunner.RouteParts<In, Out, Params, Query, Principal, Data> = {
    path,
    route: endpoint.route,
    server,
    limits: server.limits,
    now: Turn.clockOf(clock, turn),
    turn,
    decode: makeDecoder(endpoint.incoming, server.limits.maxDepth),
    encode,
    wires,
    everybody: server.directory.addRoute(endpoint.route, encode, wires, {
      path,
      decode: makeFarDecoder(endpoint.outgoing)
    }),
    clientSpeaksFirst: endpoint.clientSpeaksFirst,
    invalidReply: endpoint.invalidReply ?? defaultInvalidReply,
    onInvalid: (reason) =>
      Metric.withAttributes(metrics.invalidMessages, { route: path, reason }).updateUnsafe(1, context),
    handle: endpoint.handle
  }
  const handshake = Handshake.handshake({
    route: path,
    server,
    now: parts.now,
    decodeParams: Schema.decodeUnknownEffect(endpoint.params),
    decodeQuery: Schema.decodeUnknownEffect(endpoint.query),
    authenticate: endpoint.authenticate,
    user: endpoint.user,
    allowQueryToken: endpoint.allowQueryToken
  })

  /** From the decision to the callbacks in one step, so that neither a frame nor the start of a drain is missed. */
  const upgrade = (
    accepted: Handshake.Accepted<Params, Query, Principal>,
    requestContext: Context.Context<HttpServerRequest.HttpServerRequest | Scope.Scope>
  ) => {
    if (server.acceptor.draining) return Handshake.answer(Handshake.draining)
    // Asked before, too; but others may have come while it was decided who this is.
    const full = Handshake.crowded(server, accepted.address, accepted.user)
    if (full !== undefined) return Handshake.answer(full)
    // Code of the application: where it throws there is nothing yet that would have to be undone.
    const data = endpoint.data(accepted)
    const peer = server.acceptor.accept(accepted, parts.now, makeBacklog())
    if (peer === undefined) return Effect.andThen(Handshake.count("malformed handshake"), untilClosed(accepted.request))
    count(1)
    const { address, params, principal, query, user } = accepted
    const over = server.acceptor.begin()
    // The session outlives the request: what was acquired for the request, by middleware perhaps, lives as long.
    const scope = Context.get(requestContext, Scope.Scope) as Scope.Closeable
    HttpEffect.scopeDisableClose(scope)
    const request = Context.get(requestContext, HttpServerRequest.HttpServerRequest)
    markUpgraded(request, accepted.request)
    SessionRunner.run(
      parts,
      { address, params, principal, query, user },
      data,
      peer,
      Services.over(base, requestContext, answered(request)),
      () => {
        count(-1)
        Effect.runForkWith(context)(Scope.close(scope, Exit.void)).addObserver(over)
      }
    )
    server.acceptor.settle(accepted.request)
    return Effect.succeed(upgraded)
  }
  const answer = Effect.uninterruptibleMask((restore) =>
    Effect.matchEffect(restore(handshake), {
      onSuccess: (accepted) =>
        Effect.contextWith((requestContext: Context.Context<HttpServerRequest.HttpServerRequest | Scope.Scope>) =>
          upgrade(accepted, requestContext)
        ),
      onFailure: Handshake.answer
    })
  )
  const { otherwise } = endpoint
  yield* router.add(
    "GET",
    path,
    otherwise === undefined ? answer : Effect.flatMap(Handshake.isHandshake(server), (is) => (is ? answer : otherwise))
  )
})
