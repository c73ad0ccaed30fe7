/**
 * What a run of the fault test has found, in numbers and in five lines.
 */
import { describe, type Violation } from "./checker.ts"
import type { History } from "./history.ts"
import type { Options } from "./nemesis.ts"
import type { Fault } from "./schedule.ts"

/** Milliseconds. */
interface Times {
  readonly startedAfter: number
  readonly convergedAfter: number
  readonly settledAfter: number
  readonly checkedIn: number
  readonly tookAll: number
}

export interface Found {
  readonly options: Options
  readonly faults: ReadonlyArray<Fault>
  readonly history: History
  readonly violations: ReadonlyArray<Violation>
  /** Whatever else must not be: nodes that end by themselves, errors they log, what they do not know in time. */
  readonly problems: ReadonlyArray<string>
  readonly codes: ReadonlyMap<number, number>
  /** How long nodes took to stop. */
  readonly stops: ReadonlyArray<number>
  readonly times: Times
  readonly converged: boolean
}

export interface Report extends Found {
  readonly isGood: boolean
  /** How often clients were told of a gap. */
  readonly gaps: number
  /** Messages that are said to have reached everyone. */
  readonly acknowledged: number
  readonly summary: ReadonlyArray<string>
}

const countBy = <A>(all: Iterable<A>, key: (one: A) => string): string =>
  Array.from(Map.groupBy(all, key), ([name, some]) => `${some.length} ${name}`).join(", ")

const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

export const reportOf = (found: Found): Report => {
  const { codes, converged, faults, history, options, problems, stops, times, violations } = found
  const { said } = history
  const items = Array.from(history.connections.values(), ({ heard }) => Array.from(heard.values()).flat()).flat()
  const gaps = items.flatMap((item) => ("missed" in item ? [item] : []))
  const missed = gaps.reduce((sum, gap) => sum + gap.missed, 0)
  const unknown = gaps.filter((gap) => gap.missed === 0).length
  const bad = [...violations.map(({ kind }) => kind), ...problems.map(() => "problem")]
  const ends = Array.from(codes, ([code, count]) => `${count} × ${code}`).join(", ")
  const slowest = stops.length === 0 ? "" : `, nodes stop in ${seconds(Math.max(...stops))} at most`
  const summary = [
    `faults       ${faults.length} on ${options.bus}, seed ${options.seed}: ${countBy(faults, ({ kind }) => kind)}`,
    `messages     ${said.length} said (${countBy(said, ({ reached }) => reached ?? "not acknowledged")}), ` +
      `${items.length - gaps.length} heard on ${history.connections.size} connections (ended: ${ends})`,
    `gaps         ${gaps.length} told, of ${missed} messages and ${unknown} times of nobody knows how many`,
    `violations   ${bad.length === 0 ? "none" : countBy(bad, (kind) => kind)}`,
    `converged    ${converged ? "" : "not "}${seconds(times.convergedAfter)} after the last fault, settled after ` +
      `${seconds(times.settledAfter)}; ${seconds(times.tookAll)} in all, checked in ${seconds(times.checkedIn)}${slowest}`
  ]
  const acknowledged = said.filter(({ reached }) => reached === "everyone").length
  return { ...found, isGood: bad.length === 0, gaps: gaps.length, acknowledged, summary }
}

/** What was found, one to a line, so many at most. */
export const findings = ({ problems, violations }: Found, most = 20): ReadonlyArray<string> => {
  const all = [...violations.map(describe), ...problems]
  return all.length <= most ? all : [...all.slice(0, most), `and ${all.length - most} more`]
}
