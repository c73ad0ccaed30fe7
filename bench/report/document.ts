/**
 * A run as a page: conditions, goals, tables.
 */
import { describe, type Machine } from "../run/machine.ts"
import { placement } from "../run/processes.ts"
import type { Scenario } from "../scenarios/scenario.ts"
import { goalHead, goalRows } from "./goals.ts"
import { remarks } from "./remarks.ts"
import type { Results } from "./results.ts"
import { phaseTable, table } from "./table.ts"

/** A finished run. */
export interface Run {
  readonly machine: Machine
  readonly rounds: number
  readonly quick: boolean
  readonly scenarios: ReadonlyArray<Scenario>
  readonly results: Results
}

const conditions = ({ machine, quick, rounds }: Run): string =>
  [
    `${describe(machine)}.`,
    `${rounds} interleaved round${rounds === 1 ? "" : "s"}${quick ? ", --quick" : ""}; ${placement}.`,
    "Cells are medians, with the least and the most in brackets; ratios are taken round by round."
  ].join(" ")

/** All tables of the phases that were measured. */
export const tables = ({ results, scenarios }: Run): string =>
  scenarios
    .flatMap((scenario) => scenario.phases.map((phase) => phaseTable(results, scenario, phase)))
    .filter((text) => text !== undefined)
    .join("\n\n")

export const goalTable = ({ results }: Run): string => table(goalHead, goalRows(results))

export const doubts = ({ results }: Run): string => {
  const sentences = remarks(results)
  return sentences.length === 0
    ? "No generator was at its limit, and no server had to share its core."
    : sentences.map((sentence) => `- ${sentence}`).join("\n")
}

/** The page `docs/benchmarks.md`. */
export const page = (run: Run): string => `# Benchmarks

Written by \`npm run bench -- --write\`. ${conditions(run)}

CPU is the time of the server's process, user and system, as the operating system counts it, per message delivered to a
client. The generator is a process of its own that writes and counts WebSocket frames by itself. Messages are JSON with 64
characters of content; the sender is left out. effect-rooms runs with \`Limits.trusted\` and checks every message by schema;
\`rooms\` joins connections to a room, \`route\` is a plain handler that reads a subscription. \`ws-plain\` is the loop of a
tutorial, \`ws-tuned\` a server written for this workload alone; \`moost\` is Moost's engine, \`@wooksjs/event-ws\`.
"Saturated" means that so many members each keep one message in flight; the plain loop is at its limit there. Each
server is under load for four seconds before anything is measured, so that its code is compiled.

100 stalled of 1,000 members in 256 MiB is a program of its own: \`node bench/stalled-in-256-mib.ts\`.

## Goals

${goalTable(run)}

## Numbers

${tables(run)}

## Doubts

${doubts(run)}
`
