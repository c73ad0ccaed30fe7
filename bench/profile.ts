/**
 * Where the time of a server goes: `node profile.ts <contender> <what>`, where what is `storm`, `churn`, or
 * `<members>x<publishers>` for one room, `<members>x<publishers>x<rooms>` for many; `100x32` by default. Prints the
 * functions by self time; the profile stays in results/, for a browser's tools.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import type { Profiler } from "node:inspector"
import * as path from "node:path"
import { Generator, Server } from "./run/processes.ts"
import { contenderOf } from "./scenarios/scenario.ts"

/** Self time by function, in shares of the time that was not idle. */
const bySelfTime = (profile: Profiler.Profile): ReadonlyArray<{ readonly name: string; readonly share: number }> => {
  const names = new Map<number, string>()
  for (const { callFrame, id } of profile.nodes) {
    const file = callFrame.url.replace(/^file:\/\//, "").replace(/^.*\/node_modules\//, "")
    const where =
      file === ""
        ? ""
        : ` ${path.isAbsolute(file) ? path.relative(process.cwd(), file) : file}:${callFrame.lineNumber + 1}`
    names.set(id, `${callFrame.functionName || "(anonymous)"}${where}`)
  }
  const times = new Map<string, number>()
  let total = 0
  for (const [index, id] of profile.samples!.entries()) {
    const name = names.get(id)!
    if (name === "(idle)") continue
    const time = profile.timeDeltas![index]!
    total += time
    times.set(name, (times.get(name) ?? 0) + time)
  }
  return [...times].map(([name, time]) => ({ name, share: time / total })).toSorted((a, b) => b.share - a.share)
}

const [name = "rooms", what = "100x32"] = process.argv.slice(2)
const contender = contenderOf(name)
await using server = await Server.start(contender)
await using generator = new Generator()

const open = (rooms: number, members: number) =>
  generator.ask({
    kind: "open",
    port: server.port,
    serverPid: server.pid,
    dialect: contender.dialect,
    rooms,
    members,
    concurrency: 64
  })

/** What is profiled, after it has been warmed up. */
const prepare = async (): Promise<() => Promise<unknown>> => {
  if (what === "storm") {
    await open(300, 10)
    return () => open(500, 10)
  }
  if (what === "churn") {
    await open(20, 10)
    const churn = (millis: number) => generator.ask({ kind: "churn", clients: 200, warmUpMillis: 0, millis })
    await churn(2000)
    return () => churn(4000)
  }
  const [members, inFlight, rooms = 1] = what.split("x").map(Number)
  await open(rooms, members!)
  const load = (millis: number) =>
    generator.ask({ kind: "load", pace: { inFlight: inFlight! }, contentBytes: 64, warmUpMillis: 0, millis })
  await load(3000)
  return () => load(4000)
}

const profile = await server.profile(await prepare())
const folder = path.resolve(import.meta.dirname, "results")
const file = path.join(folder, `${name}-${what}.cpuprofile`)
mkdirSync(folder, { recursive: true })
writeFileSync(file, JSON.stringify(profile))
console.log(`${contender.title}, ${what}: ${path.relative(process.cwd(), file)}`)
for (const { name: frame, share } of bySelfTime(profile).slice(0, 25)) {
  console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${frame}`)
}
