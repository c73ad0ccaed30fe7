/**
 * The ways in which connections are written to. Suites about what arrives run in each of them.
 */
import type { RoomsServer } from "effect-rooms/websocket"
import { createServer as createTlsServer } from "node:https"
import { makeCertificate } from "./certificate.ts"
import type { ConnectOptions } from "./wsClient.ts"

export interface Way {
  readonly way: string
  readonly server: Partial<RoomsServer.Options>
  readonly client: ConnectOptions
  readonly createServer?: RoomsServer.CreateServer
}

export const ways: ReadonlyArray<Way> = [
  { way: "to the raw socket", server: {}, client: {} },
  { way: "through ws, which compresses", server: { compression: true }, client: { perMessageDeflate: true } }
]

/** A way over TLS, with a certificate that the client trusts and nobody else. */
export const overTls = ({ client, server, way }: Way): Way => {
  const { ca, ...certificate } = makeCertificate()
  return {
    way: `over TLS, ${way}`,
    server,
    client: { ...client, ca },
    createServer: (options) => createTlsServer({ ...options, ...certificate })
  }
}
