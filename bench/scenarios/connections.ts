/**
 * Connections that come, stay and move: a storm of connects and joins, what each costs in memory while nothing happens,
 * and joins and leaves by message.
 */
import { Generator, Server } from "../run/processes.ts"
import {
  contenderNames,
  contenderOf,
  type Metrics,
  perCpuSecond,
  type Scenario,
  type Settings,
  spanMetrics,
  warmUpMillis
} from "./scenario.ts"

const perRoom = 10
const settleMillis = 300

/** Clients that churn at the same time. */
const churning = 200

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const kibibytes = (after: number, before: number, connections: number) => (after - before) / connections / 1024

const total = 5000

export const connections: Scenario = {
  name: "connections",
  rows: contenderNames,
  phases: [
    {
      name: "storm",
      title: "connect and join, 64 at a time",
      columns: [
        { key: "rate", title: "connects/s", digits: 0 },
        { key: "perCpuSecond", title: "connects/CPU second", digits: 0 },
        { key: "cpu", title: "CPU µs/connect", digits: 1 }
      ]
    },
    {
      name: "idle",
      title: "memory per idle joined connection, after garbage collection",
      columns: [
        { key: "rss", title: "resident KiB", digits: 1 },
        { key: "heap", title: "heap and buffers KiB", digits: 1 }
      ]
    },
    {
      name: "churn",
      title: `join and leave by message on ${churning} standing connections`,
      columns: [
        { key: "rate", title: "joins and leaves/s", digits: 0 },
        { key: "perCpuSecond", title: "joins and leaves/CPU second", digits: 0 },
        { key: "cpu", title: "CPU µs/join and leave", digits: 1 }
      ]
    }
  ],
  measure: async (row, settings) => ({ ...(await measureMemory(row)), ...(await measureSpeed(row, settings)) })
}

/** A server of the contender, and what opens connections to it. */
const start = async (row: string) => {
  const contender = contenderOf(row)
  const server = await Server.start(contender)
  const generator = new Generator()
  const open = async (count: number) => {
    const opened = await generator.ask({
      kind: "open",
      port: server.port,
      serverPid: server.pid,
      dialect: contender.dialect,
      rooms: count / perRoom,
      members: perRoom,
      concurrency: 64
    })
    if (opened.joined < count) throw new Error(`${row}: ${opened.failures[0]}`)
    return opened
  }
  const churn = (before: number, millis: number) =>
    generator.ask({ kind: "churn", clients: churning, warmUpMillis: before, millis })
  const end = async () => {
    await generator[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  }
  return { server, open, churn, [Symbol.asyncDispose]: end }
}

/** The first ones stay connected and are not counted: compiled code and pools are no memory of connections. */
const measureMemory = async (row: string): Promise<{ readonly idle: Metrics }> => {
  await using place = await start(row)
  await place.open(1000)
  await place.churn(0, 700)
  await sleep(settleMillis)
  const before = await place.server.memory()
  await place.open(total)
  await sleep(settleMillis)
  const after = await place.server.memory()
  const idle = {
    heap: kibibytes(after.heapUsed + after.external, before.heapUsed + before.external, total),
    rss: kibibytes(after.rss, before.rss, total)
  }
  return { idle }
}

/** Connects and churn, warmed up by both. */
const measureSpeed = async (
  row: string,
  settings: Settings
): Promise<{ readonly storm: Metrics; readonly churn: Metrics }> => {
  await using place = await start(row)
  await place.open(settings.quick ? 1000 : 4000)
  await place.churn(0, warmUpMillis(settings))
  const opened = await place.open(total)
  const churned = await place.churn(warmUpMillis(settings) / 2, settings.quick ? 600 : 2000)
  return {
    storm: { ...spanMetrics(opened), ...perCpuSecond(opened, opened.joined), rate: opened.joined / opened.seconds },
    churn: { ...spanMetrics(churned), ...perCpuSecond(churned, churned.rounds), rate: churned.rounds / churned.seconds }
  }
}
