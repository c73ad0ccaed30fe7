/**
 * A socket to PostgreSQL, encrypted where that is asked for, and ready for a session.
 *
 * The client can open sockets itself, but then nobody else sees them: a bus has to notice at once that one is gone, to
 * close it whatever the server does, and to read notifications as they come.
 */
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { EventBusError } from "../../EventBusError.ts"
import { describeFailure, refused, unreachable } from "./error.ts"

/** Where the server listens. */
export interface Address {
  readonly host: string
  readonly port: number
  /** A Unix socket, instead of host and port. */
  readonly path: string | undefined
  /** `optional`: a server that does not know TLS is spoken to without. */
  readonly encryption: "none" | "optional" | "required"
  readonly tls: Tls.ConnectionOptions | undefined
}

/** Waits for one of a socket's events; the socket's end is a failure. */
const event = <A>(
  socket: Net.Socket,
  name: string,
  take: (value: unknown) => Effect.Effect<A, EventBusError>
): Effect.Effect<A, EventBusError> =>
  Effect.callback((resume) => {
    const stop = () => {
      socket.off(name, onEvent).off("error", onError).off("close", onClose)
    }
    const done = (effect: Effect.Effect<A, EventBusError>) => {
      stop()
      resume(effect)
    }
    const onEvent = (value: unknown) => done(take(value))
    const onError = (error: unknown) => done(Effect.fail(unreachable(describeFailure(error) ?? "cannot connect")))
    const onClose = () => done(Effect.fail(unreachable("the server closed the connection")))
    socket.on(name, onEvent).on("error", onError).on("close", onClose)
    return Effect.sync(stop)
  })

/** Whoever waits for the socket is told by `close`, which follows every error. */
const ignoreError = () => {}

const scoped = (open: () => Net.Socket): Effect.Effect<Net.Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => open().on("error", ignoreError)),
    (socket) => Effect.sync(() => void socket.destroy())
  )

/** The server's answer is one byte. What comes with it would be taken for the encrypted part. */
const encryptionAnswer = (data: unknown): Effect.Effect<"S" | "N", EventBusError> => {
  const text = (data as Buffer).toString("latin1")
  return text === "S" || text === "N"
    ? Effect.succeed(text)
    : Effect.fail(unreachable("it does not answer as expected"))
}

/** Connects; destroyed when the scope closes. */
export const open = Effect.fnUntraced(function* (
  address: Address
): Effect.fn.Return<Net.Socket, EventBusError, Scope.Scope> {
  const { encryption, host, path, port, tls } = address
  const socket = yield* scoped(() => Net.connect(path === undefined ? { host, port, noDelay: true } : { path }))
  yield* event(socket, "connect", () => Effect.void)
  if (encryption === "none") return socket
  socket.write(PgProtocol.encodeSslRequest())
  const answer = yield* event(socket, "data", encryptionAnswer)
  if (answer === "N") {
    return encryption === "optional" ? socket : yield* refused("the server does not offer TLS")
  }
  const servername = Net.isIP(host) === 0 && path === undefined ? host : undefined
  const secure = yield* scoped(() =>
    Tls.connect({ host, ...(servername !== undefined && { servername }), ...tls, socket })
  )
  yield* event(secure, "secureConnect", () => Effect.void)
  return secure
})
