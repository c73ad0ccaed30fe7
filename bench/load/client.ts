/**
 * One client: a TCP socket, the upgrade, and from then on a counter of frames.
 */
import * as Net from "node:net"
import type { Dialect } from "./dialects.ts"
import * as Frames from "./frames.ts"

/** Microseconds on the generator's clock; integers of at most eleven digits. */
export const micros = (): number => Math.round(performance.now() * 1000)

/** All sockets read into these bytes: every chunk is used up before the next one is read. */
const buffer = Buffer.allocUnsafe(256 * 1024)

const upgradeRequest = (target: string): string =>
  `GET ${target} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

export interface ClientEvents {
  readonly onJoined: (client: Client) => void
  readonly onMessages: (client: Client, count: number) => void
  /** Microseconds between sending and receiving, of some messages. */
  readonly onLatency: (latency: number) => void
  readonly onEnd: (client: Client, reason: string) => void
}

export interface ClientOptions {
  readonly port: number
  readonly dialect: Dialect
  readonly room: string
  readonly events: ClientEvents
}

export class Client {
  readonly room: string
  readonly #dialect: Dialect
  readonly #events: ClientEvents
  readonly #socket: Net.Socket
  readonly #scanner: Frames.Scanner
  #state: "connecting" | "joining" | "joined" | "ended" = "connecting"
  #answer = ""
  #counted = 0
  #closeCode: number | undefined
  /** Reads the time of every n-th message; of none when 0. */
  sampleEvery = 0
  /** Messages received since it joined. */
  received = 0
  /** How the connection ended, if it did. */
  ended: string | undefined

  constructor({ dialect, events, port, room }: ClientOptions) {
    this.room = room
    this.#dialect = dialect
    this.#events = events
    this.#scanner = new Frames.Scanner({
      onText: (chunk, from, to) => this.#onText(chunk, from, to),
      onTextEnd: (chunk, to) => this.#sample(chunk, to),
      onControl: (opcode, payload) => this.#onControl(opcode, payload)
    })
    this.#socket = Net.connect({
      host: "127.0.0.1",
      port,
      noDelay: true,
      onread: { buffer, callback: (bytes) => this.#onRead(bytes) }
    })
    this.#socket.on("connect", () => this.#socket.write(upgradeRequest(dialect.target(room))))
    this.#socket.on("error", (error) => this.#end(error.message))
    this.#socket.on("close", () =>
      this.#end(this.#closeCode === undefined ? "closed without a code" : `closed with ${this.#closeCode}`)
    )
  }

  send(frame: Buffer): void {
    this.#socket.write(frame)
  }

  /** Stops reading, as a client that hangs would. */
  stall(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Resets the connection, without a word. */
  reset(): void {
    this.#state = "ended"
    this.#socket.resetAndDestroy()
  }

  #end(reason: string): void {
    if (this.#state === "ended") return
    this.#state = "ended"
    this.ended = reason
    this.#events.onEnd(this, reason)
  }

  #onRead(bytes: number): boolean {
    if (this.#state === "connecting") {
      this.#onAnswer(bytes)
    } else {
      this.#scan(buffer, bytes)
    }
    return true
  }

  #scan(chunk: Buffer, end: number): void {
    this.#counted = 0
    this.#scanner.scan(chunk, end)
    if (this.#counted === 0) return
    this.received += this.#counted
    this.#events.onMessages(this, this.#counted)
  }

  #onAnswer(bytes: number): void {
    this.#answer += buffer.toString("latin1", 0, bytes)
    const end = this.#answer.indexOf("\r\n\r\n")
    if (end < 0) return
    if (!this.#answer.startsWith("HTTP/1.1 101")) {
      this.#end(this.#answer.slice(0, this.#answer.indexOf("\r\n")))
      this.#socket.destroy()
      return
    }
    const rest = Buffer.from(this.#answer.slice(end + 4), "latin1")
    this.#answer = ""
    this.#state = "joining"
    this.#enter(undefined)
    this.#scan(rest, rest.length)
  }

  #enter(received: string | undefined): void {
    const next = this.#dialect.enter(this.room, received)
    if (next === "joined") {
      this.#state = "joined"
      this.#events.onJoined(this)
    } else if (next !== "wait") {
      this.send(Frames.text(next.send))
    }
  }

  #onText(chunk: Buffer, from: number, to: number): void {
    if (this.#state === "joining") {
      if (to < 0) throw new Error("a greeting came in two pieces")
      return this.#enter(chunk.toString("utf8", from, to))
    }
    if (to - from === 1 && this.#dialect.enginePings) return this.send(Frames.text("3"))
    this.#counted++
    if (to >= 0) this.#sample(chunk, to)
  }

  /** A message ends here. */
  #sample(chunk: Buffer, to: number): void {
    if (this.sampleEvery === 0 || (this.received + this.#counted) % this.sampleEvery !== 0) return
    // One that was cut through its last bytes is left out.
    if (to >= tailBytes) this.#events.onLatency(micros() - sentAt(chunk, to))
  }

  #onControl(opcode: number, payload: Buffer): void {
    if (opcode === 9) this.send(Frames.pong(payload))
    if (opcode === 8) this.#closeCode = payload.length < 2 ? 1005 : payload.readUInt16BE(0)
  }
}

/** In so many bytes at the end of a message its time is. */
const tailBytes = 16

/** The last number of a message: servers pass on `at` as its last field. */
const sentAt = (chunk: Buffer, end: number): number => {
  let i = end - 1
  while (chunk[i]! < 48 || chunk[i]! > 57) i--
  let value = 0
  for (let unit = 1; chunk[i]! >= 48 && chunk[i]! <= 57; i--, unit *= 10) value += (chunk[i]! - 48) * unit
  return value
}
