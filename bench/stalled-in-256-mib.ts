/**
 * `node stalled-in-256-mib.ts [contender] [seconds]`: 100 of 1,000 members stall, again and again, under a steady load,
 * on a server that may use 256 MiB; five minutes by default. Says whether it lived, whether its memory grew, and what
 * the 900 others lost.
 */
import { readFileSync } from "node:fs"
import { contenderOf } from "./scenarios/scenario.ts"
import { summarize } from "./report/stats.ts"
import { limitMemory } from "./run/memory-limit.ts"
import { Generator, Server } from "./run/processes.ts"

const members = 1000
const stalled = 100
const perSecond = 40
const contentBytes = 8000
const limitMebibytes = 256

const [name = "rooms", secondsText = "300"] = process.argv.slice(2)
const seconds = Number(secondsText)
const contender = contenderOf(name)

// What Node would find out by itself, had it been started under the limit.
await using server = await Server.start(contender, { nodeOptions: ["--max-old-space-size=160"] })
using limit = limitMemory(server.pid, limitMebibytes)
console.log(`${contender.title}: ${limit.how}`)
await using generator = new Generator()
const opened = await generator.ask({
  kind: "open",
  port: server.port,
  serverPid: server.pid,
  dialect: contender.dialect,
  rooms: 1,
  members,
  concurrency: 64
})
if (opened.joined < members) throw new Error(`only ${opened.joined} joined: ${opened.failures[0]}`)

const mebibytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(0)
const before = await server.memory()

/** Resident mebibytes, one number a second. */
const resident: Array<number> = []
const look = setInterval(() => {
  const status = server.alive ? readFileSync(`/proc/${server.pid}/status`, "latin1") : ""
  const kibibytes = /^VmRSS:\s+(\d+)/m.exec(status)?.[1]
  if (kibibytes !== undefined) resident.push(Number(kibibytes) / 1024)
  if (resident.length % 30 === 1) console.log(`${resident.length} s: ${resident.at(-1)!.toFixed(0)} MiB resident`)
}, 1000)

const siege = generator.ask({
  kind: "siege",
  stalled,
  stallMillis: 40_000,
  load: { kind: "load", pace: { perSecond }, contentBytes, warmUpMillis: 1000, millis: seconds * 1000 }
})
const died = server.ended.then((how) => {
  throw new Error(`the server died after ${resident.length} s: ${how}`)
})
try {
  const { ended, loaded, survived } = await Promise.race([siege, died])
  // The first fifth is warming up.
  const steady = resident.slice(Math.floor(resident.length / 5))
  const part = Math.ceil(steady.length / 4)
  const [first, last] = [summarize(steady.slice(0, part)).median, summarize(steady.slice(-part)).median]
  console.log(`lived ${resident.length} s; resident ${first.toFixed(0)} MiB at first, ${last.toFixed(0)} MiB at last`)
  const after = await server.memory()
  console.log(
    `after garbage collection: heap ${mebibytes(before.heapUsed)} MiB before, ${mebibytes(after.heapUsed)} MiB afterwards, ` +
      `buffers ${mebibytes(before.external)} and ${mebibytes(after.external)} MiB`
  )
  console.log(`stalled connections: ${JSON.stringify(ended)}, still connected when they read again: ${survived}`)
  console.log(
    `the others: ${loaded.delivered} deliveries, ${loaded.lost} lost, ${loaded.ended.length} cut, ` +
      `p99 ${(loaded.latency.p99 / 1000).toFixed(1)} ms`
  )
  const holds = last < first * 1.1 && loaded.lost === 0 && loaded.ended.length === 0
  console.log(holds ? "holds: it survives, its memory is flat, the others lose nothing" : "does NOT hold")
  process.exitCode = holds ? 0 : 1
} catch (error) {
  console.log(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  clearInterval(look)
}
