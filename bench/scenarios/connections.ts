/**
 * Connections that come, stay and move: a storm of connects and joins, what each costs in memory while nothing happens,
 * and joins and leaves by message.
 */
import { Generator, Server } from "../run/processes.ts"
import { contenderNames, contenderOf, type Metrics, perCpuSecond, type Scenario, spanMetrics } from "./scenario.ts"

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
  measure: async (row, { quick }) => {
    const contender = contenderOf(row)
    await using server = await Server.start(contender)
    await using generator = new Generator()
    const open = (count: number) =>
      generator.ask({
        kind: "open",
        port: server.port,
        serverPid: server.pid,
        dialect: contender.dialect,
        rooms: count / perRoom,
        members: perRoom,
        concurrency: 64
      })
    // The first ones stay connected and are not counted: compiled code and pools are no memory of connections.
    await open(1000)
    await generator.ask({ kind: "churn", clients: churning, warmUpMillis: 0, millis: quick ? 300 : 700 })
    await sleep(settleMillis)
    const before = await server.memory()
    const opened = await open(total)
    if (opened.joined < total) throw new Error(`${row}: ${opened.failures[0]}`)
    await sleep(settleMillis)
    const after = await server.memory()
    const churned = await generator.ask({
      kind: "churn",
      clients: churning,
      warmUpMillis: 300,
      millis: quick ? 600 : 1200
    })
    const storm: Metrics = {
      ...spanMetrics(opened),
      ...perCpuSecond(opened, opened.joined),
      rate: opened.joined / opened.seconds
    }
    const idle: Metrics = {
      heap: kibibytes(after.heapUsed + after.external, before.heapUsed + before.external, total),
      rss: kibibytes(after.rss, before.rss, total)
    }
    const churn: Metrics = {
      ...spanMetrics(churned),
      ...perCpuSecond(churned, churned.rounds),
      rate: churned.rounds / churned.seconds
    }
    return { storm, idle, churn }
  }
}
