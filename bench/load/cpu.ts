/**
 * CPU time of a process, user and system together, as Linux counts it.
 */
import { readdirSync, readFileSync } from "node:fs"
import type { Span } from "./messages.ts"

const ticksPerSecond = 100

/** Seconds a process was on a core, and seconds its first thread could have been and was not. */
export interface CpuTime {
  readonly used: number
  readonly waited: number
}

/** Summed over the threads there are; undefined on a kernel that does not count. */
const fromSchedstat = (pid: number): CpuTime | undefined => {
  try {
    let used = 0
    let waited = 0
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const fields = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")
      used += Number(fields[0])
      if (Number(thread) === pid) waited = Number(fields[1])
    }
    return { used: used / 1e9, waited: waited / 1e9 }
  } catch {
    return undefined
  }
}

const fromStat = (pid: number): CpuTime => {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return { used: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, waited: 0 }
}

/** CPU time of a process so far. */
export const cpuTime = (pid: number): CpuTime => fromSchedstat(pid) ?? fromStat(pid)

/** That of several together; the wait is the worst of them. */
const cpuTimeOf = (pids: ReadonlyArray<number>): CpuTime =>
  pids.map(cpuTime).reduce((a, b) => ({ used: a.used + b.used, waited: Math.max(a.waited, b.waited) }))

/** Begins a span; the returned function ends it. */
export const startSpan = (serverPid: number, more: ReadonlyArray<number> = []): (() => Span) => {
  const startedAt = performance.now()
  const own = cpuTime(process.pid)
  const before = cpuTimeOf([serverPid, ...more])
  return () => {
    const seconds = (performance.now() - startedAt) / 1000
    const after = cpuTimeOf([serverPid, ...more])
    const generator = cpuTime(process.pid)
    return {
      seconds,
      serverCpuSeconds: after.used - before.used,
      serverWaitSeconds: after.waited - before.waited,
      generatorBusy: (generator.used - own.used) / seconds,
      generatorWaitSeconds: generator.waited - own.waited
    }
  }
}
