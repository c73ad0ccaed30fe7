/**
 * 10,000 connections in one room: how long they take to come, and what they then get of a light load.
 */
import { readFileSync } from "node:fs"
import { loadMetrics, openCrowd, type Scenario, spanMetrics, warmUpMillis } from "./scenario.ts"

const wanted = 10_000
/** Files a process needs besides. */
const spare = 200

const openFilesLimit = (): number => {
  try {
    const line = readFileSync("/proc/self/limits", "latin1").match(/^Max open files\s+\S+\s+(\S+)/m)
    return line?.[1] === "unlimited" ? Number.POSITIVE_INFINITY : Number(line?.[1])
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** As many as this machine lets a process have. */
const members = Math.min(wanted, openFilesLimit() - spare)

export const tenThousand: Scenario = {
  name: "ten-thousand",
  rows: ["ws-plain", "socket.io", "rooms", "route"],
  quickRows: ["ws-plain", "rooms"],
  maxRounds: 2,
  phases: [
    {
      name: "connect",
      title: `${members} connections join one room${members < wanted ? ` (ulimit -n allows no ${wanted})` : ""}`,
      columns: [
        { key: "seconds", title: "seconds", digits: 2 },
        { key: "cpu", title: "CPU seconds", digits: 2 }
      ]
    },
    {
      name: "light",
      title: `one room of ${members}, two messages a second`,
      columns: [
        { key: "p99", title: "p99 ms", digits: 1 },
        { key: "p50", title: "p50 ms", digits: 1 },
        { key: "cpu", title: "CPU µs/delivery", digits: 3 },
        { key: "lost", title: "lost", digits: 0 }
      ]
    }
  ],
  measure: async (row, { quick }) => {
    await using crowd = await openCrowd(row, { rooms: 1, members })
    const loaded = await crowd.generator.ask({
      kind: "load",
      pace: { perSecond: 2 },
      contentBytes: 64,
      warmUpMillis: warmUpMillis({ quick }),
      millis: quick ? 1500 : 4000
    })
    return {
      connect: { ...spanMetrics(crowd.opened), seconds: crowd.opened.seconds, cpu: crowd.opened.serverCpuSeconds },
      light: loadMetrics(loaded)
    }
  }
}
