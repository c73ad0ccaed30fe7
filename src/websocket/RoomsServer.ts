/**
 * The HTTP server of an application, hardened for WebSocket routes.
 *
 * `layer` is `NodeHttpServer.layer` with limits, header timeouts and a drain: it provides the same services, so HTTP
 * routes and WebSocket routes share the port. This module accepts sockets, watches over them and says goodbye; what is
 * said on them is the business of `WebSocketRoute`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import type * as Net from "node:net"
import { makeShortEpoch } from "../internal/epoch.ts"
import { CurrentPeers } from "../internal/peers.ts"
import * as Turn from "../internal/turn.ts"
import { Acceptor } from "./internal/acceptor.ts"
import { Directory } from "./internal/directory.ts"
import * as Drain from "./internal/drain.ts"
import * as Remote from "./internal/remote.ts"
import * as Watch from "./internal/watch.ts"
import * as Limits from "./Limits.ts"
import * as Origin from "./Origin.ts"

/**
 * What WebSocket routes need of the server they run on. Provided by `layer`; a route on another server does not
 * compile, since that server's limits are not known.
 */
export class RoomsServer extends Context.Service<
  RoomsServer,
  {
    readonly limits: Limits.Limits
    /** Decides about the `Origin` header of a handshake. */
    readonly originAllowed: (origin: string | undefined, host: string | undefined) => boolean
    readonly acceptor: Acceptor
    readonly directory: Directory
    /** The connections of other nodes, where there are any. */
    readonly remote: Remote.Remote | undefined
  }
>()("effect-rooms/websocket/RoomsServer") {}

/** How a server says goodbye. */
export interface DrainOptions {
  /** Clients are told to connect again after a random time below this; 5 seconds by default. */
  readonly retryWithin?: Duration.Input | undefined
  /** How long clients may take over the closing handshake before their sockets are destroyed; 2 seconds by default. */
  readonly timeout?: Duration.Input | undefined
}

/** Options of `layer`: where to listen, who may connect, and the limits. */
export interface Options extends Net.ListenOptions, Origin.OriginPolicy {
  /** Limits that differ from `Limits.defaults`. */
  readonly limits?: Partial<Limits.Limits> | undefined
  readonly drain?: DrainOptions | undefined
  /**
   * Compresses messages of 1 KiB and more for clients that offer permessage-deflate; false by default. It costs CPU for
   * every member of a room instead of once, and secrets beside text of others can be guessed from lengths.
   */
  readonly compression?: boolean | undefined
}

/** Makes the Node server from the options this library sets; `createServer` of `node:http` is one. */
export type CreateServer = (options: Http.ServerOptions) => Http.Server

/** Names of query parameters and headers whose values do not belong into logs and traces. */
const secretNames = ["token", "access_token", "ticket", "auth", "key", "jwt", "authorization"]

const httpOptions = (limits: Limits.Limits): Http.ServerOptions => {
  const requestTimeout = Duration.toMillis(limits.requestTimeout)
  return {
    headersTimeout: requestTimeout,
    requestTimeout,
    connectionsCheckingInterval: Math.max(50, Math.min(1000, requestTimeout / 5)),
    maxHeaderSize: limits.maxHeaderBytes
  }
}

/** Sets again what a `createServer` that ignores its options would leave open. */
const harden = (server: Http.Server, limits: Limits.Limits): void => {
  server.headersTimeout = Duration.toMillis(limits.requestTimeout)
  server.requestTimeout = Duration.toMillis(limits.requestTimeout)
  server.maxHeadersCount = limits.maxHeaders
}

const make = Effect.fnUntraced(function* (
  createServer: CreateServer,
  options: Options
): Effect.fn.Return<Context.Context<RoomsServer | HttpServer.HttpServer>, ServeError, Scope.Scope> {
  const { compression = false, drain, limits: given, ...listen } = options
  const limits: Limits.Limits = { ...Limits.defaults, ...given }
  const originAllowed = Origin.compile(options)
  const acceptor = new Acceptor(limits, yield* makeShortEpoch, yield* Turn.make, compression)
  const peers = yield* CurrentPeers
  const directory = new Directory()
  const remote = peers && (yield* Remote.make(peers, directory))
  let server: Http.Server | undefined
  const inner = yield* NodeHttpServer.make(
    () => {
      server = createServer(httpOptions(limits))
      harden(server, limits)
      acceptor.listen(server)
      return server
    },
    {
      ...listen,
      gracefulShutdownTimeout: 0,
      // For WebSockets the application opens without this library, on the same port.
      websocket: acceptor.wsOptions
    }
  )
  // The server's own finalizer waits for every socket.
  yield* Effect.addFinalizer(() => Effect.sync(() => server && acceptor.end(server)))
  yield* Watch.run(acceptor, limits, yield* Clock.Clock)
  const drained = Drain.drain(acceptor, {
    retryWithin: drain?.retryWithin ?? Duration.seconds(5),
    timeout: drain?.timeout ?? Duration.seconds(2)
  })
  // The other nodes do not wait for this one while its clients go.
  const goodbye = peers === undefined ? drained : Effect.andThen(peers.leave, drained)
  const httpServer = HttpServer.make({
    address: inner.address,
    // Finalizers run last in, first out: clients are told before the server interrupts their handlers.
    serve: (app, middleware) =>
      Effect.andThen(
        inner.serve(app, middleware!),
        Effect.suspend(() => {
          if (server !== undefined) acceptor.listenBehind(server)
          return Effect.addFinalizer(() => goodbye)
        })
      )
  })
  return Context.make(RoomsServer, RoomsServer.of({ limits, originAllowed, acceptor, directory, remote })).pipe(
    Context.add(HttpServer.HttpServer, httpServer),
    // An identifier of 128 characters, every one percent-encoded, has to pass; the router's own limit is 100.
    Context.add(HttpRouter.RouterConfig, { ...(yield* HttpRouter.RouterConfig), maxParamLength: 512 }),
    Context.add(UrlParams.CurrentRedactedNames, [...(yield* UrlParams.CurrentRedactedNames), ...secretNames]),
    Context.add(Headers.CurrentRedactedNames, [...(yield* Headers.CurrentRedactedNames), "sec-websocket-protocol"])
  )
})

/**
 * Serves HTTP and WebSocket routes on one port, with limits and a drain.
 *
 * Provides what `NodeHttpServer.layer` provides, and `RoomsServer` for WebSocket routes. Fails with `ServeError` when
 * the port cannot be had. When the layer's scope closes, upgrades are refused with 503, clients get what was sent and
 * the close code 1012 with `retryInMs=<n>`, and only then are handlers interrupted and the port closed; handlers' own
 * finalizers run after that. Pass `createServer` of `node:http`; for TLS a function that merges the options it is given
 * with the key and certificate. The request timeouts hold for all HTTP requests of the server.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { RoomsServer } from "effect-rooms/websocket"
 * import { createServer } from "node:http"
 *
 * export const Server = HttpRouter.serve(Layer.empty).pipe(
 *   Layer.provide(RoomsServer.layer(createServer, { port: 3000, origins: ["https://chat.example"] }))
 * )
 * ```
 */
export const layer = (createServer: CreateServer, options: Options) =>
  Layer.merge(Layer.effectContext(make(createServer, options)), NodeHttpServer.layerHttpServices)
