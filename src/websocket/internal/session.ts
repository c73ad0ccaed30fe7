/**
 * A connection after its upgrade: handler, messages, and the end, in whichever way it comes.
 *
 * The handler runs in a fiber of its own, and nothing else runs for a connection. A reset of the peer or a stop of the
 * server reach it as a closed socket, and the handler is ended from here. What few connections use is made when it is
 * first asked for, since there are many connections.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import { CurrentReceiver, type Ending } from "../../channels/Subscription.ts"
import { Cursor } from "../../internal/cursor.ts"
import type { Turn } from "../../internal/turn.ts"
import type { Messages } from "../../Messages.ts"
import type { AnyRef } from "../../Ref.ts"
import type { Connection } from "../../rooms/Connection.ts"
import { RoomError } from "../../rooms/RoomError.ts"
import * as CloseCode from "../CloseCode.ts"
import type { Limits } from "../Limits.ts"
import type { RoomsServer } from "../RoomsServer.ts"
import type { InvalidMessage, Session } from "../Session.ts"
import type { Batch } from "./batch.ts"
import { Callbacks } from "./callbacks.ts"
import type { Decoded } from "./codec.ts"
import type { Entry } from "./directory.ts"
import type { Identified } from "./handshake.ts"
import { Inbox, type InboxOptions } from "./inbox.ts"
import * as metrics from "./metrics.ts"
import type { Peer } from "./peer.ts"
import { Quota } from "./quota.ts"
import { Receiver } from "./receiver.ts"
import { Rooms } from "./rooms.ts"
import type { Wires } from "./wires.ts"

/** The session on whose behalf a fiber works, and the route that gave it its type. */
export const CurrentSession = Context.Reference<{ readonly route: object; readonly session: unknown } | undefined>(
  "effect-rooms/websocket/CurrentSession",
  { defaultValue: () => undefined }
)

/** Whether a handler failed because it was to join a room with a connection that had gone. */
const isLate = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.every((reason) => {
    if (Cause.isInterruptReason(reason)) return true
    const error = Cause.isFailReason(reason) ? reason.error : reason.defect
    return error instanceof RoomError && error.reason._tag === "MemberGone"
  })

/** What all connections of one route share. */
export interface RouteParts<In, Out, Params, Query, Principal, Data> {
  readonly path: string
  readonly route: object
  readonly server: RoomsServer["Service"]
  readonly limits: Limits
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

/** Codes after which a client is expected back: it fell silent, was cut, or the server is at fault. */
const lostCodes: ReadonlySet<number> = new Set([
  1006,
  CloseCode.internalError,
  CloseCode.serviceRestart,
  CloseCode.noPong,
  CloseCode.slowConsumer,
  CloseCode.rateLimited
])

const ownCodes: ReadonlySet<number> = new Set(Object.values(CloseCode))

/** Clients choose among two thousand application codes; a metric must not have a series for each. */
const codeLabel = (code: number): string => (code < 3000 || ownCodes.has(code) ? String(code) : "application")

const closeCodeOf = (exit: Exit.Exit<unknown, unknown>): number =>
  Exit.isSuccess(exit)
    ? CloseCode.normal
    : Cause.hasInterruptsOnly(exit.cause)
      ? CloseCode.goingAway
      : CloseCode.internalError

const itself = <A>(message: A): A => message

/** One connection of a route, as its handler and as others see it. */
class Live<In, Out, Params, Query, Principal, Data>
  implements Session<In, Out, Params, Query, Principal, Data>, Connection<Principal, Data>, InboxOptions, Entry
{
  readonly #parts: RouteParts<In, Out, Params, Query, Principal, Data>
  readonly #accepted: Identified<Params, Query, Principal>
  readonly #peer: Peer
  readonly #inbox: Inbox<In>
  readonly id: string
  readonly data: Data
  readonly quota: Quota
  readonly #callbacks = new Callbacks<Ending>()
  readonly #leaveEverybody: () => void
  #ending: Ending = "lost"
  #messages: Messages<In> | undefined
  #rooms: Rooms<Out> | undefined
  #abort: AbortController | undefined
  #aborted = false
  #isAsync = false
  #fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** Code of the application threw in a callback. */
  #defect: { readonly error: unknown } | undefined
  #onEndSeen: (() => void) | undefined
  readonly #context: Context.Context<never>
  readonly #onOver: () => void

  constructor(
    parts: RouteParts<In, Out, Params, Query, Principal, Data>,
    accepted: Identified<Params, Query, Principal>,
    data: Data,
    peer: Peer,
    context: Context.Context<never>,
    onOver: () => void
  ) {
    const { acceptor, directory } = parts.server
    this.#parts = parts
    this.#accepted = accepted
    this.#peer = peer
    this.#context = context
    this.#onOver = onOver
    this.id = acceptor.nextId()
    this.data = data
    this.quota = new Quota(parts.limits, parts.now)
    this.#inbox = new Inbox(this)
    peer.awaitsHello = parts.clientSpeaksFirst
    const userRates = accepted.user && acceptor.admission.ratesOf(accepted.user, parts.now())
    const receiver = new Receiver(parts, this, peer, this.#inbox, userRates)
    peer.listen({ onText: (text, bytes) => receiver.receive(text, bytes), onClose: (code) => this.#closed(code) })
    directory.add(this)
    this.#leaveEverybody = parts.everybody.join(peer.outbox, this.id)
  }

  // As the inbox sees it.

  get maxMessages(): number {
    return this.#parts.limits.inboxMessages
  }

  get maxBytes(): number {
    return this.#parts.limits.inboxBytes
  }

  pause(): void {
    this.#peer.pause()
  }

  resume(): void {
    this.#peer.resume()
  }

  onEndSeen(): void {
    this.#onEndSeen?.()
  }

  /** Code of the application threw in a callback. */
  die(error: unknown): void {
    this.#defect ??= { error }
    this.#fiber?.interruptUnsafe()
  }

  // As the directory sees it.

  get route(): object {
    return this.#parts.route
  }

  get peer(): Peer {
    return this.#peer
  }

  get own(): Rooms<Out> {
    return (this.#rooms ??= new Rooms(this, this.#peer.outbox, this.#parts.wires))
  }

  // As others see it.

  get principal(): Principal {
    return this.#accepted.principal
  }

  get user(): AnyRef | undefined {
    return this.#accepted.user
  }

  get remoteAddress(): string {
    return this.#accepted.address
  }

  get close(): Connection["close"] {
    return (code, reason) => this.#peer.close(code, reason)
  }

  get onClose(): Connection["onClose"] {
    return (callback) => {
      if (!this.#peer.closed) return this.#callbacks.add(callback)
      callback(this.#ending)
      return () => {}
    }
  }

  // As its handler sees it.

  get connection(): Connection<Principal, Data> {
    return this
  }

  get params(): Params {
    return this.#accepted.params
  }

  get query(): Query {
    return this.#accepted.query
  }

  get messages(): Messages<In> {
    return (this.#messages ??= new Cursor(this.#inbox).view<In>(itself))
  }

  get send(): (message: Out) => boolean {
    return (message) => this.#peer.send(this.#parts.encode(message))
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#aborted) this.#abort.abort()
    return this.#abort.signal
  }

  get join(): Session<In, Out, Params, Query, Principal, Data>["join"] {
    return (room, data, ...[as]) => this.own.join(room, data, as)
  }

  get leave(): Session<In, Out, Params, Query, Principal, Data>["leave"] {
    return (room) => room.leave(this, "left")
  }

  get rooms(): Session<In, Out, Params, Query, Principal, Data>["rooms"] {
    return Effect.sync(() => this.own.all)
  }

  get forward(): Session<In, Out, Params, Query, Principal, Data>["forward"] {
    return (channel, ref, ...[as]) => this.own.forward(channel, ref, as)
  }

  /** As `CurrentSession`. */
  get session(): unknown {
    return this
  }

  // From the handler's start to its end.

  /** Runs the handler, in either form, in the services of the request. */
  start(): void {
    const { path } = this.#parts
    const handler = Effect.suspend(() => {
      const handled = this.#parts.handle(this)
      if (Effect.isEffect(handled)) return handled
      this.#isAsync = true
      return Effect.promise(() => handled)
    })
    // Added to the context rather than provided: that would leave a step on the stack of every connection.
    const annotations = {
      ...Context.get(this.#context, References.CurrentLogAnnotations),
      route: path,
      connection: this.id
    }
    const services = this.#context.pipe(
      Context.add(CurrentReceiver, this),
      Context.add(CurrentSession, this),
      Context.add(References.CurrentLogAnnotations, annotations)
    )
    this.#fiber = Effect.runForkWith(services)(Effect.scoped(handler))
    if (this.#defect !== undefined) this.#fiber.interruptUnsafe()
    this.#fiber.addObserver((exit) => this.#ended(exit))
  }

  #doAbort(): void {
    this.#aborted = true
    this.#abort?.abort()
  }

  /** The socket is closed. */
  #closed(code: number): void {
    this.#ending = lostCodes.has(code) ? "lost" : "clean"
    this.#peer.outbox.end()
    this.#doAbort()
    this.#parts.server.directory.remove(this)
    this.#leaveEverybody()
    this.#callbacks.call(this.#ending)
    this.#inbox.end(Exit.void)
    const counter = Metric.withAttributes(metrics.closes, { code: codeLabel(code) })
    const fiber = this.#fiber
    const over = Effect.andThen(
      fiber === undefined || fiber.pollUnsafe() !== undefined ? Effect.void : this.#mustEnd(fiber),
      Metric.update(counter, 1)
    )
    Effect.runForkWith(this.#context)(over).addObserver(() => this.#onOver())
  }

  /** Gives the handler its chance, and ends it then. Done when it has ended. */
  #mustEnd(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> {
    const chance = this.#isAsync ? this.#asyncChance : this.#chance
    const untilEnded = Effect.callback<void>((resume) => void fiber.addObserver(() => resume(Effect.void)))
    return Effect.raceFirst(untilEnded, chance).pipe(
      Effect.andThen(Effect.sync(() => fiber.interruptUnsafe())),
      Effect.andThen(untilEnded),
      Effect.annotateLogs({ route: this.#parts.path, connection: this.id })
    )
  }

  /**
   * Done when a handler has had its chance after the connection was lost: it was reading and has seen the end, or it
   * never read, or `handlerTimeout` is over. A handler that ends by itself in the same turn is not disturbed.
   */
  get #chance(): Effect.Effect<void> {
    const { limits, server, turn } = this.#parts
    const endSeen = Effect.callback<void>((resume) => {
      this.#onEndSeen = () => resume(Effect.void)
      if (this.#inbox.endSeen) resume(Effect.void)
    })
    const reading = this.#inbox.touched && !server.acceptor.draining
    return Effect.andThen(
      reading ? Effect.timeoutOption(endSeen, limits.handlerTimeout) : Effect.void,
      Effect.callback<void>((resume) => turn.atEnd(() => resume(Effect.void)))
    )
  }

  /** Async functions cannot be interrupted: they are told, waited for, and then left behind, which is logged. */
  get #asyncChance(): Effect.Effect<void> {
    const { limits, path } = this.#parts
    return Effect.sleep(limits.handlerTimeout).pipe(
      Effect.andThen(Metric.update(Metric.withAttributes(metrics.handlerOverruns, { route: path }), 1)),
      Effect.andThen(Effect.logWarning("an async handler runs on although its connection is gone"))
    )
  }

  /** The handler has ended, and everything it had acquired is released. */
  #ended(handlerExit: Exit.Exit<unknown, unknown>): void {
    const exit = this.#defect === undefined ? handlerExit : Exit.die(this.#defect.error)
    this.#doAbort()
    if (Exit.isFailure(exit)) this.#report(exit.cause)
    this.#peer.close(closeCodeOf(exit), Exit.isFailure(exit) ? `internal error in ${this.id}` : "")
  }

  #report(cause: Cause.Cause<unknown>): void {
    if (Cause.hasInterruptsOnly(cause) || (this.#peer.closed && isLate(cause))) return
    const { path } = this.#parts
    const report = Effect.andThen(
      Metric.update(Metric.withAttributes(metrics.handlerFailures, { route: path }), 1),
      Effect.logError("a WebSocket handler failed", cause)
    )
    Effect.runForkWith(this.#context)(Effect.annotateLogs(report, { route: path, connection: this.id }))
  }
}

/**
 * Runs a session on a socket that was accepted in this very step. `onOver` is called when its scope and its socket are
 * closed.
 */
export const run = <In, Out, Params, Query, Principal, Data>(
  parts: RouteParts<In, Out, Params, Query, Principal, Data>,
  accepted: Identified<Params, Query, Principal>,
  data: Data,
  peer: Peer,
  context: Context.Context<never>,
  onOver: () => void
): void => new Live(parts, accepted, data, peer, context, onOver).start()
