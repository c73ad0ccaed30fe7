/**
 * The fault test of a cluster of real processes: nodes, a broker and clients, faults by a schedule, and a verdict.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { type BusName, type BusServer, startBus } from "./brokers.ts"
import { check, describe, type Violation } from "./checker.ts"
import { Crowd } from "./crowd.ts"
import { History } from "./history.ts"
import { NodeProcess } from "./nodeProcess.ts"
import { describeFault, type Fault, type FaultKind, makeSchedule } from "./schedule.ts"
import { type Report, reportOf } from "./report.ts"
import { differences } from "./views.ts"

export interface Options {
  readonly bus: BusName
  readonly seed: number
  /** How long things go wrong. */
  readonly seconds: number
  readonly clients?: number | undefined
  readonly rooms?: number | undefined
  /** Messages each client says in a second. */
  readonly rate?: number | undefined
  readonly kinds?: ReadonlyArray<FaultKind> | undefined
  /** Is told what is being done. */
  readonly log?: ((line: string) => void) | undefined
}

const names = ["a", "b", "c"]
/** Milliseconds in which everything has to be known everywhere after the last fault. */
export const convergeWithin = 15_000
/** Milliseconds in which what has not arrived has to be told as missing. */
const settleWithin = 10_000
const startWithin = 60_000
/** Milliseconds between killing and starting again. */
const pause = { node: 500, broker: 1_000 }
const poll = 100
/** The share of the clients that leaves at the beginning. */
const leaving = 0.05

/** Asks until nothing is wrong, and answers what still is when the time is over, and how long it took. */
const untilNothing = async (
  within: number,
  ask: () => Promise<ReadonlyArray<string>>
): Promise<readonly [wrong: ReadonlyArray<string>, millis: number]> => {
  const began = performance.now()
  for (;;) {
    const wrong = await ask()
    const millis = performance.now() - began
    if (wrong.length === 0 || millis >= within) return [wrong, millis]
    await sleep(poll)
  }
}

class Nemesis {
  readonly history = new History()
  readonly problems: Array<string> = []
  readonly options: Options
  readonly bus: BusServer
  readonly nodes: ReadonlyArray<NodeProcess>
  readonly crowd: Crowd
  /** How long nodes took to stop. */
  readonly stops: Array<number> = []
  /** By target, what has to be over before the next fault of it. */
  readonly #busy = new Map<string, Promise<void>>()

  constructor(options: Options, bus: BusServer) {
    this.options = options
    this.bus = bus
    const onProblem = (problem: string) => void this.problems.push(problem)
    const { clients = 300, rate = 0.5, rooms = 20, seed } = options
    const settings = { BUS: bus.address, CLUSTER_SECRET: "of this test", ROOMS: String(rooms) }
    const { history } = this
    this.nodes = names.map((name) => new NodeProcess({ name, settings, history, onProblem }))
    this.crowd = new Crowd({ history, nodes: this.nodes, clients, rooms, rate, seed, onProblem })
  }

  say(line: string): void {
    this.options.log?.(`${seconds(performance.now() - this.history.startedAt)}: ${line}`)
  }

  /** What is wrong with what nodes know. */
  async differences(): Promise<ReadonlyArray<string>> {
    const { crowd, nodes } = this
    const [first, ...others] = crowd.absent
    if (first !== undefined) return [`${others.length + 1} clients are not in their rooms, such as ${first.session}`]
    const views = await Promise.all(nodes.map((node) => node.view().catch((error: unknown) => String(error))))
    const truth = { up: names, sessions: crowd.sessions, userOf: (session: string) => crowd.userOf(session) }
    return views.flatMap((view, index) =>
      (typeof view === "string" ? [view] : differences(view, truth)).map((text) => `${names[index]}: ${text}`)
    )
  }

  /** Does a fault, once the one before it at the same place is over; done when it is undone. */
  do(fault: Fault): Promise<void> {
    const target = "node" in fault ? names[fault.node]! : "share" in fault ? "clients" : "broker"
    const done = (this.#busy.get(target) ?? Promise.resolve()).then(() => this.#do(fault))
    // Clients may have several at a time.
    if (target !== "clients") this.#busy.set(target, done)
    return done
  }

  async #do(fault: Fault): Promise<void> {
    const { bus, crowd, nodes } = this
    this.say(describeFault(fault))
    switch (fault.kind) {
      case "kill node": {
        await nodes[fault.node]!.kill()
        await sleep(pause.node)
        await nodes[fault.node]!.start()
        return this.say(`${names[fault.node]} runs again`)
      }
      case "stop node": {
        this.stops.push(await nodes[fault.node]!.stop())
        await nodes[fault.node]!.start()
        return this.say(`${names[fault.node]} runs again`)
      }
      case "freeze node":
      case "sleep node": {
        nodes[fault.node]!.freeze()
        await sleep(fault.millis)
        return nodes[fault.node]!.thaw()
      }
      case "kill broker": {
        await bus.broker.kill()
        await sleep(pause.broker)
        await bus.restart()
        return this.say("the broker runs again")
      }
      case "freeze broker": {
        bus.broker.stall()
        await sleep(fault.millis)
        return bus.broker.resume()
      }
      case "reset clients": {
        for (const client of crowd.some(fault.share, fault.seed)) client.reset()
        return
      }
      case "stall clients":
        await Promise.all(crowd.some(fault.share, fault.seed).map((client) => client.stall(fault.millis)))
    }
  }

  /** Does all faults at their times; done when all are undone. */
  async rage(faults: ReadonlyArray<Fault>): Promise<void> {
    const began = performance.now()
    const done: Array<Promise<void>> = []
    for (const fault of faults) {
      await sleep(Math.max(0, began + fault.at - performance.now()))
      const over = this.do(fault)
      over.catch(() => {})
      done.push(over)
    }
    await Promise.all(done)
  }

  /** What must have arrived, or be told as missing, and is not. */
  get unsettled(): ReadonlyArray<string> {
    const open = new Set(Array.from(this.history.connections.values()).filter(({ closedAt }) => closedAt === undefined))
    const waiting = this.history.said.filter(
      ({ by, reached }) => reached === undefined && open.has(this.history.connections.get(by)!)
    )
    if (waiting.length > 0) return [`${waiting.length} messages are not acknowledged, such as ${waiting[0]!.by}`]
    return check(this.history).map(describe)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crowd[Symbol.asyncDispose]()
    for (const node of this.nodes) await node[Symbol.asyncDispose]()
  }
}

/** Runs the test once and answers what was found. */
export const runNemesis = async (options: Options): Promise<Report> => {
  const began = performance.now()
  const faults = makeSchedule({ ...options, nodes: names.length })
  await using bus = await startBus(options.bus)
  await using nemesis = new Nemesis(options, bus)
  const { crowd, history, nodes, problems } = nemesis

  await Promise.all(nodes.map((node) => node.start()))
  await crowd.come()
  const [unready] = await untilNothing(startWithin, () => nemesis.differences())
  if (unready.length > 0) throw new Error(`the cluster did not come up: ${[...unready, ...problems].join("; ")}`)
  const startedAfter = performance.now() - began
  history.startedAt = performance.now()
  nemesis.say(`${crowd.clients.length} clients are on ${nodes.length} nodes after ${seconds(startedAfter)}`)

  crowd.talk()
  // They are gone for everybody in the end, also where nobody has said so.
  crowd.dismiss(leaving)
  await nemesis.rage(faults)
  nemesis.say("the last fault is over")
  const [different, convergedAfter] = await untilNothing(convergeWithin, () => nemesis.differences())
  problems.push(...different.map((text) => `after ${seconds(convergedAfter)} still: ${text}`))
  crowd.beQuiet()
  const [unsettled, settledAfter] = await untilNothing(settleWithin, () => Promise.resolve(nemesis.unsettled))
  const checkBegan = performance.now()
  const violations: ReadonlyArray<Violation> = check(history)
  const checkedIn = performance.now() - checkBegan
  if (violations.length === 0) problems.push(...unsettled)

  await crowd[Symbol.asyncDispose]()
  for (const node of nodes) {
    if (node.life === undefined) problems.push(`${node.name} does not run`)
    else nemesis.stops.push(await node.stop())
  }
  return reportOf({
    options,
    faults,
    history,
    violations,
    problems,
    codes: crowd.codes,
    stops: nemesis.stops,
    times: { startedAfter, convergedAfter, settledAfter, checkedIn, tookAll: performance.now() - began },
    converged: different.length === 0
  })
}

const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`
