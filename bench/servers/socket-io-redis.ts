/**
 * Rooms over several nodes as Socket.IO's documentation has them, with its Redis adapter.
 */
import { createAdapter } from "@socket.io/redis-adapter"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createClient } from "redis"
import { Server } from "socket.io"
import { listening } from "./report.ts"

const url = process.env["BENCH_REDIS"]!
const publisher = await createClient({ url }).connect()
const subscriber = await createClient({ url }).connect()

const server = createServer()
const io = new Server(server, { transports: ["websocket"], adapter: createAdapter(publisher, subscriber) })

io.on("connection", (socket) => {
  const home = String(socket.handshake.query["room"])
  void socket.join(home)
  socket.emit("joined", home)
  socket.on("message", ({ at, content }: { content: string; at: number }) => {
    socket.to(home).emit("message", { content, at })
  })
})

server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port))
