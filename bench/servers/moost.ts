/**
 * Rooms as the documentation of Moost's engine has them: the path of a message is its room.
 */
import { createWsApp, useWsMessage, useWsRooms } from "@wooksjs/event-ws"
import type { AddressInfo } from "node:net"
import { listening } from "./report.ts"

const silent = () => {}
const logger = {
  fatal: silent,
  error: console.error,
  warn: silent,
  log: silent,
  info: silent,
  debug: silent,
  trace: silent
}

const app = createWsApp({ logger })

app.onMessage("join", "/room/:room", () => {
  useWsRooms().join()
  return { joined: true }
})

app.onMessage("leave", "/room/:room", () => {
  useWsRooms().leave()
  return { left: true }
})

app.onMessage("message", "/room/:room", () => {
  const { data } = useWsMessage<{ content: string; at: number }>()
  useWsRooms().broadcast("message", { content: data.content, at: data.at })
})

await app.listen(0, "127.0.0.1")
listening((app.getServer()!.address() as AddressInfo).port)
