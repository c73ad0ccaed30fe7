/**
 * What one would write by hand for this workload and nothing else: `ws` reads, the raw socket writes. A message becomes
 * one frame; the frames of a turn are joined for each room and written with one write per member; a member who has sent
 * some of them gets the stretches between. What comes in is checked, and who does not read is cut.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { WebSocketServer } from "ws"
import { listening } from "./report.ts"

const maxUnsentBytes = 1024 * 1024

interface Member {
  readonly socket: Duplex
  /** Where this member's own frames lie in the room's batch: from, to, from, to. */
  own: Array<number>
}

interface Room {
  readonly members: Set<Member>
  frames: Array<Buffer>
  bytes: number
  senders: Array<Member>
}

const rooms = new Map<string, Room>()
let dirty: Array<Room> = []

const frameOf = (text: string): Buffer => {
  const length = Buffer.byteLength(text)
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(start + length)
  frame[0] = 0x81
  if (start === 2) {
    frame[1] = length
  } else if (start === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.write(text, start)
  return frame
}

const write = (member: Member, bytes: Buffer) => {
  if (member.socket.writableLength > maxUnsentBytes) member.socket.destroy()
  else member.socket.write(bytes)
}

const without = (batch: Buffer, own: ReadonlyArray<number>): Buffer => {
  const parts: Array<Buffer> = []
  let from = 0
  for (let i = 0; i < own.length; i += 2) {
    if (own[i]! > from) parts.push(batch.subarray(from, own[i]))
    from = own[i + 1]!
  }
  if (from < batch.length) parts.push(batch.subarray(from))
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}

const flush = () => {
  const flushing = dirty
  dirty = []
  for (const room of flushing) {
    const batch = room.frames.length === 1 ? room.frames[0]! : Buffer.concat(room.frames, room.bytes)
    for (const member of room.members) {
      if (member.own.length === 0) {
        write(member, batch)
      } else {
        const rest = without(batch, member.own)
        if (rest.length > 0) write(member, rest)
      }
    }
    for (const sender of room.senders) sender.own = []
    room.frames = []
    room.bytes = 0
    room.senders = []
  }
}

const broadcast = (room: Room, sender: Member, frame: Buffer) => {
  if (room.frames.length === 0) {
    if (dirty.length === 0) setImmediate(flush)
    dirty.push(room)
  }
  if (sender.own.length === 0) room.senders.push(sender)
  sender.own.push(room.bytes, room.bytes + frame.length)
  room.frames.push(frame)
  room.bytes += frame.length
}

const join = (name: string, member: Member): Room => {
  let room = rooms.get(name)
  if (room === undefined) rooms.set(name, (room = { members: new Set(), frames: [], bytes: 0, senders: [] }))
  room.members.add(member)
  return room
}

const leave = (name: string, member: Member) => {
  const room = rooms.get(name)
  room?.members.delete(member)
  if (room?.members.size === 0) rooms.delete(name)
}

const parse = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const server = createServer()
const wss = new WebSocketServer({ server, clientTracking: false, maxPayload: 64 * 1024 })

wss.on("connection", (socket, request) => {
  const home = decodeURIComponent(request.url!.slice("/room/".length))
  const member: Member = { socket: request.socket, own: [] }
  const reply = (message: unknown) => write(member, frameOf(JSON.stringify(message)))
  const joined = new Set([home])
  const room = join(home, member)
  reply({ type: "joined", room: home })

  socket.on("message", (data: Buffer) => {
    const message = parse(data.toString())
    if (
      message?.["type"] === "message" &&
      typeof message["content"] === "string" &&
      typeof message["at"] === "number"
    ) {
      const text = JSON.stringify({ type: "message", content: message["content"], at: message["at"] })
      broadcast(room, member, frameOf(text))
    } else if (message?.["type"] === "join" && typeof message["room"] === "string") {
      join(message["room"], member)
      joined.add(message["room"])
      reply({ type: "joined", room: message["room"] })
    } else if (message?.["type"] === "leave" && typeof message["room"] === "string") {
      leave(message["room"], member)
      joined.delete(message["room"])
      reply({ type: "left", room: message["room"] })
    } else {
      reply({ type: "error" })
    }
  })
  socket.on("close", () => {
    for (const name of joined) leave(name, member)
  })
})

server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port))
