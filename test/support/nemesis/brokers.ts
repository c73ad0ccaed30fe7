/**
 * The broker between the nodes of the fault test, of either kind.
 */
import type { Broker } from "../broker.ts"
import { missing as missingNats, startNats } from "../natsServer.ts"
import { missing as missingPostgres, password, startPostgres } from "../postgresServer.ts"
import { missing as missingRedis, startRedis } from "../redisServer.ts"

export type BusName = "redis" | "nats" | "postgres"

/** Why a bus cannot be tested here; `undefined` where it can. */
export const missingFor: Readonly<Record<BusName, string | undefined>> = {
  redis: missingRedis,
  nats: missingNats,
  postgres: missingPostgres
}

/** A broker that runs. */
export interface BusServer extends AsyncDisposable {
  readonly broker: Broker
  /** As the nodes are told. */
  readonly address: string
  /** Starts it again after it was killed. */
  readonly restart: () => Promise<void>
}

export const startBus = async (bus: BusName): Promise<BusServer> => {
  if (bus === "redis") {
    const broker = await startRedis()
    return served(broker, `redis://127.0.0.1:${broker.port}`, broker, false)
  }
  if (bus === "nats") {
    const server = await startNats()
    return served(server.broker, `nats://${server.servers}`, server, false)
  }
  const server = await startPostgres()
  const { broker } = server
  // Its directory is kept: a new one takes a second to make.
  return served(broker, `postgres://postgres:${password}@127.0.0.1:${broker.port}/postgres`, server, true)
}

const served = (broker: Broker, address: string, owner: AsyncDisposable, keep: boolean): BusServer => ({
  broker,
  address,
  restart: () => broker.start({ keep }),
  [Symbol.asyncDispose]: () => owner[Symbol.asyncDispose]()
})
