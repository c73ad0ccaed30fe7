/**
 * Clients of the tests: a `ws` client that misses nothing, raw TCP for what no client would send, and plain waiting for
 * what another test's callback will do. Nothing here waits for time.
 */
import { connect as connectTcp, type Socket } from "node:net"
import { type ClientOptions, WebSocket } from "ws"

export interface Closed {
  readonly code: number
  readonly reason: string
}

/** Values as they come, for one reader that waits for the next. */
class Mailbox<A> {
  readonly all: Array<A> = []
  #read = 0
  #ended: Error | undefined
  #waiting: Array<() => void> = []

  push(value: A): void {
    this.all.push(value)
    this.#wake()
  }

  end(reason: Error): void {
    this.#ended ??= reason
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  async next(): Promise<A> {
    while (this.#read === this.all.length) {
      if (this.#ended !== undefined) throw this.#ended
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    return this.all[this.#read++]!
  }
}

/** A WebSocket client whose listeners were there before the socket opened. */
export class Client implements Disposable {
  readonly socket: WebSocket
  readonly closed: Promise<Closed>
  readonly #mail = new Mailbox<unknown>()
  readonly #pings = new Mailbox<true>()

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on("message", (data) => this.#mail.push(JSON.parse((data as Buffer).toString())))
    socket.on("ping", () => this.#pings.push(true))
    socket.on("error", () => {})
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        const error = new Error(`closed with ${code} ${String(reason)}`)
        this.#mail.end(error)
        this.#pings.end(error)
        resolve({ code, reason: String(reason) })
      })
    })
  }

  /** Everything received so far, parsed. */
  get messages(): ReadonlyArray<unknown> {
    return this.#mail.all
  }

  /** The next message nobody has asked for; rejects when the socket closes before it comes. */
  next(): Promise<unknown> {
    return this.#mail.next()
  }

  async take(count: number): Promise<ReadonlyArray<unknown>> {
    const taken: Array<unknown> = []
    while (taken.length < count) taken.push(await this.next())
    return taken
  }

  /** The next ping of the server. */
  nextPing(): Promise<true> {
    return this.#pings.next()
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message))
  }

  /** Sends a text as it is. */
  sendText(text: string): void {
    this.socket.send(text)
  }

  /** Resets the connection, as a peer that crashed. */
  reset(): void {
    rawSocketOf(this.socket).resetAndDestroy()
  }

  [Symbol.dispose](): void {
    this.socket.terminate()
  }
}

/** The TCP socket under a `ws` client, which its types do not show. */
const rawSocketOf = (socket: WebSocket): Socket => (socket as unknown as { readonly _socket: Socket })._socket

export interface ConnectOptions extends ClientOptions {
  readonly protocols?: Array<string>
}

const open = (url: string, { protocols, ...options }: ConnectOptions) =>
  new WebSocket(url, protocols ?? [], { perMessageDeflate: false, ...options })

/** Connects; rejects when the server refuses. */
export const connect = (url: string, options: ConnectOptions = {}): Promise<Client> => {
  const socket = open(url, options)
  const client = new Client(socket)
  return new Promise((resolve, reject) => {
    socket.on("open", () => resolve(client))
    socket.on("error", reject)
  })
}

export interface Refused {
  readonly status: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  readonly body: string
}

/** The HTTP answer of a server that refuses; rejects when it lets the client in. */
export const refused = (url: string, options: ConnectOptions = {}): Promise<Refused> => {
  const socket = open(url, options)
  return new Promise((resolve, reject) => {
    socket.on("unexpected-response", (_request, response) => {
      let body = ""
      response.on("data", (chunk) => (body += String(chunk)))
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    socket.on("error", reject)
    socket.on("open", () => {
      socket.terminate()
      reject(new Error("the server let the client in"))
    })
  })
}

/** A TCP connection that keeps its own side open until told otherwise. */
export class RawClient implements Disposable {
  readonly socket: Socket
  /** The server has ended its side. */
  readonly ended: Promise<void>
  readonly closed: Promise<void>
  received = Buffer.alloc(0)
  #waiting: Array<() => void> = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      this.received = Buffer.concat([this.received, chunk])
      this.#wake()
    })
    this.ended = new Promise((resolve) => {
      socket.on("end", resolve)
      socket.on("close", () => resolve())
    })
    this.closed = new Promise((resolve) => socket.on("close", () => resolve()))
    void this.closed.then(() => this.#wake())
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  get text(): string {
    return this.received.toString("latin1")
  }

  write(data: string | Buffer): void {
    this.socket.write(data)
  }

  /** Waits until the text was received; rejects when the socket closes without it. */
  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      if (this.socket.destroyed) throw new Error(`closed without ${JSON.stringify(text)}: ${JSON.stringify(this.text)}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}

export const connectRaw = (port: number): Promise<RawClient> => {
  const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true })
  const client = new RawClient(socket)
  return new Promise((resolve, reject) => {
    socket.on("connect", () => resolve(client))
    socket.on("error", reject)
  })
}

/** The text of a handshake; a header set to `undefined` is left out. */
export const handshake = (path: string, headers: Readonly<Record<string, string | undefined>> = {}): string => {
  const all: Record<string, string | undefined> = {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers
  }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`
}

/** A client frame of less than 64 KiB, masked with zeros, which leaves the payload as it is. */
export const frame = (payload: string | Buffer, opcode = 0x1): Buffer => {
  const data = Buffer.from(payload)
  const length =
    data.length < 126 ? [0x80 | data.length] : [0x80 | 126, Math.floor(data.length / 256), data.length % 256]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length, 0, 0, 0, 0]), data])
}

/** The frames a server has sent after its handshake: opcode and payload. */
export const serverFrames = (
  received: Buffer
): ReadonlyArray<{ readonly opcode: number; readonly payload: Buffer }> => {
  const frames: Array<{ readonly opcode: number; readonly payload: Buffer }> = []
  let at = received.indexOf("\r\n\r\n") + 4
  while (at + 2 <= received.length) {
    const short = received[at + 1]! & 0x7f
    const header = short < 126 ? 2 : short === 126 ? 4 : 10
    if (at + header > received.length) break
    const length = short < 126 ? short : short === 126 ? received.readUInt16BE(at + 2) : received.readUInt32BE(at + 6)
    if (at + header + length > received.length) break
    frames.push({ opcode: received[at]! & 0xf, payload: received.subarray(at + header, at + header + length) })
    at += header + length
  }
  return frames
}

/** A promise and the function that keeps it. */
export const signal = <A = void>(): { readonly promise: Promise<A>; readonly fire: (value: A) => void } => {
  const { promise, resolve } = Promise.withResolvers<A>()
  return { promise, fire: resolve }
}

/** Waits, a turn of the event loop at a time, until the other end has got so far; the test's timeout is the bound. */
export const eventually = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise<void>((resolve) => setImmediate(resolve))
}
