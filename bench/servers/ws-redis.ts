/**
 * Rooms over several nodes as a tutorial has them: a Redis channel for each room, a publish for each message, and a loop
 * that sends. Who published is left out by its id.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createClient } from "redis"
import { type WebSocket, WebSocketServer } from "ws"
import { listening } from "./report.ts"

type Message = { readonly type: "message"; readonly content: string; readonly at: number }

const url = process.env["BENCH_REDIS"]!
const publisher = await createClient({ url }).connect()
const subscriber = await createClient({ url }).connect()

const rooms = new Map<string, Set<WebSocket>>()
const ids = new WeakMap<WebSocket, string>()
let connected = 0

const onMessage = (packet: string, name: string) => {
  const { from, text } = JSON.parse(packet) as { readonly from: string; readonly text: string }
  for (const member of rooms.get(name) ?? []) if (ids.get(member) !== from) member.send(text)
}

const join = async (name: string, socket: WebSocket) => {
  const room = rooms.get(name)
  if (room !== undefined) return void room.add(socket)
  rooms.set(name, new Set([socket]))
  await subscriber.subscribe(name, onMessage)
}

const server = createServer()
const wss = new WebSocketServer({ server })

wss.on("connection", (socket, request) => {
  const home = decodeURIComponent(request.url!.slice("/room/".length))
  const id = `${process.pid}-${++connected}`
  ids.set(socket, id)
  void join(home, socket).then(() => socket.send(JSON.stringify({ type: "joined", room: home })))
  socket.on("message", (data: Buffer) => {
    const { at, content } = JSON.parse(data.toString()) as Message
    const text = JSON.stringify({ type: "message", content, at })
    void publisher.publish(home, JSON.stringify({ from: id, text }))
  })
  socket.on("close", () => {
    const room = rooms.get(home)
    room?.delete(socket)
    if (room?.size !== 0) return
    rooms.delete(home)
    void subscriber.unsubscribe(home)
  })
})

server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port))
