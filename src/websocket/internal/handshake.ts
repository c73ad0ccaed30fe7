/**
 * Everything that is decided before the upgrade, where a refusal is an HTTP answer.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Http from "node:http"
import { type Authenticator, credentialsOf } from "../Authenticator.ts"
import type { RoomsServer } from "../RoomsServer.ts"
import type { AnyRef } from "../../Ref.ts"
import type { Excess } from "./admission.ts"
import { rejections } from "./metrics.ts"

/** An upgrade that is not going to happen: the answer, and the reason it is counted under. */
export class Refusal extends Schema.TaggedError<Refusal>()("Refusal", {
  status: Schema.Int,
  reason: Schema.String,
  /** What the client is told besides. */
  hint: Schema.optionalKey(Schema.String),
  headers: Schema.Record(Schema.String, Schema.String)
}) {}

const refuse = (status: number, reason: string, headers: Record<string, string> = {}) =>
  Effect.fail(new Refusal({ status, reason, headers }))

/** The server is saying goodbye; another one takes the client. */
export const draining = new Refusal({ status: 503, reason: "the server is stopping", headers: { "retry-after": "1" } })

/** Counts a refusal. */
export const count = (reason: string): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(rejections, { reason }), 1)

/** Answers a refusal and counts it. */
export const answer = (refusal: Refusal) =>
  Effect.as(
    count(refusal.reason),
    HttpServerResponse.text(refusal.hint === undefined ? refusal.reason : `${refusal.reason}: ${refusal.hint}`, {
      status: refusal.status,
      headers: refusal.headers
    })
  )

const foreignOrigin = new Refusal({
  status: 403,
  reason: "origin not allowed",
  hint: "it is none of the server's option `origins`",
  headers: {}
})

const noOrigin = new Refusal({
  status: 403,
  reason: "no origin",
  hint: "clients that are no browsers need the server's option `allowNonBrowsers`",
  headers: {}
})

/** So much of a header as belongs into a log: no control characters, and no more than this. */
const printable = (header: string): string => header.slice(0, 128).replace(/[^ -~]/g, "?")

/** Refuses for an origin, which is logged: the one who set the server up has to know why nobody gets in. */
const refuseOrigin = (origin: string | undefined) => {
  const [refusal, annotations] = origin === undefined ? [noOrigin, {}] : [foreignOrigin, { origin: printable(origin) }]
  return Effect.andThen(
    Effect.annotateLogs(Effect.logInfo(`a handshake was refused: ${refusal.reason}`), annotations),
    refusal
  )
}

/** Refuses for what does not fit its schema, whose words repeat no value. */
const refuseMisfit = (reason: string) => (error: Schema.SchemaError) =>
  Effect.andThen(
    Effect.logDebug(`a handshake was refused: ${reason}, ${error.message.slice(0, 256).toWellFormed()}`),
    refuse(400, reason)
  )

const incoming = (request: HttpServerRequest.HttpServerRequest): Http.IncomingMessage =>
  NodeHttpServerRequest.toIncomingMessage(request) as Http.IncomingMessage

/** Whether a request asks for a WebSocket. */
export const isHandshake = ({ acceptor }: RoomsServer["Service"]) =>
  Effect.map(HttpServerRequest.HttpServerRequest, (request) => acceptor.canUpgrade(incoming(request)))

const crowdedBy: Readonly<Record<Excess, Refusal>> = {
  server: new Refusal({ status: 503, reason: "too many connections", headers: { "retry-after": "5" } }),
  address: new Refusal({ status: 503, reason: "too many connections of the address", headers: { "retry-after": "5" } }),
  user: new Refusal({ status: 503, reason: "too many connections of the user", headers: { "retry-after": "5" } })
}

/** The refusal of one more connection, where there are as many as may be. */
export const crowded = (
  { acceptor }: RoomsServer["Service"],
  address: string,
  user: AnyRef | undefined
): Refusal | undefined => {
  const excess = acceptor.admission.excess(address, user)
  return excess && crowdedBy[excess]
}

/** What is known of a connection once it may be upgraded, and beyond. */
export interface Identified<Params, Query, Principal> {
  readonly address: string
  readonly params: Params
  readonly query: Query
  readonly principal: Principal
  readonly user: AnyRef | undefined
}

/** An upgrade that may happen. */
export interface Accepted<Params, Query, Principal> extends Identified<Params, Query, Principal> {
  readonly request: Http.IncomingMessage
}

export interface HandshakeOptions<Params, Query, Principal, RA> {
  /** The path of the route, for the log. */
  readonly route: string
  readonly server: RoomsServer["Service"]
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly decodeParams: (params: unknown) => Effect.Effect<Params, Schema.SchemaError>
  readonly decodeQuery: (query: unknown) => Effect.Effect<Query, Schema.SchemaError>
  readonly authenticate: Authenticator<Principal, RA> | undefined
  readonly user: (principal: Principal) => AnyRef | undefined
  readonly allowQueryToken: boolean
}

/** Checks a request in the order in which a refusal costs least. */
export const handshake = <Params, Query, Principal, RA>({
  allowQueryToken,
  authenticate,
  decodeParams,
  decodeQuery,
  now,
  route,
  server,
  user
}: HandshakeOptions<Params, Query, Principal, RA>) =>
  Effect.gen(function* () {
    const serverRequest = yield* HttpServerRequest.HttpServerRequest
    const request = incoming(serverRequest)
    if (!server.acceptor.canUpgrade(request)) {
      return yield* refuse(426, "this is a WebSocket endpoint", { upgrade: "websocket", connection: "upgrade" })
    }
    if (server.acceptor.draining) return yield* draining
    const address = Option.getOrElse(serverRequest.remoteAddress, () => "unknown")
    if (!server.acceptor.admission.ask(address, now())) {
      return yield* refuse(503, "too many upgrades of the address", { "retry-after": "1" })
    }
    const full = crowded(server, address, undefined)
    if (full !== undefined) return yield* full
    if (!server.originAllowed(request.headers.origin, request.headers.host)) {
      return yield* refuseOrigin(request.headers.origin)
    }
    const params = yield* Effect.catch(
      Effect.flatMap(HttpRouter.params, decodeParams),
      refuseMisfit("invalid path parameters")
    )
    const query = yield* Effect.catch(
      Effect.flatMap(HttpServerRequest.ParsedSearchParams, decodeQuery),
      refuseMisfit("invalid query parameters")
    )
    const principal =
      authenticate === undefined
        ? (undefined as Principal)
        : yield* Effect.catchTag(authenticate(credentialsOf(serverRequest, allowQueryToken)), "Denied", ({ reason }) =>
            reason === "unauthenticated" ? refuse(401, reason, { "www-authenticate": "Bearer" }) : refuse(403, reason)
          )
    return { request, address, params, query, principal, user: user(principal) }
  }).pipe(
    Effect.annotateLogs({ route }),
    Effect.timeoutOrElse({
      duration: server.limits.acceptTimeout,
      orElse: () => refuse(503, "accepting took too long", { "retry-after": "1" })
    })
  )
