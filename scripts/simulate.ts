/**
 * Simulates a cluster under faults, schedule after schedule, and prints what fails, made short, and a JSON result.
 *
 * `npm run simulate -- --schedules 10000 --from 1 --jobs 2`; `--kind channels` for one kind alone, by default all
 * of them in the shares of the tests. `SEED=n` with `--kind` replays one schedule.
 */
import { type ChildProcess, fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { share, type SimulationName } from "../test/support/simulationShares.ts"

/** Schedules a process runs until it says how far it is. */
const atOnce = 25
const condition = "--conditions=effect-rooms-source"

interface Task {
  readonly kind: SimulationName
  readonly seed: number
  readonly runs: number
}

interface Failure {
  readonly kind: SimulationName
  readonly seed: number
  readonly message: string
}

/** Runs what it is told, and tells what fails. */
const work = async (): Promise<void> => {
  const { simulations } = await import("../test/support/simulations.ts")
  process.on("message", ({ kind, runs, seed: from }: Task) => {
    const failures: Array<Failure> = []
    const each = Effect.forEach(
      Array.from({ length: runs }, (_, index) => from + index),
      (seed) =>
        Effect.map(Effect.exit(simulations[kind]({ seed, runs: 1 })), (exit) => {
          if (Exit.isFailure(exit)) failures.push({ kind, seed, message: String(Cause.squash(exit.cause)) })
        })
    )
    void Effect.runPromise(each).then(() => process.send!(failures))
  })
  process.send!([])
}

const isKind = (name: string): name is SimulationName => name in share

const lead = async (): Promise<void> => {
  const { values } = parseArgs({
    args: process.argv.slice(2).filter((argument) => argument !== "--"),
    options: {
      schedules: { type: "string", default: "10000" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: String(availableParallelism()) },
      kind: { type: "string" }
    }
  })
  const all = Object.keys(share).filter(isKind)
  const kinds = values.kind === undefined ? all : all.filter((kind) => kind === values.kind)
  const [schedules, from, jobs] = [values.schedules, values.from, values.jobs].map(Number)
  if (kinds.length === 0 || !(schedules! > 0) || !Number.isSafeInteger(from) || !(jobs! > 0)) {
    console.error(`--kind is one of ${all.join(", ")}; --schedules, --from and --jobs are whole numbers`)
    process.exit(2)
  }
  const replay = process.env["SEED"]
  const total = kinds.reduce((sum, kind) => sum + share[kind], 0)
  const tasks = kinds.flatMap((kind): ReadonlyArray<Task> => {
    if (replay !== undefined) return [{ kind, seed: Number(replay), runs: 1 }]
    const count = Math.ceil((schedules! * share[kind]) / total)
    return Array.from({ length: Math.ceil(count / atOnce) }, (_, index) => ({
      kind,
      seed: from! + index * atOnce,
      runs: Math.min(atOnce, count - index * atOnce)
    }))
  })
  const planned = tasks.reduce((sum, { runs }) => sum + runs, 0)
  const failures: Array<Failure> = []
  const begun = performance.now()
  const secondsSince = () => (performance.now() - begun) / 1_000
  let done = 0

  const runTasks = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child: ChildProcess = fork(fileURLToPath(import.meta.url), { execArgv: [condition] })
      let current: Task | undefined
      child.on("error", reject)
      child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a process ended with ${code}`))))
      child.on("message", (found: ReadonlyArray<Failure>) => {
        done += current?.runs ?? 0
        for (const failure of found) {
          failures.push(failure)
          console.log(`${failure.kind}: ${failure.message}\n`)
        }
        if (current !== undefined && done % 1_000 < atOnce) {
          console.log(`${done} of ${planned} schedules, ${(done / secondsSince()).toFixed(1)} in a second`)
        }
        current = tasks.shift()
        if (current === undefined) child.disconnect()
        else child.send(current)
      })
    })

  await Promise.all(Array.from({ length: Math.min(jobs!, tasks.length) }, runTasks))
  const seconds = secondsSince()
  console.log(
    JSON.stringify({
      schedules: done,
      from,
      seconds: Math.round(seconds),
      perSecond: Number((done / seconds).toFixed(1)),
      failed: failures.map(({ kind, seed }) => `${kind} ${seed}`)
    })
  )
  process.exitCode = failures.length === 0 ? 0 : 1
}

await (process.send === undefined ? lead() : work())
