/**
 * The ways in which connections are written to. Suites about what arrives run in each of them.
 */
import type { RoomsServer } from "effect-rooms/websocket"
import type { ConnectOptions } from "./wsClient.ts"

export interface Way {
  readonly way: string
  readonly server: Partial<RoomsServer.Options>
  readonly client: ConnectOptions
}

export const ways: ReadonlyArray<Way> = [
  { way: "to the raw socket", server: {}, client: {} },
  { way: "through ws, which compresses", server: { compression: true }, client: { perMessageDeflate: true } }
]
