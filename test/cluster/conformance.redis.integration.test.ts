/**
 * The clauses of event buses, over a real Redis.
 */
import * as RedisBus from "effect-rooms/cluster/redis"
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe } from "vitest"
import { type Broker, skipWhere } from "../support/broker.ts"
import { processFaults, testConformance, wayFaults } from "../support/conformance.ts"
import { DialProxy } from "../support/dialProxy.ts"
import { connectAdmin, missing, startRedis } from "../support/redisServer.ts"

skipWhere(missing)

let broker: Broker
let proxy: DialProxy

beforeAll(async () => {
  if (missing !== undefined) return
  broker = await startRedis()
  proxy = await DialProxy.to(broker.port)
})
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await broker?.[Symbol.asyncDispose]()
})

const ask = (...commands: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    using admin = await connectAdmin(broker)
    for (const command of commands) await admin.ask(command)
  })

const nodeAt = (port: () => number) => () => RedisBus.layer({ url: `redis://127.0.0.1:${port()}` })

describe("an event bus over Redis", () => {
  testConformance(
    {
      node: nodeAt(() => broker.port),
      faults: {
        ...processFaults(() => broker),
        cut: ask("CLIENT KILL TYPE normal SKIPME yes", "CLIENT KILL TYPE pubsub"),
        refuse: Effect.as(ask("ACL SETUSER default resetchannels &[^!]*"), "!refused"),
        allow: ask("ACL SETUSER default allchannels")
      }
    },
    { node: nodeAt(() => proxy.port), faults: wayFaults(() => proxy) }
  )
})
