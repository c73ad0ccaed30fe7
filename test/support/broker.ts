/**
 * A broker for one test file: a private server process from an installed binary, on a free port and in a directory of
 * its own, that can be killed, stopped in mid-air and started again where it was.
 *
 * What is particular to a broker is a `Program`; see `redisServer.ts`.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { beforeEach } from "vitest"

/** A user other than the one who runs the tests. */
export interface User {
  readonly uid: number
  readonly gid: number
}

/** How a broker is started. */
export interface Program {
  readonly name: string
  /** The binary with its arguments. The process runs in the directory, and nothing else in it is kept. */
  readonly command: (port: number, directory: string) => readonly [file: string, ...args: ReadonlyArray<string>]
  /** Printed once it takes connections, on either stream. */
  readonly ready: RegExp
  /** Commands that run to their end in a new directory before the server starts in it, such as `initdb`. */
  readonly prepare?: (directory: string) => ReadonlyArray<readonly [file: string, ...args: ReadonlyArray<string>]>
  /** Owns the directory and runs everything; by default who runs the tests. */
  readonly user?: User | undefined
}

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The file of a binary on PATH or in one of the other folders; `undefined` where it is not installed. */
export const findBinary = (name: string, folders: ReadonlyArray<string> = []): string | undefined =>
  [...(process.env.PATH ?? "").split(path.delimiter), ...folders]
    .map((folder) => path.join(folder, name))
    .find(isExecutable)

/** Says which binary a test file needs; `undefined` where it is installed. */
export const missingBinary = (name: string, file: string | undefined): string | undefined =>
  file === undefined ? `${name} is not installed (looked for it on PATH)` : undefined

/** Skips the tests of the file that calls it, or of the suite, by the reason; `undefined` skips none. */
export const skipWhere = (missing: string | undefined): void => {
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing)
  })
}

/**
 * A port nobody listens on. It is below those the system gives to clients: a client that dials a dead server of its own
 * host from such a port can connect to itself.
 */
const freePort = async (): Promise<number> => {
  const port = 10_000 + Math.floor(Math.random() * 20_000)
  const server = createServer()
  const free = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => resolve(true))
  })
  if (!free) return freePort()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Whether no thread of a process runs any more: a signal takes its time on another core. Where nobody tells, it is. */
const isStopped = (pid: number): boolean => {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1")
      return stat[stat.lastIndexOf(")") + 2] === "T"
    })
  } catch {
    return true
  }
}

/** The process and all that descend from it, where the system tells (`/proc`); else the process. */
const family = (pid: number): ReadonlyArray<number> => {
  const children = new Map<number, Array<number>>()
  try {
    for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
      const parent = parentOf(name)
      if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)])
    }
  } catch {
    return [pid]
  }
  const all = [pid]
  for (const member of all) all.push(...(children.get(member) ?? []))
  return all
}

const parentOf = (pid: string): number | undefined => {
  try {
    // "4711 (name with ) and spaces) S 1 …": the parent is the second word after the last bracket.
    return Number(/.*\) \S+ (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1])
  } catch {
    return undefined
  }
}

const signalTo = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

/** A broker that runs, or was killed. Disposing of it leaves neither process nor directory. */
export class Broker implements AsyncDisposable {
  readonly name: string
  readonly port: number
  readonly #program: Program
  #directory: string | undefined
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #output = ""

  constructor(program: Program, port: number) {
    this.name = program.name
    this.port = port
    this.#program = program
  }

  /** The directory of the server; another one after `start`, unless it was kept. */
  get directory(): string {
    if (this.#directory === undefined) throw new Error(`${this.name} has no directory`)
    return this.#directory
  }

  /** What the servers of this broker have printed, and what prepared their directories. */
  get output(): string {
    return this.#output
  }

  /** Starts the server on its port, in an empty directory or, with `keep`, in that of its predecessor. */
  async start(options: { readonly keep?: boolean } = {}): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.name} runs already`)
    if (options.keep !== true || this.#directory === undefined) await this.#makeDirectory()
    const directory = this.#directory!
    const printed = this.#output.length
    const [child, ended] = this.#spawn(this.#program.command(this.port, directory), directory)
    this.#child = child
    this.#ended = ended
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (this.#program.ready.test(this.#output.slice(printed))) resolve()
      }
      child.stdout!.on("data", look)
      child.stderr!.on("data", look)
      ended.then(
        () => reject(new Error(`${this.name} ended before it was ready\n${this.#output.slice(printed)}`)),
        reject
      )
    }).catch((error) => {
      this.#child = undefined
      throw error
    })
  }

  /** Kills the server (SIGKILL) with all its processes, as a power failure does; done when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    this.#child = undefined
    this.#signal(child, "SIGKILL")
    await this.#ended
  }

  /** Kills the server and starts it anew, with nothing of what it knew. */
  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Stops all its processes in mid-air (SIGSTOP): sockets stay open, and from this call on nobody answers. */
  stall(): void {
    const child = this.#running()
    this.#signal(child, "SIGSTOP")
    const deadline = performance.now() + 5_000
    for (const pid of family(child.pid!)) while (!isStopped(pid) && performance.now() < deadline);
  }

  /** Lets it go on (SIGCONT). */
  resume(): void {
    this.#signal(this.#running(), "SIGCONT")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true })
    this.#directory = undefined
  }

  #running(): ChildProcess {
    if (this.#child === undefined) throw new Error(`${this.name} does not run`)
    return this.#child
  }

  #signal(child: ChildProcess, signal: NodeJS.Signals): void {
    for (const pid of family(child.pid!)) signalTo(pid, signal)
  }

  async #makeDirectory(): Promise<void> {
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true })
    const directory = mkdtempSync(path.join(tmpdir(), `${this.name}-`))
    this.#directory = directory
    const { user } = this.#program
    if (user !== undefined) chownSync(directory, user.uid, user.gid)
    for (const command of this.#program.prepare?.(directory) ?? []) {
      const [, ended] = this.#spawn(command, directory)
      const code = await ended
      if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}\n${this.#output}`)
    }
  }

  #spawn(
    [file, ...args]: readonly [string, ...ReadonlyArray<string>],
    directory: string
  ): readonly [ChildProcess, Promise<number | null>] {
    const child = spawn(file, args, {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      ...this.#program.user
    })
    const kill = () => this.#signal(child, "SIGKILL")
    // A run that is cut short leaves no server behind.
    process.once("exit", kill)
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject)
      child.once("close", (code) => resolve(code))
    }).finally(() => process.off("exit", kill))
    ended.catch(() => {})
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text
      })
    }
    return [child, ended]
  }
}

/** Starts a broker on a free port; done when it takes connections. */
export const startBroker = async (program: Program): Promise<Broker> => {
  const broker = new Broker(program, await freePort())
  try {
    await broker.start()
  } catch (error) {
    await broker[Symbol.asyncDispose]()
    throw error
  }
  return broker
}
