/**
 * Checks the package as a user gets it: packs it (which builds it), lints the tarball with publint and
 * arethetypeswrong, unpacks it beside its dependencies and imports every entry point.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { root, run, runOrExit } from "./run.ts"

const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly exports: Record<string, unknown>
}
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
for (const name of readdirSync(path.join(root, "node_modules"))) {
  if (name !== manifest.name && !name.startsWith(".")) {
    symlinkSync(path.join(root, "node_modules", name), path.join(modules, name), "junction")
  }
}
const entries = Object.keys(manifest.exports).filter((entry) => entry !== "./package.json" && !entry.includes("*"))
for (const entry of entries) {
  const specifier = path.posix.join(manifest.name, entry)
  const code = `console.log(${JSON.stringify(specifier)}, Object.keys(await import(${JSON.stringify(specifier)})).length, "exports")`
  execFileSync(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder, stdio: "inherit" })
}
console.log("package: the tarball is in order")
