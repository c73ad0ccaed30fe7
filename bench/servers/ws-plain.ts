/**
 * Rooms as a tutorial for `ws` has them: a Set of sockets for each room, and a loop that sends.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { listening } from "./report.ts"

type Message =
  | { readonly type: "message"; readonly content: string; readonly at: number }
  | { readonly type: "join" | "leave"; readonly room: string }

const rooms = new Map<string, Set<WebSocket>>()

const join = (name: string, socket: WebSocket) => {
  const room = rooms.get(name)
  if (room === undefined) rooms.set(name, new Set([socket]))
  else room.add(socket)
}

const leave = (name: string, socket: WebSocket) => {
  const room = rooms.get(name)
  room?.delete(socket)
  if (room?.size === 0) rooms.delete(name)
}

const server = createServer()
const wss = new WebSocketServer({ server })

wss.on("connection", (socket, request) => {
  const home = decodeURIComponent(request.url!.slice("/room/".length))
  const joined = new Set([home])
  join(home, socket)
  socket.send(JSON.stringify({ type: "joined", room: home }))

  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    switch (message.type) {
      case "message": {
        const text = JSON.stringify({ type: "message", content: message.content, at: message.at })
        for (const member of rooms.get(home)!) if (member !== socket) member.send(text)
        return
      }
      case "join":
        join(message.room, socket)
        joined.add(message.room)
        return socket.send(JSON.stringify({ type: "joined", room: message.room }))
      case "leave":
        leave(message.room, socket)
        joined.delete(message.room)
        return socket.send(JSON.stringify({ type: "left", room: message.room }))
    }
  })
  socket.on("close", () => {
    for (const name of joined) leave(name, socket)
  })
})

server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port))
