/**
 * A connection of the outbound path, with its socket in memory, beside the same connection of the naive server.
 */
import { assert } from "@effect/vitest"
import { type Connection, Ref } from "effect-rooms"
import { Limits } from "effect-rooms/websocket"
import * as Scope from "effect/Scope"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { Budget } from "../../src/websocket/internal/budget.ts"
import type { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Peer } from "../../src/websocket/internal/peer.ts"
import * as Session from "../../src/websocket/internal/rooms.ts"
import type { Wires } from "../../src/websocket/internal/wires.ts"
import type { Line, NaiveConnection } from "./NaiveServer.ts"
import { FakeSocket, FakeWebSocket, readFrames } from "./outbound.ts"
import { FakeConnection } from "./rooms.ts"

class User extends Ref.Entity<User>()("User") {}

/** How peers are written to, and how much they take. */
export interface Way {
  readonly extensions: string
  readonly slow: boolean
}

const slowLimits = { outboxBytes: 400, outboxMessages: 4 }

export class Link {
  readonly naive: NaiveConnection
  readonly way: Way
  readonly socket = new FakeSocket()
  readonly ws: FakeWebSocket
  readonly peer: Peer
  readonly connection: Connection.Connection
  readonly rooms: Session.Rooms<Line>
  readonly joins = Scope.makeUnsafe()
  readonly forwards: Array<{ readonly scope: Scope.Closeable; readonly end: () => void }> = []
  /** Where the frames end that were written and seen to be right. */
  readonly #ends: Array<number> = []
  #writesBefore = 0

  constructor(naive: NaiveConnection, way: Way, flusher: Flusher, wires: Wires<Line>, onGone: () => void) {
    this.naive = naive
    this.way = way
    this.ws = new FakeWebSocket(this.socket, way.extensions)
    if (way.slow) this.socket.room = 100
    const limits = { ...Limits.defaults, ...(way.slow ? slowLimits : { outboxBytes: 1e9, outboxMessages: 1e9 }) }
    this.peer = new Peer(this.ws as unknown as WebSocket, this.socket as unknown as Duplex, {
      limits,
      flusher,
      budget: new Budget(Number.POSITIVE_INFINITY),
      isRepeat: () => false
    })
    const fake = new FakeConnection(naive.id)
    this.peer.listen({
      onText: () => {},
      onClose: () => {
        this.peer.outbox.end()
        fake.close()
        onGone()
      }
    })
    this.connection = {
      id: naive.id,
      principal: undefined,
      user: naive.slot < 2 ? User.ref`alice` : User.ref`bob`,
      data: undefined,
      remoteAddress: undefined,
      close: (code, reason) => this.peer.close(code, reason),
      onClose: fake.onClose,
      quota: fake.quota
    }
    this.rooms = new Session.Rooms(this.connection, this.peer.outbox, wires)
  }

  /** Whether it was cut for being slow. */
  get cut(): boolean {
    return this.ws.closes[0] === 4004
  }

  get #unsentMessages(): number {
    const taken = this.socket.written - this.socket.unsent
    return this.#ends.filter((end) => end > taken).length
  }

  /** What was written is what the naive server has written, as far as it goes. */
  compare(): void {
    const got = this.socket.taken()
    let at = 0
    while (at < got.length) {
      const frame = this.naive.sent.shift() ?? Buffer.alloc(0)
      const piece = got.subarray(at, at + frame.length)
      if (frame.length === 0 || !piece.equals(frame)) {
        const expected = Buffer.concat([frame, ...this.naive.sent])
        assert.deepStrictEqual(brief(got.subarray(at)), brief(expected), `connection ${this.naive.id}`)
        assert.fail(`connection ${this.naive.id} was written other bytes, or a frame in part`)
      }
      at += frame.length
      this.#ends.push((this.#ends.at(-1) ?? 0) + frame.length)
    }
    if (this.ws.wroteTooLate) assert.fail(`connection ${this.naive.id} was written after somebody had begun to close`)
    if (this.ws.closes.length > 1) assert.fail(`connection ${this.naive.id} was closed twice`)
    if (this.way.slow) this.#compareBounds()
  }

  /** Nothing waits for the end of the turn, once it was there. */
  compareAll(): void {
    if (this.naive.gone || this.naive.sent.length === 0) return
    assert.deepStrictEqual(brief(Buffer.concat(this.naive.sent)), [], `connection ${this.naive.id} was not written`)
  }

  #compareBounds(): void {
    const { outboxBytes, outboxMessages } = slowLimits
    const unsent = this.#unsentMessages
    if (unsent > outboxMessages) assert.fail(`${unsent} messages wait`)
    if (this.socket.unsent > outboxBytes && unsent > 1) assert.fail(`${this.socket.unsent} bytes wait`)
    if (!this.cut || this.naive.closing) return
    const next = this.naive.sent[0]?.length ?? 0
    const over = this.socket.unsent + next > outboxBytes || unsent === outboxMessages
    assert.isTrue(next > 0 && unsent > 0 && over, "it was cut because the next message would have been over a bound")
    this.naive.closing = true
    this.naive.sent.length = 0
  }

  /** Writes since the last time. */
  takeWrites(): number {
    const writes = this.socket.writes - this.#writesBefore
    this.#writesBefore = this.socket.writes
    return writes
  }
}

const brief = (bytes: Buffer): ReadonlyArray<string> => readFrames(bytes).map((text) => text.slice(0, 20))
