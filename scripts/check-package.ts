/**
 * Checks the package as a user gets it: packs it (which builds it), lints the tarball with publint and
 * arethetypeswrong, and unpacks it beside what the README says to install, so without the clients of the brokers. There
 * every entry point is imported and compiled, declarations included, a bus says which client it misses, and every file
 * the shipped pages link to is there.
 */
import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { root, run, runOrExit } from "./run.ts"

const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly exports: Record<string, unknown>
  readonly dependencies: Record<string, string>
}
/** What a user of TypeScript has beside the package's own dependencies. */
const userHas = ["effect", "@effect/platform-node", "@types/node"]

const folder = mkdtempSync(path.join(tmpdir(), "package-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))

runOrExit("npm", "pack", "--silent", "--pack-destination", folder)
const tarball = path.join(
  folder,
  readdirSync(folder).find((file) => file.endsWith(".tgz"))!
)
runOrExit("publint", "run", tarball, "--strict")
const attw = [tarball, "--profile", "esm-only", "--no-emoji"]
if (run("attw", ...attw, "--quiet") !== 0) runOrExit("attw", ...attw)

const modules = path.join(folder, "node_modules")
const installed = path.join(modules, manifest.name)
mkdirSync(installed, { recursive: true })
execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed])
for (const name of [...Object.keys(manifest.dependencies), ...userHas]) {
  const link = path.join(modules, name)
  mkdirSync(path.dirname(link), { recursive: true })
  symlinkSync(path.join(root, "node_modules", name), link, "junction")
}

const evaluate = (code: string): void => {
  execFileSync(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder, stdio: "inherit" })
}
const specifiers = Object.keys(manifest.exports)
  .filter((entry) => entry !== "./package.json" && !entry.includes("*"))
  .map((entry) => path.posix.join(manifest.name, entry))
for (const specifier of specifiers.map((it) => JSON.stringify(it))) {
  evaluate(`console.log(${specifier}, Object.keys(await import(${specifier})).length, "exports")`)
}

const compilerOptions = {
  target: "ES2024",
  lib: ["ES2024", "ESNext.Disposable", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
  types: ["node"],
  module: "NodeNext",
  strict: true,
  skipLibCheck: false,
  noEmit: true
}
/** Pages link to each other and to files beside them; a link that leads out of the tarball leads nowhere. */
const pages = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".md"))
const broken = pages.flatMap((page) =>
  [...readFileSync(path.join(installed, page), "utf8").matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)]
    .filter(([, target]) => !existsSync(path.join(installed, path.dirname(page), target!)))
    .map(([, target]) => `${page} links to ${target}, which is not shipped`)
)
if (broken.length > 0) throw new Error(broken.join("\n"))

writeFileSync(path.join(folder, "package.json"), JSON.stringify({ type: "module" }))
writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }))
writeFileSync(
  path.join(folder, "main.ts"),
  specifiers.map((it, index) => `export * as entry${index} from "${it}"\n`).join("")
)
runOrExit("tsc", "-p", folder)

const clients: ReadonlyArray<readonly [bus: string, options: string, client: string]> = [
  ["RedisBus", `{ url: "redis://localhost" }`, "redis"],
  ["NatsBus", `{ servers: "localhost" }`, "@nats-io/transport-node"],
  ["PostgresBus", "{}", "@effect/sql-pg"]
]
for (const [bus, options, client] of clients) {
  evaluate(`
    import { Cause, Effect, Exit } from "effect"
    import { ${bus} } from "${manifest.name}/cluster"
    const exit = await Effect.runPromiseExit(Effect.scoped(${bus}.make(${options})))
    const said = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "nothing"
    if (!said.includes("npm install ${client}")) throw new Error("${bus} without ${client} says " + said)
  `)
}

console.log("package: the tarball is in order")
