/**
 * A peer on a route that loses messages: what its outbox is told of writes to the socket, and through `ws`.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { Backlog } from "../../../src/websocket/internal/backlog.ts"
import { Batch } from "../../../src/websocket/internal/batch.ts"
import { Budget } from "../../../src/websocket/internal/budget.ts"
import { Flusher } from "../../../src/websocket/internal/flusher.ts"
import { Peer } from "../../../src/websocket/internal/peer.ts"
import { FakeSocket, FakeWebSocket, HandTurn, readFrames, wsFrame } from "../../support/outbound.ts"

/** A socket that takes writes when the test says so, in order, and tells of each. */
class TellingSocket extends FakeSocket {
  readonly #writes: Array<{ readonly bytes: number; readonly onTaken: (() => void) | undefined }> = []

  override write(chunk: Buffer, onTaken?: () => void): boolean {
    this.#writes.push({ bytes: chunk.length, onTaken })
    return super.write(chunk)
  }

  /** Takes so many writes. */
  takeWrites(count: number): void {
    for (const { bytes, onTaken } of this.#writes.splice(0, count)) {
      this.take(bytes)
      onTaken?.()
    }
  }
}

/** `ws` with a socket that tells. */
class TellingWebSocket extends FakeWebSocket {
  readonly #telling: TellingSocket

  constructor(socket: TellingSocket, extensions: string) {
    super(socket, extensions)
    this.#telling = socket
  }

  override send(payload: Buffer, _options?: object, onTaken?: () => void): void {
    this.#telling.write(wsFrame(payload.toString()), onTaken)
  }
}

const make = (extensions: string, outboxMessages: number) => {
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const socket = new TellingSocket()
  socket.room = 0
  const limits = { outboxBytes: 1e9, outboxMessages }
  const peer = new Peer(new TellingWebSocket(socket, extensions) as unknown as WebSocket, socket as unknown as Duplex, {
    limits,
    flusher,
    budget: new Budget(Number.POSITIVE_INFINITY),
    backlog: new Backlog({
      policy: "dropOldest",
      limits,
      notice: ({ missed }) => wsFrame(`${missed} lost`),
      onDropped: () => {}
    }),
    isRepeat: () => false
  })
  const feed = { kind: "k", room: "r" }
  const batch = new Batch<string>({
    flusher,
    encode: (text) => text,
    markOf: (_, seq) => ({ feed, seq, key: undefined }),
    onDelivered: () => {}
  })
  batch.join(peer.outbox, "a")
  const texts = () => readFrames(socket.taken()).map((text) => text.slice(0, 10).replace(/\.+$/, ""))
  return { batch, peer, socket, texts, turn }
}

describe.each(["", "permessage-deflate"])("a peer with a backlog (%s)", (extensions) => {
  it("hands over as long as the socket has less than 64 KiB, and what waits once it has taken all writes", () => {
    const { batch, socket, texts, turn } = make(extensions, 100)
    for (let n = 1; n <= 6; n++) {
      batch.send(`m${n}`.padEnd(30_000, "."), [], n)
      turn.end()
    }
    assert.deepStrictEqual(texts(), ["m1", "m2", "m3"])
    socket.takeWrites(2)
    assert.deepStrictEqual(texts(), [])
    socket.takeWrites(1)
    assert.deepStrictEqual(texts(), ["m4", "m5"])
    socket.takeWrites(2)
    assert.deepStrictEqual(texts(), ["m6"])
  })

  it("takes what goes out in several pieces for one write, taken with the last of them", () => {
    const { batch, peer, socket, texts, turn } = make(extensions, 6)
    for (let n = 1; n <= 2; n++) {
      peer.send(`own${n}`.padEnd(30_000, "."))
      batch.send(`m${n}`.padEnd(30_000, "."), [], n)
    }
    turn.end()
    assert.deepStrictEqual(texts(), ["own1", "m1", "own2"])
    socket.takeWrites(2)
    assert.deepStrictEqual(texts(), [])
    socket.takeWrites(1)
    assert.deepStrictEqual(texts(), ["m2"])
  })
})
