/**
 * Bounds the memory of one process: with a cgroup below this process's own where that is allowed, else with a limit on
 * its data segment.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import * as path from "node:path"

export interface MemoryLimit extends Disposable {
  /** In a sentence. */
  readonly how: string
}

interface Cgroup {
  readonly folder: string
  readonly limitFile: string
}

/** The cgroup this process is in; version 2 has one hierarchy, version 1 one for memory. */
const ownCgroup = (): Cgroup | undefined => {
  for (const line of readFileSync("/proc/self/cgroup", "latin1").split("\n")) {
    const [, controllers, name] = line.split(":")
    if (name === undefined) continue
    if (controllers === "memory") {
      return { folder: path.join("/sys/fs/cgroup/memory", name), limitFile: "memory.limit_in_bytes" }
    }
    const folder = path.join("/sys/fs/cgroup", name)
    if (controllers === "" && existsSync(path.join(folder, "memory.max"))) return { folder, limitFile: "memory.max" }
  }
  return undefined
}

/** A process that is just ending keeps its cgroup for a moment. */
const removeFolder = (folder: string): void => {
  for (let attempt = 1; ; attempt++) {
    try {
      return rmdirSync(folder)
    } catch (error) {
      if (attempt === 20) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    }
  }
}

const inCgroup = (pid: number, mebibytes: number): MemoryLimit | undefined => {
  const own = ownCgroup()
  if (own === undefined) return undefined
  const folder = path.join(own.folder, `effect-rooms-bench-${pid}`)
  try {
    mkdirSync(folder)
    writeFileSync(path.join(folder, own.limitFile), String(mebibytes * 1024 * 1024))
    writeFileSync(path.join(folder, "cgroup.procs"), String(pid))
  } catch {
    if (existsSync(folder)) removeFolder(folder)
    return undefined
  }
  const remove = () => {
    process.off("exit", remove)
    try {
      writeFileSync(path.join(own.folder, "cgroup.procs"), String(pid))
    } catch {
      // It is not alive any more, so it is in no cgroup.
    }
    removeFolder(folder)
  }
  // A signal ends this process without disposing of anything.
  process.once("exit", remove)
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
  return { how: `limited to ${mebibytes} MiB by a cgroup (${own.limitFile})`, [Symbol.dispose]: remove }
}

/** Limits a process that runs already. */
export const limitMemory = (pid: number, mebibytes: number): MemoryLimit => {
  const cgroup = inCgroup(pid, mebibytes)
  if (cgroup !== undefined) return cgroup
  const { error, status } = spawnSync("prlimit", [`--pid=${pid}`, `--data=${mebibytes * 1024 * 1024}`])
  if (error !== undefined || status !== 0) throw new Error("neither a cgroup nor prlimit can limit memory here")
  return {
    how: `limited to ${mebibytes} MiB of data by prlimit: no cgroup can be made here`,
    [Symbol.dispose]: () => {}
  }
}
