/**
 * Rooms over two nodes with Redis between them: what a delivery on the other node costs, both nodes and Redis together.
 */
import type { Load } from "../load/messages.ts"
import { clustered } from "../contenders.ts"
import { Generator, Redis, Server } from "../run/processes.ts"
import { loadColumns, loadMetrics, type Scenario, warmUpMillis } from "./scenario.ts"

export interface Shape {
  readonly name: string
  readonly title: string
  readonly rooms: number
  readonly near: number
  readonly far: number
  /** Members of a room who publish, the first ones. */
  readonly publishers: number
  readonly saturating: number
  /** Messages a second in each room. */
  readonly light: number
}

/** Two nodes and their broker with clients that have joined. */
export const openNodes = async (row: string, { far, near, publishers, rooms }: Shape) => {
  const contender = clustered.find(({ name }) => name === row)!
  const redis = await Redis.start()
  const env = { BENCH_REDIS: `redis://127.0.0.1:${redis.port}` }
  const [one, two] = [await Server.start(contender, { env }), await Server.start(contender, { env })]
  const generator = new Generator()
  const opened = await generator.ask({
    kind: "open",
    port: one.port,
    serverPid: one.pid,
    far: { port: two.port, near },
    morePids: [two.pid, redis.pid],
    publishers,
    dialect: contender.dialect,
    rooms,
    members: near + far,
    concurrency: 64
  })
  if (opened.joined < rooms * (near + far)) throw new Error(`${row}: connections failed: ${opened.failures[0]}`)
  return {
    generator,
    one,
    two,
    async [Symbol.asyncDispose]() {
      await generator[Symbol.asyncDispose]()
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
      await redis[Symbol.asyncDispose]()
    }
  }
}

const scenario = (shape: Shape): Scenario => ({
  name: shape.name,
  rows: clustered.map(({ name }) => name),
  phases: [
    { name: "light", title: `${shape.title}, ${shape.light} messages/s in each`, columns: loadColumns },
    { name: "saturated", title: `${shape.title}, ${shape.saturating} in flight in each`, columns: loadColumns }
  ],
  measure: async (row, settings) => {
    const { quick } = settings
    await using nodes = await openNodes(row, shape)
    const load = (pace: Load["pace"], before: number, millis: number) =>
      nodes.generator.ask({ kind: "load", pace, contentBytes: 64, warmUpMillis: before, millis })
    await load({ inFlight: shape.saturating }, warmUpMillis(settings), 0)
    return {
      light: loadMetrics(await load({ perSecond: shape.light }, 300, quick ? 800 : 1500)),
      saturated: loadMetrics(await load({ inFlight: shape.saturating }, 300, quick ? 800 : 1500))
    }
  }
})

export const nodes: ReadonlyArray<Scenario> = [
  scenario({
    name: "nodes-large",
    title: "one room over two nodes, 1 + 100 members",
    rooms: 1,
    near: 1,
    far: 100,
    publishers: 1,
    saturating: 32,
    light: 100
  }),
  scenario({
    name: "nodes-small",
    title: "250 rooms over two nodes, 2 + 2 members",
    rooms: 250,
    near: 2,
    far: 2,
    publishers: 4,
    saturating: 4,
    light: 8
  })
]
