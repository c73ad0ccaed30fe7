import { assert, describe, it } from "@effect/vitest"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { Batch } from "../../../src/websocket/internal/batch.ts"
import { Budget } from "../../../src/websocket/internal/budget.ts"
import { Flusher } from "../../../src/websocket/internal/flusher.ts"
import { Peer } from "../../../src/websocket/internal/peer.ts"
import { FakeSocket, FakeWebSocket, HandTurn, readFrames } from "../../support/outbound.ts"

const make = (extensions: string, limits = { outboxBytes: 1e9, outboxMessages: 1e9 }) => {
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const socket = new FakeSocket()
  const ws = new FakeWebSocket(socket, extensions)
  const seen = { cuts: 0 }
  const peer = new Peer(ws as unknown as WebSocket, socket as unknown as Duplex, {
    limits,
    flusher,
    budget: new Budget(Number.POSITIVE_INFINITY),
    isRepeat: () => {
      seen.cuts++
      return false
    }
  })
  const room = () => new Batch<string>({ flusher, encode: (text) => text, onDelivered: () => {} })
  return { turn, socket, ws, peer, room, seen, read: () => readFrames(socket.taken()) }
}

describe("a peer on the raw socket", () => {
  it.each([1, 1000, 30_000])("takes pieces of several rooms in one call of the system (%i bytes each)", (length) => {
    const { peer, read, room, socket, turn } = make("")
    const rooms = [room(), room(), room()]
    for (const batch of rooms) batch.join(peer.outbox, "a")
    const texts = rooms.map((_, n) => String(n).repeat(length))
    for (const [n, batch] of rooms.entries()) batch.send(texts[n]!, [])
    peer.send("reply")
    turn.end()
    assert.strictEqual(socket.writes, 1)
    assert.deepStrictEqual(read(), [...texts, "reply"])
  })
})

describe("a peer that compresses", () => {
  it("is sent message by message, through ws, in the order in which they were sent", () => {
    const { peer, read, room, socket, turn } = make("permessage-deflate")
    const batch = room()
    batch.join(peer.outbox, "a")
    batch.send("1", [])
    peer.send("2")
    batch.send("3", [])
    batch.send("€".repeat(200), [])
    turn.end()
    assert.strictEqual(socket.writes, 4)
    assert.deepStrictEqual(read(), ["1", "2", "3", "€".repeat(200)])
  })
})

describe.each(["", "permessage-deflate"])("the end of a peer (%s)", (extensions) => {
  it("comes behind what it was sent in the turn, and nothing comes behind it", () => {
    const { peer, read, turn, ws } = make(extensions)
    assert.isTrue(peer.send("before"))
    peer.close(4321)
    assert.isFalse(peer.open)
    assert.isFalse(peer.send("after"))
    peer.close(4322)
    turn.end()
    assert.deepStrictEqual(ws.closes, [4321])
    assert.isFalse(ws.wroteTooLate)
    assert.deepStrictEqual(read(), ["before"])
  })

  it("when the client begins it, what was not written is not, and sending answers false", () => {
    const { peer, read, turn, ws } = make(extensions)
    assert.isTrue(peer.send("held"))
    ws.hangUp()
    assert.isFalse(peer.send("after"))
    turn.end()
    peer.close(4321)
    assert.deepStrictEqual(ws.closes, [])
    assert.deepStrictEqual(read(), [])
  })

  it("P9: is 4004 when what it has to be written first is too much, whatever code was asked for", () => {
    const { peer, read, room, seen, socket, ws } = make(extensions, { outboxBytes: 1e9, outboxMessages: 2 })
    socket.room = 0
    const batch = room()
    batch.join(peer.outbox, "a")
    for (const text of ["1", "2", "3"]) batch.send(text, [])
    peer.close(4321)
    assert.deepStrictEqual(ws.closes, [4004])
    assert.deepStrictEqual(read(), ["1", "2"])
    assert.strictEqual(seen.cuts, 1)
  })
})

describe("a peer that is too slow", () => {
  it("is cut once, however much it was still to be sent", () => {
    const { peer, room, seen, socket } = make("", { outboxBytes: 20, outboxMessages: 1e9 })
    socket.room = 0
    const batch = room()
    batch.join(peer.outbox, "a")
    for (let n = 0; n < 20; n++) batch.send("ten bytes.", [])
    peer.act("slowConsumer")
    assert.strictEqual(seen.cuts, 1)
  })
})
