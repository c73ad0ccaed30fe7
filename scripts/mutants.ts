/**
 * Plants bugs one at a time, in a copy of the repository, and runs the tests that have to find each: those of
 * test/mutants, which are patches with the tests named above them. Prints a table; fails when a bug is not found, when a
 * patch does not apply any more, or when the tests fail without a bug.
 *
 * `npm run mutants` for all, `npm run mutants -- BUG7 TRAP3` for some.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { root } from "./run.ts"

interface Mutant {
  readonly id: string
  readonly title: string
  readonly tests: ReadonlyArray<string>
  readonly patch: string
}

/** Milliseconds tests may take for one bug. */
const timeout = 300_000
const folder = path.join(root, "test/mutants")
/** What is copied; everything the tests read. */
const parts = ["src", "test", "examples", "scripts", "package.json", "tsconfig.json", "vitest.config.ts"]

const only = process.argv.slice(2).filter((argument) => argument !== "--")

const read = (file: string): Mutant => {
  const patch = path.join(folder, file)
  const text = readFileSync(patch, "utf8")
  const [, id = "", title = ""] = /^(\S+): (.*)$/m.exec(text) ?? []
  const tests = /^tests: (.*)$/m.exec(text)?.[1]?.split(" ") ?? []
  return { id, title, tests, patch }
}

const mutants = readdirSync(folder)
  .filter((file) => file.endsWith(".patch"))
  .map(read)
  .filter(({ id }) => only.length === 0 || only.includes(id))
  .toSorted((one, other) => one.id.localeCompare(other.id, "en", { numeric: true }))

const copy = mkdtempSync(path.join(tmpdir(), "effect-rooms-mutants-"))
const runIn = (command: string, args: ReadonlyArray<string>) =>
  spawnSync(command, args, {
    cwd: copy,
    encoding: "utf8",
    timeout,
    maxBuffer: 2 ** 28,
    // Nobody reads how short a failing schedule can be.
    env: { ...process.env, MAX_SHRINKS: "0", NO_COLOR: "1" }
  })

/** Runs tests until one fails, and answers which; `undefined` when all of them pass. */
const test = (tests: ReadonlyArray<string>): string | undefined => {
  const vitest = path.join("node_modules", "vitest", "vitest.mjs")
  const result = runIn(process.execPath, [vitest, "run", "--project", "unit", "--bail", "1", ...tests])
  if (result.status === 0) return undefined
  if (result.error !== undefined) return `no end within ${timeout / 1_000} s`
  const output = result.stdout + result.stderr
  const [, failed] = /^\s*FAIL\s+(?:\|?unit\|?\s+)?(.*)$/m.exec(output) ?? []
  const [, why = ""] = /^\w*Error: (.{1,100})/m.exec(output) ?? []
  return failed === undefined
    ? `ended with ${result.status ?? result.signal}: ${result.stderr.slice(0, 500)}`
    : `${failed}: ${why}`
}

/** Where git looks for a repository from the copy, there is none. */
const apply = (patch: string, ...options: ReadonlyArray<string>): boolean => {
  const result = spawnSync("git", ["apply", ...options, patch], {
    cwd: copy,
    encoding: "utf8",
    env: { ...process.env, GIT_CEILING_DIRECTORIES: path.dirname(copy) }
  })
  return result.status === 0
}

let problems = 0
const rows: Array<readonly [id: string, title: string, found: string, seconds: string]> = []
try {
  for (const part of parts) cpSync(path.join(root, part), path.join(copy, part), { recursive: true })
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"))
  const without = test(Array.from(new Set(mutants.flatMap(({ tests }) => tests))))
  if (without !== undefined) {
    console.error(`error: the tests fail without a bug: ${without}`)
    problems++
  }
  for (const { id, patch, tests, title } of without === undefined ? mutants : []) {
    const begun = performance.now()
    let found: string | undefined
    if (!apply(patch)) found = "does not apply any more"
    else {
      found = test(tests)
      apply(patch, "--reverse")
    }
    const isFound = found !== undefined && found !== "does not apply any more"
    if (!isFound) problems++
    const seconds = ((performance.now() - begun) / 1_000).toFixed(0)
    rows.push([id, title, found ?? "NOT FOUND", seconds])
    console.log(`${isFound ? "found" : "error"}: ${id} (${seconds} s): ${found ?? "not found"}`)
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}

console.log("\n| bug | what it is | found by | s |\n|---|---|---|---|")
for (const row of rows) console.log(`| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
console.log(`\nmutants: ${rows.length} planted, ${problems} problems`)
process.exitCode = problems === 0 && rows.length > 0 ? 0 : 1
