/**
 * Connects to a NATS server, once: no reconnecting, and no socket survives the scope.
 */
import type * as Nats from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { BusRefused, BusUnreachable, EventBusError } from "../../EventBusError.ts"
import type { NatsConfig } from "./config.ts"
import { Sockets } from "./sockets.ts"

const connectionOptions = (config: NatsConfig): Nats.ConnectionOptions => ({
  servers: [...config.servers],
  name: config.name,
  authenticator: config.authenticator,
  ...(config.tls !== undefined && { tls: config.tls }),
  noEcho: !config.echo,
  reconnect: false,
  timeout: config.connectMillis,
  pingInterval: 1_000,
  maxPingOut: 2,
  noAsyncTraces: true
})

const isRefusal = new Set(["AuthorizationError", "UserAuthenticationExpiredError"])
const isOfServer = new Set([
  ...isRefusal,
  "ConnectionError",
  "TimeoutError",
  "ProtocolError",
  "PermissionViolationError"
])

/** What may be repeated of an error: the words of the server, the code of the system, never what we gave the client. */
const detailOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "the connection was closed"
  if (isOfServer.has(error.name)) return error.message
  return "code" in error && typeof error.code === "string" ? error.code : error.name
}

export const refused = (detail: string): EventBusError =>
  new EventBusError({ reason: new BusRefused({ detail: `NATS: ${detail}` }) })

export const unreachable = (detail: string): EventBusError =>
  new EventBusError({ reason: new BusUnreachable({ detail: `NATS: ${detail}` }) })

/** What an error of the client means to the bus. */
export const toBusError = (error: unknown): EventBusError =>
  error instanceof Error && isRefusal.has(error.name) ? refused(error.message) : unreachable(detailOf(error))

/** Connects to one of the servers; closed when the scope closes. */
export const dial = Effect.fnUntraced(function* (
  config: NatsConfig
): Effect.fn.Return<Nats.NatsConnection, EventBusError, Scope.Scope> {
  const sockets = yield* Effect.acquireRelease(
    Effect.sync(() => new Sockets()),
    (it) => Effect.sync(() => it.destroy())
  )
  return yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: (signal) =>
        sockets
          .connect(() => config.nats.connect(connectionOptions(config)))
          .then((client) => (signal.aborted ? client.close().then(() => client) : client)),
      catch: toBusError
    }),
    (client) => Effect.promise(() => client.close()),
    { interruptible: true }
  )
})
