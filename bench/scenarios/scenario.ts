/**
 * What a scenario is: rows to compare, measured one after the other in each round, and columns of numbers.
 */
import { type Contender, type ContenderName, contenders } from "../contenders.ts"
import type { Loaded, Span } from "../load/messages.ts"
import { Generator, Server, type ServerOptions } from "../run/processes.ts"

/** One number of the table. */
export interface Column {
  readonly key: string
  readonly title: string
  readonly digits: number
}

/** One table: the same columns for every row. */
export interface Phase {
  readonly name: string
  readonly title: string
  readonly columns: ReadonlyArray<Column>
}

export type Metrics = Readonly<Record<string, number>>

export interface Settings {
  readonly quick: boolean
}

export interface Scenario {
  readonly name: string
  readonly rows: ReadonlyArray<string>
  /** Those that `--quick` measures; all by default. */
  readonly quickRows?: ReadonlyArray<string>
  readonly phases: ReadonlyArray<Phase>
  /** At most so many rounds, where numbers vary little or cost much. */
  readonly maxRounds?: number
  /** Measures one row once; metrics by the name of the phase. */
  readonly measure: (row: string, settings: Settings) => Promise<Readonly<Record<string, Metrics>>>
}

/** How long a server is under load before anything is measured: what runs for days has been compiled. */
export const warmUpMillis = ({ quick }: Settings): number => (quick ? 1000 : 4000)

export const contenderNames: ReadonlyArray<ContenderName> = contenders.map(({ name }) => name)

export const contenderOf = (row: string): Contender => {
  const contender = contenders.find(({ name }) => name === row)
  if (contender === undefined) throw new Error(`no contender is called ${row}`)
  return contender
}

/** A server of a contender with clients that have joined; `rooms` times `members` of them. */
export const openCrowd = async (
  row: string,
  crowd: { readonly rooms: number; readonly members: number },
  serverOptions?: ServerOptions
) => {
  const contender = contenderOf(row)
  const server = await Server.start(contender, serverOptions)
  const generator = new Generator()
  const opened = await generator.ask({
    kind: "open",
    port: server.port,
    serverPid: server.pid,
    dialect: contender.dialect,
    ...crowd,
    concurrency: 64
  })
  if (opened.joined < crowd.rooms * crowd.members) {
    throw new Error(`${row}: ${opened.failures.length} connections failed: ${opened.failures[0]}`)
  }
  return {
    server,
    generator,
    opened,
    async [Symbol.asyncDispose]() {
      await generator[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    }
  }
}

/** Per CPU second of the server: what it could do at most, whatever else the machine does. */
export const perCpuSecond = ({ serverCpuSeconds }: Span, count: number): Metrics => ({
  cpu: (serverCpuSeconds / count) * 1e6,
  perCpuSecond: count / serverCpuSeconds
})

/** What is worth knowing about the machine while a number was taken. */
export const spanMetrics = (span: Span): Metrics => ({
  serverBusy: span.serverCpuSeconds / span.seconds,
  generatorBusy: span.generatorBusy,
  waited: Math.max(span.serverWaitSeconds, span.generatorWaitSeconds) / span.seconds
})

/** How often each reason is among them. */
const tally = (reasons: ReadonlyArray<string>): string => {
  const counts = new Map<string, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return Array.from(counts, ([reason, count]) => `${count} × ${reason}`).join(", ")
}

/** The numbers of a load; says so where connections ended under it. */
export const loadMetrics = (loaded: Loaded): Metrics => {
  if (loaded.ended.length > 0) console.log(`connections ended under load: ${tally(loaded.ended)}`)
  return metricsOf(loaded)
}

const metricsOf = (loaded: Loaded): Metrics => ({
  ...spanMetrics(loaded),
  cpu: (loaded.serverCpuSeconds / loaded.delivered) * 1e6,
  rate: loaded.delivered / loaded.seconds,
  p50: loaded.latency.p50 / 1000,
  p95: loaded.latency.p95 / 1000,
  p99: loaded.latency.p99 / 1000,
  lost: loaded.lost,
  ended: loaded.ended.length
})

export const loadColumns: ReadonlyArray<Column> = [
  { key: "cpu", title: "CPU µs/delivery", digits: 3 },
  { key: "rate", title: "deliveries/s", digits: 0 },
  { key: "p50", title: "p50 ms", digits: 2 },
  { key: "p95", title: "p95 ms", digits: 2 },
  { key: "p99", title: "p99 ms", digits: 2 },
  { key: "lost", title: "lost", digits: 0 }
]
