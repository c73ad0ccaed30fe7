/**
 * A private Redis server.
 */
import { writeFileSync } from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { createClient } from "redis"
import { type Broker, findBinary, missingBinary, startBroker } from "./broker.ts"

const binary = findBinary("redis-server")

/** Why tests with Redis cannot run here; `undefined` where they can. */
export const missing = missingBinary("redis-server", binary)

const ready = /Ready to accept connections/

/** Starts a Redis that writes nothing to disk; `options` are further lines of its configuration, as arguments. */
export const startRedis = (options: ReadonlyArray<string> = []): Promise<Broker> =>
  startBroker({
    name: "redis",
    command: (port) => [binary!, "--port", String(port), "--bind", "127.0.0.1", "--save", "", ...options],
    ready
  })

/** Starts a Redis that takes connections over TLS alone. */
export const startTlsRedis = ({ cert, key }: { readonly cert: string; readonly key: string }): Promise<Broker> =>
  startBroker({
    name: "redis",
    command: (port, directory) => {
      writeFileSync(path.join(directory, "cert.pem"), cert)
      writeFileSync(path.join(directory, "key.pem"), key)
      const files = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "cert.pem"]
      const options = ["--bind", "127.0.0.1", "--save", "", "--tls-auth-clients", "no", ...files]
      return [binary!, "--port", "0", "--tls-port", String(port), ...options]
    },
    ready
  })

/** A connection for giving orders to the server; disposing of it closes it. */
export const connectAdmin = async (broker: Broker) => {
  const client = createClient({ url: `redis://127.0.0.1:${broker.port}`, socket: { reconnectStrategy: false } })
  client.on("error", () => {})
  await client.connect()
  /** Has it answer a command: `ask("CLIENT KILL TYPE pubsub")`; arguments that hold spaces stand by themselves. */
  const ask = (command: string, ...args: ReadonlyArray<string>): Promise<unknown> =>
    client.sendCommand([...command.split(" "), ...args])
  /** Asks again and again until the answer is right. */
  const until = async (command: string, isRight: (answer: unknown) => boolean): Promise<void> => {
    while (!isRight(await ask(command))) await sleep(5)
  }
  return { ask, until, [Symbol.dispose]: (): void => client.destroy() }
}
