/**
 * Rooms as Socket.IO's documentation has them.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Server } from "socket.io"
import { listening } from "./report.ts"

const server = createServer()
const io = new Server(server, { transports: ["websocket"] })

io.on("connection", (socket) => {
  const home = String(socket.handshake.query["room"])
  void socket.join(home)
  socket.emit("joined", home)

  socket.on("message", ({ at, content }: { content: string; at: number }) => {
    socket.to(home).emit("message", { content, at })
  })
  socket.on("join", (room: string) => {
    void socket.join(room)
    socket.emit("joined", room)
  })
  socket.on("leave", (room: string) => {
    void socket.leave(room)
    socket.emit("left", room)
  })
})

server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port))
