/**
 * One member of 1,000 stops reading under a load that fills its outbox: what the others notice, and how it ends.
 */
import { type Column, loadMetrics, openCrowd, type Scenario } from "./scenario.ts"

const members = 1000
/** The system takes about 5 MB for a socket before the server's own queue begins to fill. */
const contentBytes = 60_000
const perSecond = 10

const columns: ReadonlyArray<Column> = [
  { key: "p99", title: "p99 ms", digits: 2 },
  { key: "p50", title: "p50 ms", digits: 2 },
  { key: "lost", title: "lost by others", digits: 0 }
]

export const stalled: Scenario = {
  name: "stalled",
  rows: ["rooms"],
  maxRounds: 2,
  phases: [
    { name: "without", title: `${members} members, ${perSecond} messages of ${contentBytes} bytes a second`, columns },
    {
      name: "with",
      title: "the same, one member stalled",
      columns: [
        ...columns,
        { key: "mostUnsent", title: "most KiB waiting for one", digits: 0 },
        { key: "cut", title: "stalled cut", digits: 0 },
        { key: "othersCut", title: "others cut", digits: 0 }
      ]
    }
  ],
  measure: async (row, { quick }) => {
    await using crowd = await openCrowd(row, { rooms: 1, members }, { env: { BENCH_WATCH: "yes" } })
    const load = (millis: number) =>
      crowd.generator.ask({ kind: "load", pace: { perSecond }, contentBytes, warmUpMillis: 500, millis })
    const without = await load(quick ? 2000 : 4000)
    await crowd.generator.ask({ kind: "stall", clients: 1 })
    const during = await load(quick ? 11_000 : 13_000)
    const { ended } = await crowd.generator.ask({ kind: "resume" })
    const { mostUnsent } = await crowd.server.memory()
    return {
      without: loadMetrics(without),
      with: {
        ...loadMetrics(during),
        mostUnsent: mostUnsent / 1024,
        cut: ended.filter((how) => how !== undefined).length,
        othersCut: during.ended.length
      }
    }
  }
}
