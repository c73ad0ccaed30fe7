/**
 * Checks the shape of src/: which folder may import which, no cycles, internals and barrels, what needs Node, file
 * sizes. `import type` counts like any import.
 */
import { readFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import * as path from "node:path"
import { root } from "./run.ts"
import { list, read, resolve } from "./source.ts"

/** What each area of src/ may import of the others: areas, or single files. The root index.ts is a facade. */
const mayImport: Record<string, ReadonlyArray<string>> = {
  "Ref.ts": [],
  "Messages.ts": [],
  internal: ["Messages.ts"],
  channels: ["Ref.ts", "Messages.ts", "internal"],
  presence: ["Ref.ts", "Messages.ts", "internal", "channels"],
  rooms: ["Ref.ts", "Messages.ts", "internal", "channels", "presence"],
  websocket: ["Ref.ts", "Messages.ts", "internal", "channels", "presence", "rooms"],
  client: ["Ref.ts", "rooms/RoomApi.ts", "websocket/Protocol.ts"],
  cluster: ["Ref.ts", "Messages.ts", "internal", "channels", "presence", "rooms"],
  testing: ["Ref.ts", "Messages.ts", "channels", "presence", "rooms", "cluster"],
  "index.ts": ["Ref.ts", "Messages.ts", "channels", "presence", "rooms", "websocket"]
}
const needNode = new Set(["websocket", "cluster"])
const warnLines = 250
const maxLines = 400

const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly dependencies: Record<string, string>
  readonly peerDependencies: Record<string, string>
}
const declared = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)])

const files = list("src")
const known = new Set(files)
const problems: Array<string> = []
const warnings: Array<string> = []
const graph = new Map<string, ReadonlyArray<string>>()

const areaOf = (file: string): string => file.split("/")[1]!
const packageOf = (specifier: string): string => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")
const ofNode = (specifier: string): boolean => isBuiltin(specifier) || packageOf(specifier) !== "effect"

const checkPackage = (file: string, specifier: string): void => {
  const say = (text: string) => problems.push(`${file}: ${text}`)
  const name = packageOf(specifier)
  if (name === manifest.name) return void say(`imports "${specifier}", the package itself; use a relative path`)
  if (specifier.startsWith("effect/unstable")) return void say(`imports "${specifier}"; effect/unstable is gone`)
  if (!isBuiltin(specifier) && !declared.has(name)) return void say(`imports "${specifier}", which is no dependency`)
  if (isBuiltin(specifier) && !specifier.startsWith("node:"))
    return void say(`imports "${specifier}"; write "node:${specifier}"`)
  if (ofNode(specifier) && !needNode.has(areaOf(file))) {
    say(`imports "${specifier}"; only ${[...needNode].join(" and ")} may need Node`)
  }
}

const checkFile = (file: string, target: string): void => {
  const say = (text: string) => problems.push(`${file}: ${text}`)
  if (!known.has(target)) return void say(`imports ${target}, which is no file of src (write the .ts ending)`)
  const [from, to] = [areaOf(file), areaOf(target)]
  const isFacade = file === "src/index.ts"
  if (target.endsWith("/index.ts") && !isFacade) say(`imports the barrel ${target}; import the module itself`)
  if (from !== to && !(mayImport[from] ?? []).some((allowed) => target === `src/${allowed}` || to === allowed)) {
    say(`imports ${target}; ${from} may import ${(mayImport[from] ?? []).join(", ") || "nothing of src"}`)
  }
  const owner = /^(.*)\/internal\//.exec(target)?.[1]
  if (owner !== undefined && !file.startsWith(`${owner}/`) && file !== `${owner}.ts`) {
    say(`imports ${target}, which is internal to ${owner}`)
  }
}

for (const file of files) {
  const { imports, codeLines } = read(file)
  if (!(areaOf(file) in mayImport)) problems.push(`${file}: "${areaOf(file)}" has no line in scripts/check-imports.ts`)
  if (codeLines > maxLines) problems.push(`${file}: ${codeLines} lines of code, at most ${maxLines}`)
  else if (codeLines > warnLines) warnings.push(`${file}: ${codeLines} lines of code, better under ${warnLines}`)
  for (const specifier of imports) {
    if (specifier.startsWith(".")) checkFile(file, resolve(file, specifier))
    else checkPackage(file, specifier)
  }
  graph.set(
    file,
    imports.filter((it) => it.startsWith(".")).map((it) => resolve(file, it))
  )
}

const done = new Set<string>()
const findCycles = (file: string, trail: ReadonlyArray<string>): void => {
  if (trail.includes(file))
    return void problems.push(`cycle: ${[...trail.slice(trail.indexOf(file)), file].join(" -> ")}`)
  if (done.has(file)) return
  for (const next of graph.get(file) ?? []) findCycles(next, [...trail, file])
  done.add(file)
}
for (const file of files) findCycles(file, [])

// A browser loads everything the client reaches, so none of it may need Node.
const reached = new Set<string>()
const reach = (file: string): void => {
  if (reached.has(file) || !known.has(file)) return
  reached.add(file)
  for (const specifier of read(file).imports) {
    if (!specifier.startsWith(".") && ofNode(specifier))
      problems.push(`${file}: imports "${specifier}", but the client needs this file`)
  }
  graph.get(file)?.forEach(reach)
}
files.filter((file) => areaOf(file) === "client").forEach(reach)

for (const warning of warnings) console.warn(`warning: ${warning}`)
for (const problem of problems) console.error(`error: ${problem}`)
console.log(`imports: ${files.length} files, ${problems.length} problems, ${warnings.length} warnings`)
process.exitCode = problems.length === 0 ? 0 : 1
