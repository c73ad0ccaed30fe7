/**
 * Turns an upgrade request that a route has accepted into a `Peer`.
 *
 * The handshake is done by a `ws` server of our own on the request Effect's router handed to the route, not by
 * `HttpServerRequest.upgrade`: `docs/adr/0003-raw-socket.md` says why. For that the first bytes behind the request
 * (`head`) have to be remembered, since Effect's request does not show them.
 */
import type * as Http from "node:http"
import type { Duplex } from "node:stream"
import { WebSocketServer, type ServerOptions, type WebSocket } from "ws"
import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import type { Limits } from "../Limits.ts"
import type { Turn } from "../../internal/turn.ts"
import type { AnyRef } from "../../Ref.ts"
import { Admission } from "./admission.ts"
import type { Backlog } from "./backlog.ts"
import { Budget } from "./budget.ts"
import { Flusher } from "./flusher.ts"
import { Leftovers } from "./leftovers.ts"
import { Repeats } from "./repeats.ts"
import { Peer } from "./peer.ts"

/** The subprotocol a browser may send a token in, for want of an `Authorization` header; never echoed. */
export const tokenProtocol = "bearer."

/** A request that is to be upgraded, and who that is. */
export interface Upgrade {
  readonly request: Http.IncomingMessage
  readonly address: string
  readonly user: AnyRef | undefined
}

/** Listens to sockets; one function for all of them. */
const destroy = function (this: Duplex): void {
  this.destroy()
}

export class Acceptor {
  readonly #limits: Limits
  readonly #epoch: string
  readonly #wss: WebSocketServer
  readonly #heads = new WeakMap<Http.IncomingMessage, Buffer>()
  /** Sockets that asked for an upgrade and were not accepted. */
  readonly #undecided = new Set<Duplex>()
  readonly #onUndecidedClose: (this: Duplex) => void
  readonly #leftovers = new Leftovers()
  readonly #peers = new Set<Peer>()
  readonly admission: Admission
  readonly flusher: Flusher
  readonly budget: Budget
  readonly #slow: Repeats
  readonly wsOptions: Omit<ServerOptions, "noServer" | "server" | "host" | "port" | "path">
  #accepted = 0
  #sessions = 0
  readonly #waiting: Array<() => void> = []
  draining = false

  constructor(limits: Limits, epoch: string, turn: Turn, compression: boolean) {
    this.#limits = limits
    this.#epoch = epoch
    this.admission = new Admission(limits)
    this.flusher = new Flusher(turn)
    this.budget = new Budget(limits.outboundBytes)
    this.#slow = new Repeats(limits.maxSlowCuts, Duration.toMillis(limits.slowWindow))
    // Options of ws 8.23 that its types do not know yet. Our own close timeout runs on Effect's clock and comes first.
    const untyped = {
      maxFragments: limits.maxFragments,
      maxBufferedChunks: 1024,
      maxPendingAutoPongs: 8,
      closeTimeout: Duration.toMillis(limits.closeTimeout) * 2
    }
    this.wsOptions = {
      ...untyped,
      maxPayload: limits.maxMessageBytes,
      // No window is kept between messages: it would be 32 KiB and more for each connection.
      perMessageDeflate: compression && {
        threshold: 1024,
        concurrencyLimit: 2,
        serverNoContextTakeover: true,
        clientNoContextTakeover: true
      },
      clientTracking: false,
      handleProtocols: (protocols) => {
        for (const protocol of protocols) if (!protocol.startsWith(tokenProtocol)) return protocol
        return false
      }
    }
    this.#wss = new WebSocketServer({ ...this.wsOptions, noServer: true })
    this.#wss.on("error", () => {})
    const undecided = this.#undecided
    this.#onUndecidedClose = function () {
      undecided.delete(this)
    }
  }

  /** A session begins; to be called when it is over. */
  begin(): () => void {
    this.#sessions++
    return () => {
      if (--this.#sessions > 0) return
      for (const waiting of this.#waiting.splice(0)) waiting()
    }
  }

  /** Waits until the sessions that have begun are over, with everything their handlers do in the end. */
  readonly sessionsOver: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.#sessions === 0) resume(Effect.void)
    else this.#waiting.push(() => resume(Effect.void))
  })

  get peers(): ReadonlySet<Peer> {
    return this.#peers
  }

  /** Names a connection. */
  nextId(): string {
    return `${this.#epoch}-c${(++this.#accepted).toString(36)}`
  }

  listen(server: Http.Server): void {
    server.on("upgrade", (request: Http.IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#heads.set(request, head)
      this.#undecided.add(socket)
      socket.on("close", this.#onUndecidedClose)
      // A client that was refused and keeps its side open would otherwise hold the socket for ever.
      socket.on("finish", destroy)
      this.#leftovers.asked(socket)
    })
  }

  /** To be called when Effect has begun to listen to the server. */
  listenBehind(server: Http.Server): void {
    server.on("upgrade", (_request: Http.IncomingMessage, socket: Duplex) => this.#leftovers.told(socket))
  }

  /** The last thing to be done for a request that was accepted and is answered in this step. */
  settle({ socket }: Http.IncomingMessage): void {
    this.#leftovers.accepted(socket)
  }

  /** Cuts what is left when nothing is served any more: requests that were never whole, upgrades nobody will answer. */
  end(server: Http.Server): void {
    server.closeAllConnections()
    for (const socket of this.#undecided) socket.destroy()
  }

  /** Whether the client asked for an upgrade, so that one can be accepted. */
  canUpgrade(request: Http.IncomingMessage): boolean {
    return this.#heads.has(request) && request.headers.upgrade?.toLowerCase() === "websocket"
  }

  /**
   * Does the handshake, in the step in which admission was asked. Undefined when it was malformed or the client has gone:
   * then the socket is already ending.
   */
  accept({ address, request, user }: Upgrade, now: () => number, backlog: Backlog | undefined): Peer | undefined {
    const { socket } = request
    if (socket.destroyed) return undefined
    let accepted: WebSocket | undefined
    // The handshake goes out with the first messages, where there are any in this turn: one system call instead of two.
    socket.cork()
    this.#wss.handleUpgrade(request, socket, this.#heads.get(request)!, (ws) => {
      accepted = ws
    })
    if (accepted === undefined) {
      socket.uncork()
      return undefined
    }
    this.#undecided.delete(socket)
    socket.off("close", this.#onUndecidedClose)
    socket.off("finish", destroy)
    this.#heads.delete(request)
    const client = user === undefined ? address : `${user.entity}:${user.identifier}`
    const leave = this.admission.enter(address, user, now())
    const peer: Peer = new Peer(accepted, socket, {
      limits: this.#limits,
      flusher: this.flusher,
      budget: this.budget,
      backlog,
      isRepeat: () => this.#slow.note(client, now()),
      onGone: () => {
        this.#peers.delete(peer)
        leave()
      }
    })
    this.#peers.add(peer)
    return peer
  }
}
