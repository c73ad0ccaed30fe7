/**
 * The clauses of event buses, over a real NATS.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NatsBus from "effect-rooms/cluster/nats"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { afterAll, beforeAll, describe } from "vitest"
import { skipWhere } from "../support/broker.ts"
import { processFaults, testConformance, wayFaults } from "../support/conformance.ts"
import { DialProxy } from "../support/dialProxy.ts"
import { missing, type NatsServer, startNats } from "../support/natsServer.ts"

skipWhere(missing)

const folder = mkdtempSync(path.join(tmpdir(), "nats-permissions-"))
const [pid, permissions] = [path.join(folder, "nats.pid"), path.join(folder, "permissions.conf")]
const permit = (...denied: ReadonlyArray<string>) =>
  writeFileSync(
    permissions,
    `authorization { users: [{ user: app, password: app, permissions: {
    publish: ">", subscribe: { allow: ">", deny: ${JSON.stringify(denied)} } } }] }`
  )
const reload = (...denied: ReadonlyArray<string>) =>
  Effect.sync(() => {
    permit(...denied)
    process.kill(Number(readFileSync(pid, "utf8")), "SIGHUP")
  }).pipe(Effect.andThen(Effect.sleep("300 millis")))

let server: NatsServer
let proxy: DialProxy

beforeAll(async () => {
  if (missing !== undefined) return
  permit()
  server = await startNats(`pid_file: "${pid}"\ninclude "../${path.basename(folder)}/permissions.conf"`)
  proxy = await DialProxy.to(server.broker.port)
})
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

const nodeAt = (port: () => number) => () =>
  NatsBus.layer({ servers: `127.0.0.1:${port()}`, username: "app", password: Redacted.make("app"), prefix: "app" })

describe("an event bus over NATS", () => {
  testConformance(
    {
      node: nodeAt(() => server.broker.port),
      faults: {
        ...processFaults(() => server.broker),
        refuse: Effect.as(reload("app.refused"), "refused"),
        allow: reload()
      }
    },
    { node: nodeAt(() => proxy.port), faults: wayFaults(() => proxy) }
  )
})
