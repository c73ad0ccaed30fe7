/**
 * A connection after its upgrade: handler, messages, and the end, in whichever way it comes.
 *
 * The session runs uninterruptible and ends when the socket has closed: a reset of the peer or a stop of the server
 * reach it as a closed socket, and the handler is ended from here.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import { CurrentReceiver, type Ending } from "../../channels/Subscription.ts"
import { Cursor } from "../../internal/cursor.ts"
import type { Turn } from "../../internal/turn.ts"
import type { AnyRef } from "../../Ref.ts"
import type { Connection } from "../../rooms/Connection.ts"
import * as CloseCode from "../CloseCode.ts"
import type { RoomsServer } from "../RoomsServer.ts"
import type { InvalidMessage, Session } from "../Session.ts"
import type { Batch } from "./batch.ts"
import type { Decoded } from "./codec.ts"
import type { Accepted } from "./handshake.ts"
import { Inbox } from "./inbox.ts"
import * as metrics from "./metrics.ts"
import type { Peer } from "./peer.ts"
import { Quota } from "./quota.ts"
import { makeReceiver } from "./receiver.ts"
import { Rooms } from "./rooms.ts"
import type { Wires } from "./wires.ts"

/** The session on whose behalf a fiber works, and the route that gave it its type. */
export const CurrentSession = Context.Reference<{ readonly route: object; readonly session: unknown } | undefined>(
  "effect-rooms/websocket/CurrentSession",
  { defaultValue: () => undefined }
)

/** What all connections of one route share. */
export interface RouteParts<In, Out, Params, Query, Principal, Data> {
  readonly path: string
  readonly route: object
  readonly server: RoomsServer["Service"]
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly turn: Turn
  readonly decode: (text: string) => Decoded<In>
  readonly encode: (message: Out) => string
  readonly wires: Wires<Out>
  /** All connections of the route. */
  readonly everybody: Batch<Out>
  /** Whether the client has to send a message before anything happens. */
  readonly clientSpeaksFirst: boolean
  readonly invalidReply: (invalid: InvalidMessage) => unknown
  /** Counts a refused message under a reason. */
  readonly onInvalid: (reason: string) => void
  readonly handle: (
    session: Session<In, Out, Params, Query, Principal, Data>
  ) => Effect.Effect<unknown, unknown> | Promise<unknown>
}

/** The socket's side of a session: what its callbacks tell the handler's side. */
interface Line<In> {
  readonly peer: Peer
  readonly inbox: Inbox<In>
  /** The close code, once the socket is closed. */
  readonly closed: Deferred.Deferred<number>
  /** A reader of the messages has come to their end. */
  readonly endSeen: Deferred.Deferred<void>
  /** Code of the application threw in a callback. */
  readonly defect: Deferred.Deferred<never>
  readonly onClose: (callback: (ending: Ending) => void) => () => void
  readonly quota: Quota
}

type Parts<In> = Pick<
  RouteParts<In, never, never, never, never, never>,
  "path" | "server" | "now" | "turn" | "decode" | "clientSpeaksFirst" | "invalidReply" | "onInvalid"
>

/** Codes after which a client is expected back: it fell silent, was cut, or the server is at fault. */
const lostCodes: ReadonlySet<number> = new Set([
  1006,
  CloseCode.internalError,
  CloseCode.serviceRestart,
  CloseCode.noPong,
  CloseCode.slowConsumer,
  CloseCode.rateLimited
])

/** Connects the callbacks of a socket that was accepted in this very step. */
const connect = <In>(parts: Parts<In>, peer: Peer, user: AnyRef | undefined): Line<In> => {
  const { acceptor, limits } = parts.server
  peer.awaitsHello = parts.clientSpeaksFirst
  const closed = Deferred.makeUnsafe<number>()
  const endSeen = Deferred.makeUnsafe<void>()
  const defect = Deferred.makeUnsafe<never>()
  const inbox = new Inbox<In>({
    maxMessages: limits.inboxMessages,
    maxBytes: limits.inboxBytes,
    pause: () => peer.pause(),
    resume: () => peer.resume(),
    onEndSeen: () => Deferred.doneUnsafe(endSeen, Exit.void)
  })
  const { decode, invalidReply, now, onInvalid } = parts
  const quota = new Quota(limits, now)
  const userRates = user && acceptor.admission.ratesOf(user, now())
  const callbacks = new Set<(ending: Ending) => void>()
  let ending: Ending = "lost"
  const onDefect = (error: unknown) => Deferred.doneUnsafe(defect, Exit.die(error))
  peer.listen({
    onText: makeReceiver({ limits, decode, invalidReply, now, onInvalid, onDefect, inbox, peer, quota, userRates }),
    onClose: (code) => {
      ending = lostCodes.has(code) ? "lost" : "clean"
      peer.outbox.end()
      for (const callback of Array.from(callbacks)) callback(ending)
      callbacks.clear()
      inbox.end(Exit.void)
      Deferred.doneUnsafe(closed, Exit.succeed(code))
    }
  })
  const onClose = (callback: (ending: Ending) => void) => {
    if (peer.closed) callback(ending)
    else callbacks.add(callback)
    return () => void callbacks.delete(callback)
  }
  return { peer, inbox, closed, endSeen, defect, onClose, quota }
}

/**
 * Done when a handler has had its chance after the connection was lost: it was reading and has seen the end, or it
 * never read, or `handlerTimeout` is over. A handler that ends by itself in the same turn is not disturbed.
 */
const effectMustEnd = <In>({ server, turn }: Parts<In>, line: Line<In>): Effect.Effect<void> =>
  Deferred.await(line.closed).pipe(
    Effect.andThen(
      Effect.suspend(() =>
        line.inbox.touched && !server.acceptor.draining
          ? Effect.timeoutOption(Deferred.await(line.endSeen), server.limits.handlerTimeout)
          : Effect.void
      )
    ),
    Effect.andThen(Effect.callback<void>((resume) => turn.atEnd(() => resume(Effect.void))))
  )

/** Async functions cannot be interrupted: they are told, waited for, and then left behind, which is logged. */
const asyncMustEnd = <In>({ path, server }: Parts<In>, line: Line<In>): Effect.Effect<void> =>
  Deferred.await(line.closed).pipe(
    Effect.andThen(Effect.sleep(server.limits.handlerTimeout)),
    Effect.andThen(Metric.update(Metric.withAttributes(metrics.handlerOverruns, { route: path }), 1)),
    Effect.andThen(Effect.logWarning("an async handler runs on although its connection is gone"))
  )

/** Runs the handler, in either form, until it ends or must end. */
const runHandler = <In, Out, Params, Query, Principal, Data>(
  parts: RouteParts<In, Out, Params, Query, Principal, Data>,
  line: Line<In>,
  session: Session<In, Out, Params, Query, Principal, Data>
): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const handled = parts.handle(session)
    const [handler, mustEnd] = Effect.isEffect(handled)
      ? [handled, effectMustEnd(parts, line)]
      : [Effect.promise(() => handled), asyncMustEnd(parts, line)]
    // Only the contenders can be interrupted, each in a fiber of its own; the session itself sees them end.
    return Effect.raceAllFirst([handler, mustEnd, Deferred.await(line.defect)].map(Effect.interruptible))
  })

const ownCodes: ReadonlySet<number> = new Set(Object.values(CloseCode))

/** Clients choose among two thousand application codes; a metric must not have a series for each. */
const codeLabel = (code: number): string => (code < 3000 || ownCodes.has(code) ? String(code) : "application")

const closeCodeOf = (exit: Exit.Exit<unknown, unknown>): number =>
  Exit.isSuccess(exit)
    ? CloseCode.normal
    : Cause.hasInterruptsOnly(exit.cause)
      ? CloseCode.goingAway
      : CloseCode.internalError

const reportFailure = (path: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Cause.hasInterruptsOnly(cause)
    ? Effect.void
    : Effect.andThen(
        Metric.update(Metric.withAttributes(metrics.handlerFailures, { route: path }), 1),
        Effect.logError("a WebSocket handler failed", cause)
      )

/**
 * Runs a session on a socket that was accepted in this very step; done when its scope and its socket are closed.
 */
export const run = <In, Out, Params, Query, Principal, Data>(
  parts: RouteParts<In, Out, Params, Query, Principal, Data>,
  accepted: Accepted<Params, Query, Principal> & { readonly data: Data },
  peer: Peer
): Effect.Effect<void> => {
  const line = connect(parts, peer, accepted.user)
  const abort = new AbortController()
  line.onClose(() => abort.abort())
  const { params, principal, query } = accepted
  const connection: Connection<Principal, Data> = {
    id: parts.server.acceptor.nextId(),
    principal,
    user: accepted.user,
    data: accepted.data,
    remoteAddress: accepted.address,
    close: (code, reason) => peer.close(code, reason),
    onClose: line.onClose,
    quota: line.quota
  }
  parts.server.directory.add({ route: parts.route, connection, sendText: (text) => peer.send(text) })
  line.onClose(parts.everybody.join(peer.outbox, connection.id))
  const rooms = new Rooms(connection, peer.outbox, parts.wires)
  const session: Session<In, Out, Params, Query, Principal, Data> = {
    messages: new Cursor(line.inbox).view((message) => message),
    send: (message) => peer.send(parts.encode(message)),
    params,
    query,
    connection,
    principal,
    signal: abort.signal,
    join: rooms.join,
    leave: rooms.leave,
    rooms: rooms.all,
    forward: rooms.forward
  }
  const handled = Effect.scoped(runHandler(parts, line, session)).pipe(
    Effect.provideService(CurrentReceiver, connection),
    Effect.provideService(CurrentSession, { route: parts.route, session }),
    Effect.tapCause((cause) => reportFailure(parts.path, cause)),
    Effect.exit
  )
  return handled.pipe(
    Effect.tap((exit) =>
      Effect.sync(() => {
        abort.abort()
        peer.close(closeCodeOf(exit), Exit.isFailure(exit) ? `internal error in ${connection.id}` : "")
      })
    ),
    Effect.andThen(Deferred.await(line.closed)),
    Effect.flatMap((code) => Metric.update(Metric.withAttributes(metrics.closes, { code: codeLabel(code) }), 1)),
    Effect.annotateLogs({ route: parts.path, connection: connection.id }),
    Effect.uninterruptible
  )
}
