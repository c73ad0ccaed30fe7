/**
 * Tables in Markdown, which are readable on a terminal as well.
 */
import type { Column, Phase, Scenario } from "../scenarios/scenario.ts"
import type { Results } from "./results.ts"
import type { Summary } from "./stats.ts"

/** The row others are compared with. */
const baseline = "ws-plain"

const number = (value: number, digits: number): string =>
  Number.isNaN(value)
    ? "–"
    : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** Median, and the range behind it where there is one. */
export const show = ({ max, median, min }: Summary, digits: number): string =>
  min === max ? number(median, digits) : `${number(median, digits)} (${number(min, digits)}–${number(max, digits)})`

const align = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map(
    (row) =>
      `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`
  )
}

/** A table with a rule under its head. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const [first, ...rest] = align([head, ...rows])
  const rule = first!.replace(/[^|]/g, "-")
  return [first, rule, ...rest].join("\n")
}

/** Every row of a phase, with the ratio of its first column to the baseline's. */
export const phaseTable = (results: Results, scenario: Scenario, phase: Phase): string | undefined => {
  const first = phase.columns[0]!
  const cell = (row: string, { digits, key }: Column) => {
    const summary = results.summary(scenario.name, phase.name, row, key)
    return summary === undefined ? "–" : show(summary, digits)
  }
  const measured = scenario.rows.filter((row) => results.values(scenario.name, phase.name, row, first.key).length > 0)
  if (measured.length === 0) return undefined
  const withRatio = measured.includes(baseline)
  const ratio = (row: string) => {
    const summary = results.ratio(scenario.name, phase.name, row, baseline, first.key)
    return summary === undefined ? "–" : show(summary, 3)
  }
  const head = ["", ...phase.columns.map(({ title }) => title), ...(withRatio ? [`${first.title} × ${baseline}`] : [])]
  const rows = measured.map((row) => [
    row,
    ...phase.columns.map((column) => cell(row, column)),
    ...(withRatio ? [ratio(row)] : [])
  ])
  return `${phase.title}\n\n${table(head, rows)}`
}
