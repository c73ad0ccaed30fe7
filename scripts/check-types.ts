/**
 * Checks the types of everything in tsconfig.json, with Effect's diagnostics where their compiler has a binary for this
 * platform (tools/tsgo). Elsewhere plain `tsc` runs and the last line says so.
 */
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { run } from "./run.ts"

const require = createRequire(import.meta.url)

const effectCompiler = (): string | undefined => {
  const name = `@effect/tsgo-${process.platform}-${process.arch}`
  const { version } = JSON.parse(readFileSync(require.resolve("typescript/package.json"), "utf8")) as {
    version: string
  }
  let folder: string
  try {
    folder = path.dirname(require.resolve(`${name}/package.json`))
  } catch {
    console.log(`check: no ${name} here, so plain tsc ${version} runs without Effect's diagnostics`)
    return undefined
  }
  const compiler = path.join(folder, "artifacts", "typescript", version, "tsc")
  if (existsSync(compiler)) return compiler
  throw new Error(`${name} has no compiler for typescript ${version}: change both versions together`)
}

const compiler = effectCompiler()
const code = run(compiler ?? "tsc", "-p", "tsconfig.json", ...process.argv.slice(2))
if (code === 0) console.log(`check: types${compiler === undefined ? "" : " and Effect diagnostics"} are in order`)
process.exitCode = code
