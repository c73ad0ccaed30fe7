/**
 * One node of the fault test: a process that is killed, frozen, stopped and started again, and what it has said.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { History, Life } from "./history.ts"
import type { NodeSettings } from "./protocol.ts"
import type { View } from "./views.ts"

const script = fileURLToPath(new URL("./server.ts", import.meta.url))

/** What a process ends with that `NodeRuntime` has interrupted by SIGTERM. */
const interrupted = 130
/** Milliseconds a node may take over its goodbye. */
const goodbye = 10_000

/** What nodes may warn of while things go wrong around them. Nothing is an error. */
const expected: ReadonlyArray<RegExp> = [
  /^a node is down$/,
  /^this node did not run for so long that the others take it for gone/,
  /^the event bus \(\w+\) does not work/,
  /^the event bus does not take messages for the other nodes/,
  /^a connection to the event bus \(\w+\) that was given up does not close$/
]

interface LogLine {
  readonly level: string
  readonly message: unknown
  readonly cause?: string
}

interface Run {
  readonly child: ChildProcess
  readonly life: Life
  readonly port: number
  readonly ended: Promise<string>
}

export interface NodeProcessOptions {
  readonly name: string
  readonly settings: Omit<NodeSettings, "NODE_NAME">
  readonly history: History
  /** Something that must not be. */
  readonly onProblem: (problem: string) => void
}

export class NodeProcess implements AsyncDisposable {
  readonly name: string
  readonly #options: NodeProcessOptions
  #run: Run | undefined
  #runs = 0
  /** Nobody has told it to end. */
  #mayNotEnd = false
  frozen = false

  constructor(options: NodeProcessOptions) {
    this.name = options.name
    this.#options = options
  }

  /** The run that takes connections; also while it is frozen. */
  get life(): Life | undefined {
    return this.#run?.life
  }

  get port(): number {
    return this.#running.port
  }

  get #running(): Run {
    if (this.#run === undefined) throw new Error(`${this.name} does not run`)
    return this.#run
  }

  #problem(text: string): void {
    this.#options.onProblem(`${this.name}${this.#runs}: ${text}`)
  }

  /** Starts the process; done when it listens. */
  async start(): Promise<void> {
    if (this.#run !== undefined) throw new Error(`${this.name} runs already`)
    const { history, settings } = this.#options
    this.#runs++
    const env = { ...process.env, ...settings, NODE_NAME: this.name }
    const child = spawn(process.execPath, ["--conditions=effect-rooms-source", script], {
      env,
      stdio: ["ignore", "pipe", "pipe"]
    })
    const kill = () => child.kill("SIGKILL")
    // A run that is cut short leaves no process behind.
    process.once("exit", kill)
    const life = history.begin(`${this.name}${this.#runs}`)
    const listening = Promise.withResolvers<number>()
    createInterface(child.stdout).on("line", (line) => this.#hear(line, listening.resolve))
    createInterface(child.stderr).on("line", (line) => this.#problem(`printed ${line}`))
    this.#mayNotEnd = true
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => this.#problem(error.message))
      child.once("close", (code, signal) => {
        process.off("exit", kill)
        life.endedAt ??= performance.now()
        const how = String(code ?? signal)
        if (this.#mayNotEnd) this.#problem(`ended by itself: ${how}`)
        if (this.#run?.child === child) this.#run = undefined
        listening.reject(new Error(`${life.id} ended before it listened: ${how}`))
        resolve(how)
      })
    })
    listening.promise.catch(() => {})
    const port = await listening.promise
    this.#run = { child, life, port, ended }
  }

  #hear(line: string, onPort: (port: number) => void): void {
    let said: Partial<LogLine> & { readonly port?: number }
    try {
      said = JSON.parse(line)
    } catch {
      return this.#problem(`printed ${line}`)
    }
    if (said.port !== undefined) return onPort(said.port)
    const text = [said.message]
      .flat()
      .map((part) => (typeof part === "string" ? part : JSON.stringify(part)))
      .join(" ")
    const isLoud = said.level !== "INFO" && said.level !== "DEBUG" && said.level !== "TRACE"
    const isExpected = said.level === "WARN" && expected.some((pattern) => pattern.test(text))
    if (isLoud && !isExpected) this.#problem(`logged ${said.level}: ${text} ${said.cause?.split("\n")[0] ?? ""}`)
  }

  /** Kills the process with nothing of its work done. */
  async kill(): Promise<void> {
    const { child, ended, life } = this.#running
    this.#mayNotEnd = false
    life.endedAt = performance.now()
    child.kill("SIGKILL")
    await ended
  }

  /** Asks the process to stop; answers the milliseconds it took. */
  async stop(): Promise<number> {
    const { child, ended, life } = this.#running
    const began = performance.now()
    this.#mayNotEnd = false
    life.endedAt = began
    // No client is sent there any more.
    this.#run = undefined
    child.kill("SIGTERM")
    const late = setTimeout(() => {
      this.#problem(`has not stopped ${goodbye} ms after SIGTERM`)
      child.kill("SIGKILL")
    }, goodbye)
    const how = await ended
    clearTimeout(late)
    if (how !== String(interrupted)) this.#problem(`ended with ${how} after SIGTERM`)
    return performance.now() - began
  }

  freeze(): void {
    this.frozen = true
    this.#running.child.kill("SIGSTOP")
  }

  thaw(): void {
    this.frozen = false
    this.#running.child.kill("SIGCONT")
  }

  /** What the node knows of the cluster. */
  async view(): Promise<View> {
    const response = await fetch(`http://127.0.0.1:${this.port}/view`, { signal: AbortSignal.timeout(5_000) })
    if (!response.ok) throw new Error(`${this.name} answers ${response.status}`)
    return (await response.json()) as View
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#run !== undefined) await this.kill()
  }
}
