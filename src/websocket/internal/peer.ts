/**
 * One accepted socket: `ws` for reading, closing and pings, the raw socket for writing whole frames.
 *
 * Everything here runs in event callbacks of the platform, so nothing here may throw and every emitter has an `error`
 * listener. What the bytes mean is the route's business.
 */
import * as Predicate from "effect/Predicate"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import * as CloseCode from "../CloseCode.ts"
import { Outbox, type OutboxOptions, type Writer } from "../Outbox.ts"
import { payload, textFrame } from "./frame.ts"
import type { Run } from "./frames.ts"
import type { Action, Vitals } from "./heartbeat.ts"

/** What a route does with a connection's events. Must not throw. */
export interface PeerEvents {
  readonly onText: (text: string, bytes: number) => void
  /** The socket is closed; with the code this side closed with, or else the peer's. */
  readonly onClose: (code: number) => void
}

/**
 * Node counts a write as pending until all of it is taken, however long it is; the handle below knows better. Node's own
 * socket timeouts look at the same property. With TLS it is the handle below that one: the upper counts what it has
 * encrypted, until the system has all of it. Where there is none, only whole writes are seen.
 */
const inFlight = (socket: Duplex): number => {
  const upper: unknown = "_handle" in socket ? socket._handle : undefined
  const lower = Predicate.hasProperty(upper, "_parent") ? upper._parent : undefined
  const handle = Predicate.hasProperty(lower, "writeQueueSize") ? lower : upper
  return Predicate.hasProperty(handle, "writeQueueSize") ? Number(handle.writeQueueSize) : 0
}

const byteCount = (socket: Duplex): number => ("bytesRead" in socket ? Number(socket.bytesRead) : 0)

/** Bytes up to which copying pieces together costs less than handing them to the system one by one. */
const copyUpTo = 64 * 1024

/** Bytes that are enough to keep a socket busy. */
const enough = 64 * 1024

/** Writes to the raw socket: one system call for everything, as a rule. `onTaken` is called for each write. */
class RawWriter implements Writer {
  readonly #ws: WebSocket
  readonly #socket: Duplex
  readonly #onTaken: (() => void) | undefined
  /** Bytes of the handshake that wait to go out with the first messages. */
  #greeting: number

  constructor(ws: WebSocket, socket: Duplex, onTaken: (() => void) | undefined) {
    this.#ws = ws
    this.#socket = socket
    this.#onTaken = onTaken
    this.#greeting = socket.writableCorked > 0 ? socket.writableLength : 0
  }

  /** Lets the handshake go. */
  greet(): void {
    if (this.#greeting === 0) return
    this.#greeting = 0
    this.#socket.uncork()
  }

  get open(): boolean {
    return this.#ws.readyState === this.#ws.OPEN
  }

  get congested(): boolean {
    return this.#socket.writableLength >= enough
  }

  unsentBytes(): number {
    return this.#socket.writableLength - this.#greeting
  }

  write(runs: ReadonlyArray<Run>, bytes: number): void {
    this.#write(runs, bytes)
    this.greet()
  }

  #write(runs: ReadonlyArray<Run>, bytes: number): void {
    const socket = this.#socket
    const onTaken = this.#onTaken
    if (runs.length === 1) return void socket.write(slice(runs[0]!), onTaken)
    if (bytes <= copyUpTo) return void socket.write(Buffer.concat(runs.map(slice), bytes), onTaken)
    socket.cork()
    for (const run of runs) socket.write(slice(run), run === runs.at(-1) ? onTaken : undefined)
    socket.uncork()
  }
}

const slice = ({ frames, from, to }: Run): Buffer => frames.slice(from, to)

/**
 * Goes through `ws`, which compresses. `bufferedAmount` counts before and after compression; the outbox knows messages
 * as they were before, so what is unsent is counted here.
 */
const compressingWriter = (ws: WebSocket, onTaken: (() => void) | undefined): Writer => {
  let unsent = 0
  return {
    get open() {
      return ws.readyState === ws.OPEN
    },
    get congested() {
      return unsent >= enough
    },
    write: (runs, bytes) => {
      let left = bytes
      unsent += bytes
      for (const { frames, from, to } of runs) {
        for (let index = from; index < to; index++) {
          const frame = frames.frame(index)
          ws.send(payload(frame), { binary: false }, () => {
            unsent -= frame.length
            left -= frame.length
            if (left === 0) onTaken?.()
          })
        }
      }
    },
    unsentBytes: () => unsent
  }
}

/** A close reason is at most 123 bytes; cut at a character. */
const cutReason = (reason: string): string => {
  let cut = reason.slice(0, 123)
  while (Buffer.byteLength(cut) > 123) cut = cut.slice(0, -1)
  return cut.isWellFormed() ? cut : cut.slice(0, -1).toWellFormed()
}

const isCloseCode = (code: number): boolean =>
  Number.isInteger(code) &&
  ((code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999))

/** Close codes `ws` uses for its errors, where not 1002. */
const violationCodes: ReadonlyMap<string, number> = new Map([
  ["WS_ERR_INVALID_UTF8", 1007],
  ["WS_ERR_TOO_MANY_BUFFERED_PARTS", 1008],
  ["WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH", 1009],
  ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", 1009]
])

export interface PeerOptions extends Omit<OutboxOptions, "writer" | "onOverflow"> {
  /** Notes that it is cut for being slow; whether that has happened too often. */
  readonly isRepeat: () => boolean
  /** The socket is closed, and whoever listens has heard of it. */
  readonly onGone?: (() => void) | undefined
}

export class Peer {
  readonly #ws: WebSocket
  readonly #socket: Duplex
  readonly outbox: Outbox
  readonly #isRepeat: () => boolean
  #events: PeerEvents | undefined
  /** Set by the inbox while the socket is not being read. */
  paused = false
  /** Valid messages received; counted by the receiver. */
  messages = 0
  /** Set by the route whose client has to send the first message. */
  awaitsHello = false
  #closed = false
  /** Whether it was found too slow. */
  #cut = false
  #closeCode: number | undefined

  constructor(ws: WebSocket, socket: Duplex, options: PeerOptions) {
    this.#ws = ws
    this.#socket = socket
    const { backlog, budget, flusher, isRepeat, limits, onGone } = options
    const onTaken = backlog && (() => this.outbox.writeTaken())
    const writer = ws.extensions === "" ? new RawWriter(ws, socket, onTaken) : compressingWriter(ws, onTaken)
    if (socket.writableCorked > 0) {
      // Behind what is written at the end of the turn, since most connections are sent something at once.
      flusher.afterwards(() => (writer instanceof RawWriter ? writer.greet() : socket.uncork()))
    }
    this.outbox = new Outbox({
      limits,
      flusher,
      budget,
      backlog,
      writer,
      onOverflow: () => this.#tooSlow(),
      destroy: () => this.terminate()
    })
    this.#isRepeat = isRepeat
    // `ws` answers violations itself and then closes; what remains to be done is to know the code.
    ws.on("error", (error: Error & { readonly code?: string }) => {
      this.#closeCode ??= violationCodes.get(error.code ?? "") ?? (error.code?.startsWith("WS_ERR") ? 1002 : undefined)
    })
    ws.on("close", (code: number) => {
      this.#closed = true
      budget.forget(this.outbox)
      this.#events?.onClose(this.#closeCode ?? code)
      onGone?.()
    })
  }

  /** Who is cut again and again is told not to come back. */
  #tooSlow(): void {
    // Closing writes what is held, which may be too much in its turn: that is the same cut.
    if (!this.open || this.#cut) return
    this.#cut = true
    const repeated = this.#isRepeat()
    this.close(repeated ? CloseCode.repeatedlySlow : CloseCode.slowConsumer, "the client takes its messages too slowly")
  }

  /** To be called in the step that made the peer, so that no event is missed. */
  listen(events: PeerEvents): void {
    this.#events = events
    this.#ws.on("message", (data: Buffer, isBinary: boolean) => {
      if (this.#closeCode !== undefined) return
      if (isBinary) this.close(CloseCode.unsupportedData, "binary messages are not supported")
      else events.onText(data.toString(), data.length)
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Whether messages can be sent: the socket is open and nobody has begun to close it. */
  get open(): boolean {
    return this.#ws.readyState === this.#ws.OPEN && this.#closeCode === undefined
  }

  /**
   * Sends a text message at the end of the turn. False when the connection is closing, or too slow: then it is closed
   * with 4004.
   */
  send(text: string): boolean {
    return this.open && this.outbox.offer(textFrame(text))
  }

  /** Begins the closing handshake, behind what was sent. The first call counts. */
  close(code: number = CloseCode.normal, reason = ""): void {
    if (!this.open) return
    this.outbox.end()
    // What was still to be sent was too much: then it has closed with the code for that.
    if (!this.open) return
    this.#closeCode = isCloseCode(code) ? code : CloseCode.normal
    // A paused socket would never read the peer's answer.
    this.resume()
    this.#ws.close(this.#closeCode, cutReason(reason))
  }

  /** Destroys the socket, and what was not written. */
  terminate(): void {
    this.#ws.terminate()
  }

  pause(): void {
    if (this.#closed || this.paused) return
    this.paused = true
    this.#ws.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    if (!this.#closed) this.#ws.resume()
  }

  get vitals(): Vitals {
    return {
      bytesRead: byteCount(this.#socket),
      bytesTaken: this.outbox.takenBytes,
      // What is being compressed has not come to the socket.
      unsent: this.#socket.writableLength > 0 || this.outbox.unsentBytes > 0,
      inFlight: inFlight(this.#socket),
      messages: this.messages,
      awaitsHello: this.awaitsHello,
      paused: this.paused,
      closing: this.#ws.readyState !== this.#ws.OPEN
    }
  }

  /** Does what the heartbeat asks for. */
  act(action: Action): void {
    switch (action) {
      case "none":
        return
      case "ping":
        return this.#ws.ping()
      case "noPong":
        this.close(CloseCode.noPong, "no answer to ping")
        // A silent peer will not answer the closing handshake either.
        return this.terminate()
      case "noHello":
        return this.close(CloseCode.helloTimeout, "no message within the time for the first")
      case "idle":
        return this.close(CloseCode.idle, "no message for too long")
      case "slowConsumer":
        return this.#tooSlow()
      case "inboxStalled":
        return this.close(CloseCode.internalError, "the server is not reading")
      case "terminate":
        return this.terminate()
    }
  }
}
