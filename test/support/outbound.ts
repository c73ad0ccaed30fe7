/**
 * The way out of connections without sockets: a turn the test ends by hand, peers that take what the test says, and
 * frames as `ws` makes and reads them.
 */
import * as ws from "ws"
import type { Turn } from "../../src/internal/turn.ts"
import type { Run } from "../../src/websocket/internal/frames.ts"
import type { Writer } from "../../src/websocket/Outbox.ts"

interface FrameOptions {
  readonly fin: boolean
  readonly rsv1: boolean
  readonly opcode: number
  readonly mask: boolean
  readonly readOnly: boolean
}
interface Reading extends NodeJS.EventEmitter {
  write(chunk: Buffer): boolean
}

/** The frame maker and the parser of `ws`; its types do not show them. */
const { Receiver, Sender } = ws as unknown as {
  readonly Sender: { readonly frame: (data: Buffer, options: FrameOptions) => ReadonlyArray<Buffer> }
  readonly Receiver: new (options: { readonly isServer: boolean }) => Reading
}

/** The bytes `ws` would send for a text. */
export const wsFrame = (text: string): Buffer =>
  Buffer.concat(Sender.frame(Buffer.from(text), { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true }))

/** What a client reads from these bytes, cut into chunks of `size`. */
export const readFrames = (bytes: Buffer, size = Math.max(1, bytes.length)): ReadonlyArray<string> => {
  const receiver = new Receiver({ isServer: false })
  const texts: Array<string> = []
  receiver.on("message", (data: Buffer, isBinary: boolean) => texts.push(isBinary ? "binary" : data.toString()))
  receiver.on("error", (error: Error) => texts.push(`error: ${error.message}`))
  for (let at = 0; at < bytes.length; at += size) receiver.write(bytes.subarray(at, at + size))
  return texts
}

/** A turn that ends when the test says so. */
export class HandTurn implements Turn {
  #tasks: Array<() => void> = []

  readonly atEnd = (task: () => void): void => void this.#tasks.push(task)

  /** Tasks that wait for the end of the turn. */
  get waiting(): number {
    return this.#tasks.length
  }

  end(): void {
    const tasks = this.#tasks
    this.#tasks = []
    for (const task of tasks) task()
  }
}

/** What a peer has been written, and how much of it its side has not taken. */
class Taker {
  /** What is taken at once, as long as nothing waits. */
  room = Number.POSITIVE_INFINITY
  unsent = 0

  add(bytes: number): void {
    const atOnce = this.unsent === 0 ? Math.min(this.room, bytes) : 0
    this.room -= atOnce
    this.unsent += bytes - atOnce
  }

  /** The peer takes some of what waits. */
  take(bytes: number): void {
    this.unsent = Math.max(0, this.unsent - bytes)
  }
}

/** A peer behind a `Writer`. */
export class FakeWriter extends Taker implements Writer {
  open = true
  /** Whether the peer takes nothing for now. */
  congested = false
  readonly #written: Array<Buffer> = []
  /** The pieces of all writes, as they were handed over. */
  readonly slices: Array<Buffer> = []

  /** By write, the texts of its frames. */
  get writes(): ReadonlyArray<ReadonlyArray<string>> {
    return this.#written.map((bytes) => readFrames(bytes))
  }

  get texts(): ReadonlyArray<string> {
    return this.writes.flat()
  }

  readonly write = (runs: ReadonlyArray<Run>, bytes: number): void => {
    const slices = runs.map(({ frames, from, to }) => frames.slice(from, to))
    this.slices.push(...slices)
    const written = Buffer.concat(slices)
    if (written.length !== bytes) throw new Error(`said to be ${bytes} bytes, and is ${written.length}`)
    this.#written.push(written)
    this.add(bytes)
  }

  readonly unsentBytes = (): number => this.unsent
}

/** The raw socket under a connection, as far as a `Peer` needs one. */
export class FakeSocket extends Taker {
  readonly bytesRead = 0
  #corked = 0
  #chunks: Array<Buffer> = []
  /** Writes that reach the system: what is written between cork and uncork is one. */
  writes = 0
  /** All bytes so far. */
  written = 0

  get writableLength(): number {
    return this.unsent
  }

  get writableNeedDrain(): boolean {
    return this.unsent > 0
  }

  on(): void {}

  cork(): void {
    if (this.#corked++ === 0) this.writes++
  }

  uncork(): void {
    this.#corked--
  }

  write(chunk: Buffer): boolean {
    if (this.#corked === 0) this.writes++
    this.#chunks.push(chunk)
    this.written += chunk.length
    this.add(chunk.length)
    return true
  }

  /** The bytes written since the last time. */
  taken(): Buffer {
    return Buffer.concat(this.#chunks.splice(0))
  }
}

type Listener = (...args: Array<never>) => void

/** The `ws` side of a connection, as far as a `Peer` needs one. Its closing frame is noted, not written. */
export class FakeWebSocket {
  readonly OPEN = 1
  readyState = 1
  readonly extensions: string
  /** The codes it was closed with. */
  readonly closes: Array<number> = []
  readonly #socket: FakeSocket
  readonly #listeners = new Map<string, Array<Listener>>()
  #bytesAtClose: number | undefined

  constructor(socket: FakeSocket, extensions: string) {
    this.#socket = socket
    this.extensions = extensions
  }

  get bufferedAmount(): number {
    return this.#socket.unsent
  }

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(...(args as Array<never>))
  }

  send(payload: Buffer): void {
    this.#socket.write(wsFrame(payload.toString()))
  }

  close(code: number): void {
    this.closes.push(code)
    this.hangUp()
  }

  /** The peer has begun to close. */
  hangUp(): void {
    this.readyState = 2
    this.#bytesAtClose ??= this.#socket.written
  }

  /** Whether something was written although somebody had begun to close. */
  get wroteTooLate(): boolean {
    return this.#bytesAtClose !== undefined && this.#bytesAtClose !== this.#socket.written
  }

  /** The socket is closed, whoever began. */
  gone(): void {
    this.hangUp()
    this.readyState = 3
    this.emit("close", this.closes[0] ?? 1006)
  }

  pause(): void {}
  resume(): void {}
}
