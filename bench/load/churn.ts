/**
 * Join and leave by message: each client joins a second room, leaves it, and so on, and waits for each answer.
 */
import type { Client } from "./client.ts"
import { startSpan } from "./cpu.ts"
import type { Crowd } from "./crowd.ts"
import { dialects } from "./dialects.ts"
import * as Frames from "./frames.ts"
import type { Churn, Churned } from "./messages.ts"

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Clients that share a room while they churn. */
const perRoom = 10

export const churn = async (crowd: Crowd, { clients, millis, warmUpMillis }: Churn): Promise<Churned> => {
  const dialect = dialects[crowd.options.dialect]
  const churning = crowd.clients.slice(0, clients)
  const frames = new Map<Client, { readonly join: Buffer; readonly leave: Buffer; joined: boolean }>()
  for (const [index, client] of churning.entries()) {
    const room = `churn${Math.floor(index / perRoom)}`
    frames.set(client, {
      join: Frames.text(dialect.join(room)),
      leave: Frames.text(dialect.leave(room)),
      joined: false
    })
  }
  let rounds = 0
  let running = true
  const step = (client: Client) => {
    const own = frames.get(client)
    if (own === undefined || !running) return
    client.send(own.joined ? own.leave : own.join)
    if (own.joined) rounds++
    own.joined = !own.joined
  }
  crowd.onMessages = step
  for (const client of churning) step(client)
  await sleep(warmUpMillis)
  const span = startSpan(crowd.options.serverPid)
  const before = rounds
  await sleep(millis)
  const measured = span()
  const after = rounds
  running = false
  await sleep(200)
  crowd.onMessages = () => {}
  return { ...measured, rounds: after - before }
}
