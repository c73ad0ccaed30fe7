/**
 * Starts servers and the generator, each on a core of its own, and talks to them over IPC.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import type { Profiler } from "node:inspector"
import * as Os from "node:os"
import * as path from "node:path"
import type { Contender } from "../contenders.ts"
import type { ReplyOf, Request } from "../load/messages.ts"
import type { Memory, ServerReport, ServerRequest } from "../servers/report.ts"

const folder = path.resolve(import.meta.dirname, "..")

const serverCore = 0
const generatorCore = 1

const canPin = spawnSync("taskset", ["--version"]).error === undefined && Os.availableParallelism() > 1

/** How the processes share the machine, in a sentence. */
export const placement = canPin
  ? `servers run on core ${serverCore}, the generator on core ${generatorCore} (taskset)`
  : "servers and generator are NOT pinned: there is no taskset here, or one core only"

/** Options for one server process. */
export interface ServerOptions {
  readonly nodeOptions?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

const start = (core: number, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): ChildProcess => {
  const command = [process.execPath, "--disable-warning=ExperimentalWarning", ...args]
  const [program, ...rest] = canPin ? ["taskset", "-c", String(core), ...command] : command
  return spawn(program!, rest, {
    cwd: folder,
    stdio: ["ignore", 2, 2, "ipc"],
    env: { ...process.env, ...env }
  })
}

const nextMessage = <A>(child: ChildProcess, what: string): Promise<A> =>
  new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null) =>
      reject(new Error(`${what} ended with ${signal ?? code}`))
    child.once("exit", onExit)
    child.once("message", (message) => {
      child.off("exit", onExit)
      resolve(message as A)
    })
  })

/** Ends a process that was started here, and waits for it. */
const stop = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

/** Runs a program on the servers' core until it has said one thing. */
export const runOnServerCore = <A>(args: ReadonlyArray<string>): Promise<A> =>
  nextMessage<A>(start(serverCore, args), args[0]!)

/** A server of one contender. */
export class Server implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly contender: Contender
  readonly port: number

  private constructor(child: ChildProcess, contender: Contender, port: number) {
    this.#child = child
    this.contender = contender
    this.port = port
  }

  static async start(contender: Contender, { env, nodeOptions = [] }: ServerOptions = {}): Promise<Server> {
    const child = start(serverCore, ["--expose-gc", ...nodeOptions, path.join("servers", contender.file)], env)
    const report = await nextMessage<ServerReport>(child, contender.name)
    if (!("port" in report)) throw new Error(`${contender.name} did not tell its port`)
    return new Server(child, contender, report.port)
  }

  get pid(): number {
    return this.#child.pid!
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** How the process ended, once it has. */
  get ended(): Promise<string> {
    return new Promise((resolve) => this.#child.once("exit", (code, signal) => resolve(String(signal ?? code))))
  }

  async #ask(request: ServerRequest): Promise<ServerReport> {
    const answer = nextMessage<ServerReport>(this.#child, this.contender.name)
    this.#child.send(request)
    return answer
  }

  /** Bytes after garbage collection. */
  async memory(): Promise<Memory> {
    const report = await this.#ask("memory")
    if (!("memory" in report)) throw new Error(`${this.contender.name} did not tell its memory`)
    return report.memory
  }

  /** A CPU profile of what happens meanwhile. */
  async profile(meanwhile: () => Promise<unknown>): Promise<Profiler.Profile> {
    await this.#ask("profile")
    await meanwhile()
    const report = await this.#ask("profile-end")
    if (!("profile" in report)) throw new Error(`${this.contender.name} sent no profile`)
    return report.profile
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child)
  }
}

/** A Redis of its own, on the servers' core. */
export class Redis implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly port: number

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  static async start(): Promise<Redis> {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const command = ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", ""]
    const [program, ...rest] = canPin ? ["taskset", "-c", String(serverCore), ...command] : command
    const child = spawn(program!, rest, { stdio: ["ignore", "pipe", 2] })
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject)
      child.once("exit", () => reject(new Error("redis-server ended: is it installed?")))
      child.stdout!.on("data", (text: Buffer) => String(text).includes("Ready to accept connections") && resolve())
    })
    return new Redis(child, port)
  }

  get pid(): number {
    return this.#child.pid!
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child)
  }
}

/** The process that plays all clients. */
export class Generator implements AsyncDisposable {
  readonly #child = start(generatorCore, ["--max-semi-space-size=64", path.join("load", "generator.ts")])

  async ask<R extends Request>(request: R): Promise<ReplyOf<R>> {
    const answer = nextMessage<{ readonly reply: ReplyOf<R> } | { readonly error: string }>(
      this.#child,
      "the generator"
    )
    this.#child.send(request)
    const result = await answer
    if ("error" in result) throw new Error(result.error)
    return result.reply
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stop(this.#child)
  }
}
