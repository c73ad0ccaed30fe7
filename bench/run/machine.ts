/**
 * What the numbers were measured on.
 */
import { spawnSync } from "node:child_process"
import * as Os from "node:os"
import * as path from "node:path"

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGibibytes: number
  readonly system: string
  readonly node: string
  readonly date: string
  readonly commit: string
}

const git = (...args: ReadonlyArray<string>): string => {
  const { stdout } = spawnSync("git", args, { cwd: path.resolve(import.meta.dirname, "../.."), encoding: "utf8" })
  return (stdout ?? "").trim()
}

const commit = (): string => {
  const head = git("rev-parse", "--short", "HEAD")
  if (head === "") return "unknown"
  return git("status", "--porcelain", "src") === "" ? head : `${head} with changes`
}

export const machine = (): Machine => ({
  cpu: Os.cpus()[0]?.model.trim() ?? "unknown",
  cores: Os.availableParallelism(),
  memoryGibibytes: Math.round(Os.totalmem() / 2 ** 30),
  system: `${Os.type()} ${Os.release()} ${Os.arch()}`,
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
  commit: commit()
})

export const describe = (it: Machine): string =>
  `${it.date}, commit ${it.commit}, ${it.cpu}, ${it.cores} cores, ${it.memoryGibibytes} GiB, ${it.system}, Node ${it.node}`
