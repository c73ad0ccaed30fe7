/**
 * The clauses of event buses, over a real PostgreSQL. It refuses no topic to anybody.
 */
import * as PostgresBus from "effect-rooms/cluster/postgres"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { afterAll, beforeAll, describe } from "vitest"
import { skipWhere } from "../support/broker.ts"
import { processFaults, testClauses, wayFaults } from "../support/conformance.ts"
import { DialProxy } from "../support/dialProxy.ts"
import { missing, password, type PostgresServer, startPostgres } from "../support/postgresServer.ts"

skipWhere(missing)

let server: PostgresServer
let proxy: DialProxy

beforeAll(async () => {
  if (missing !== undefined) return
  server = await startPostgres()
  proxy = await DialProxy.to(server.broker.port)
})
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})

const nodeAt = (port: () => number) => () =>
  PostgresBus.layer({
    host: "127.0.0.1",
    port: port(),
    database: "postgres",
    username: "postgres",
    password: Redacted.make(password)
  })

const terminateAll = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`

describe("an event bus over PostgreSQL", () => {
  // PostgreSQL has no privilege for LISTEN: it refuses nobody.
  testClauses(
    ({ name }) => !name.includes("refused subscribe"),
    [
      {
        node: nodeAt(() => server.broker.port),
        faults: {
          ...processFaults(() => server.broker),
          // As after a power failure: a new directory takes a second to make.
          restart: Effect.promise(() => server.broker.start({ keep: true })),
          cut: Effect.promise(() => server.admin(terminateAll))
        }
      },
      { node: nodeAt(() => proxy.port), faults: wayFaults(() => proxy) }
    ]
  )
})
