/**
 * A private NATS server.
 */
import { readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { Broker, findBinary, missingBinary, startBroker } from "./broker.ts"

const binary = findBinary("nats-server", ["/usr/sbin", "/usr/local/sbin"])

/** Why tests with NATS cannot run here; `undefined` where they can. */
export const missing = missingBinary("nats-server", binary)

/** A NATS server and what its operator can do. */
export interface NatsServer extends AsyncDisposable {
  readonly broker: Broker
  /** For the options of a bus. */
  readonly servers: string
  /** Announces that the server is about to stop, and closes its connections one by one (lame duck mode). */
  readonly retire: () => void
}

/** Starts a server; `config` are further lines of its configuration file. */
export const startNats = async (config = ""): Promise<NatsServer> => {
  let directory = ""
  const broker = await startBroker({
    name: "nats",
    command: (port, folder) => {
      directory = folder
      const file = path.join(folder, "nats.conf")
      writeFileSync(file, `listen: "127.0.0.1:${port}"\npid_file: "${path.join(folder, "nats.pid")}"\n${config}\n`)
      return [binary!, "--config", file]
    },
    ready: /Server is ready/
  })
  return {
    broker,
    servers: `127.0.0.1:${broker.port}`,
    retire: () => void process.kill(Number(readFileSync(path.join(directory, "nats.pid"), "utf8")), "SIGUSR2"),
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]()
  }
}
