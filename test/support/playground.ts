/**
 * The playground as a process of its own, and `ws` clients that talk to it.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import { WebSocket } from "ws"

const main = fileURLToPath(new URL("../../examples/playground/main.ts", import.meta.url))

/** What a process left behind: its code, or the signal that killed it. */
interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A playground that listens. Disposing of it stops it, and throws if it had ended by itself. */
export interface Playground extends AsyncDisposable {
  readonly port: number
  /** `http://localhost:<port>`, as start-up printed it. */
  readonly origin: string
  readonly stdout: () => string
  readonly stderr: () => string
  /** Sends the signal and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Exit>
}

/** Starts the playground, on a free port unless one is named; done when it says where it listens. */
export const startPlayground = async (port = 0, settings: Record<string, string> = {}): Promise<Playground> => {
  const child = spawn(process.execPath, ["--conditions=effect-rooms-source", main], {
    env: { ...process.env, PORT: String(port), ...settings },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const output = { stdout: "", stderr: "" }
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => resolve({ code, signal }))
  })
  const ended = () => child.exitCode !== null || child.signalCode !== null
  const report = () =>
    `the playground ended by itself: ${child.exitCode ?? child.signalCode}\n${output.stdout}${output.stderr}`

  const ready = new Promise<string>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text
      const printed = /(http:\/\/\S+)\/\n[^]*\/health\n/.exec(output.stdout)
      if (printed !== null) resolve(printed[1]!)
    })
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text
  })

  let stopping = false
  const stop = (signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> => {
    assert.isFalse(ended() && !stopping, report())
    stopping = true
    child.kill(signal)
    return exited
  }
  const origin = await Promise.race([ready, exited.then(() => Promise.reject(new Error(report())))])
  return {
    port: Number(new URL(origin).port),
    origin,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop()
    }
  }
}

/** A JSON message of the server. */
export type Frame = { readonly [key: string]: unknown }

/** How a connection ended. */
export interface Closed {
  readonly code: number
  readonly reason: string
}

const isTime = (value: unknown): boolean =>
  typeof value === "string" && !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value

/** A connection and what it heard. Disposing of it cuts it off. */
export class Client implements Disposable {
  readonly #socket: WebSocket
  readonly #frames: Array<Frame> = []
  #waiting: { readonly resolve: (frame: Frame) => void; readonly reject: (error: Error) => void } | undefined
  #reset = (): void => {}
  readonly closed: Promise<Closed>

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.once("upgrade", (response) => {
      this.#reset = () => response.socket.resetAndDestroy()
    })
    // Whoever waits for the opening or the next frame is told by `close`, which follows every error.
    socket.on("error", () => {})
    socket.on("message", (data, isBinary) => {
      assert.isFalse(isBinary, "frames are text")
      this.#hear(JSON.parse((data as Buffer).toString()) as Frame)
    })
    this.closed = new Promise((resolve) => {
      socket.once("close", (code, reason) => {
        this.#waiting?.reject(new Error(`closed with ${code} ${String(reason)} while a frame was awaited`))
        resolve({ code, reason: String(reason) })
      })
    })
  }

  /** Connects, or fails with the reason. */
  static async connect(url: string, headers: Record<string, string> = {}): Promise<Client> {
    const socket = new WebSocket(url, { headers })
    const client = new Client(socket)
    await once(socket, "open")
    return client
  }

  /** The status of the answer to a handshake that is refused. */
  static async refusal(url: string, headers: Record<string, string> = {}): Promise<number | undefined> {
    const socket = new WebSocket(url, { headers })
    return new Promise((resolve, reject) => {
      socket.once("open", () => {
        socket.terminate()
        reject(new Error(`${url} was let in`))
      })
      socket.once("error", reject)
      socket.once("unexpected-response", (request, response) => {
        resolve(response.statusCode)
        request.destroy()
      })
    })
  }

  #hear(frame: Frame): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) this.#frames.push(frame)
    else waiting.resolve(frame)
  }

  /** Sends a message as JSON, and a string as it is. */
  send(message: Frame | string): void {
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message))
  }

  /** The next message. */
  next(): Promise<Frame> {
    const frame = this.#frames.shift()
    if (frame !== undefined) return Promise.resolve(frame)
    if (this.#socket.readyState === WebSocket.CLOSED) return Promise.reject(new Error("the connection is closed"))
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  /** The next message without its time, which has to be an ISO time. */
  async heard(): Promise<Frame> {
    const { timestamp, ...rest } = await this.next()
    assert.isTrue(isTime(timestamp), `${JSON.stringify(rest)} has the time ${String(timestamp)}`)
    return rest
  }

  /** Closes cleanly and answers what was never asked for. */
  async leave(): Promise<ReadonlyArray<Frame>> {
    this.#socket.close(1000)
    await this.closed
    return this.#frames.splice(0)
  }

  /** Cuts the connection off with a TCP reset. */
  reset(): void {
    this.#reset()
  }

  [Symbol.dispose](): void {
    this.#socket.terminate()
  }
}

/** Server-Sent Events, read as they come. Disposing of it aborts the request. */
export class Feed implements Disposable {
  readonly response: Response
  readonly #controller: AbortController
  readonly #reader: ReadableStreamDefaultReader<string>
  #text = ""

  private constructor(response: Response, controller: AbortController) {
    this.response = response
    this.#controller = controller
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  }

  /** Sends the request; done when the headers of the answer are there. */
  static async open(url: string, headers: Record<string, string> = {}): Promise<Feed> {
    const controller = new AbortController()
    const response = await fetch(url, { headers, signal: controller.signal })
    return new Feed(response, controller)
  }

  /** The lines up to the next empty one, which are an event or a comment; `undefined` at the end of the response. */
  async block(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n")
      if (end >= 0) {
        const block = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        return block
      }
      const { done, value } = await this.#reader.read()
      if (done) {
        assert.strictEqual(this.#text, "", "the response ends after a whole event")
        return undefined
      }
      this.#text += value
    }
  }

  /** The next event's data, which has to be one line of JSON. */
  async next(): Promise<Frame> {
    for (;;) {
      const block = await this.block()
      if (block === undefined) throw new Error("the response ended while an event was awaited")
      if (block.startsWith(":")) continue
      assert.match(block, /^data: .+$/)
      return JSON.parse(block.slice(6)) as Frame
    }
  }

  [Symbol.dispose](): void {
    this.#controller.abort()
  }
}
