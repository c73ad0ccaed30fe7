/**
 * `npm run bench`: all scenarios in interleaved rounds, a table of medians, and which goals hold.
 *
 * `--only <scenario,…>` (by name, or the beginning of it), `--contenders <row,…>`, `--rounds <n>`, `--quick`, `--patient`
 * where others use the machine as well, and `--write` for docs/benchmarks.md. Every run leaves its numbers in
 * bench/results/.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { type Options, parse } from "./options.ts"
import { doubts, goalTable, page, type Run, tables } from "./report/document.ts"
import { Results } from "./report/results.ts"
import { installPeers } from "./run/install.ts"
import { untilIdle } from "./run/idle.ts"
import { describe, machine } from "./run/machine.ts"
import { placement } from "./run/processes.ts"
import { scenarios } from "./scenarios/index.ts"
import type { Scenario } from "./scenarios/scenario.ts"

/** The share of the time a measurement may have waited for a core, and how often it is tried. */
const tolerable = 0.05
const attempts = 3

type Phases = Awaited<ReturnType<Scenario["measure"]>>

/** The share of the time something waited for a core that others used, in the worst phase. */
const sharing = (phases: Phases): number =>
  Math.max(0, ...Object.values(phases).map((metrics) => metrics["waited"] ?? 0))

/** Measures once, or with patience until nobody else used the machine; the attempt that was disturbed least counts. */
const measureAlone = async (scenario: Scenario, row: string, options: Options): Promise<Phases> => {
  let best: Phases | undefined
  for (let attempt = 1; attempt <= (options.patient ? attempts : 1); attempt++) {
    if (options.patient) await untilIdle()
    const startedAt = performance.now()
    const phases = await scenario.measure(row, options)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    const waited = sharing(phases)
    console.log(`${scenario.name}: ${row} (${seconds} s, waited for a core ${Math.round(waited * 100)} % of the time)`)
    if (best === undefined || waited < sharing(best)) best = phases
    if (waited < tolerable) break
  }
  return best!
}

const measure = async (scenario: Scenario, options: Options, results: Results): Promise<void> => {
  const all = (options.quick ? scenario.quickRows : undefined) ?? scenario.rows
  const rows = all.filter((row) => options.contenders.length === 0 || options.contenders.includes(row))
  const rounds = Math.min(options.rounds, scenario.maxRounds ?? options.rounds)
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) results.add(scenario.name, row, await measureAlone(scenario, row, options))
  }
}

const options = parse(process.argv.slice(2))
/** By name, or by the beginning of names where nothing is called so. */
const isMeant = (name: string, wanted: string): boolean =>
  scenarios.some((scenario) => scenario.name === wanted) ? name === wanted : name.startsWith(wanted)
const chosen = scenarios.filter(
  ({ name }) => options.only.length === 0 || options.only.some((wanted) => isMeant(name, wanted))
)
if (chosen.length === 0) {
  throw new Error(`no scenario begins so; there are ${scenarios.map(({ name }) => name).join(", ")}`)
}
installPeers()
const results = new Results()
const run: Run = { machine: machine(), rounds: options.rounds, quick: options.quick, scenarios: chosen, results }
console.log(`${describe(run.machine)}\n${placement}`)
for (const scenario of chosen) await measure(scenario, options, results)

const folder = path.resolve(import.meta.dirname, "results")
const file = path.join(folder, `${new Date().toISOString().replaceAll(/[:.]/g, "-")}.json`)
mkdirSync(folder, { recursive: true })
writeFileSync(file, JSON.stringify({ machine: run.machine, options, numbers: results.numbers }, undefined, 2))
console.log(`\n${tables(run)}\n\n${goalTable(run)}\n\n${doubts(run)}\n\nnumbers: ${path.relative(process.cwd(), file)}`)
if (options.write) writeFileSync(path.resolve(import.meta.dirname, "../docs/benchmarks.md"), page(run))
