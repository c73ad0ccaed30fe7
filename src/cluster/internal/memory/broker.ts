/**
 * The broker of a simulated network: who is connected, who subscribes to what, and what becomes of a message. One call
 * is one step; what takes time goes through `Deliveries`.
 */
import * as Deferred from "effect/Deferred"
import * as Exit from "effect/Exit"
import { BusRefused, EventBusError } from "../../EventBusError.ts"
import { unreachable } from "../bus/ask.ts"
import type { DriverEvents } from "../bus/driver.ts"
import type { Deliveries } from "./deliveries.ts"
import { draw, type Faults, none } from "./faults.ts"

/** A process of a node: the same name may come again after a crash. */
export class Machine {
  readonly name: string
  /** Nothing it says is heard any more, and it hears nothing. */
  crashed = false

  constructor(name: string) {
    this.name = name
  }
}

/** A connection of a machine, as the broker sees it. */
export class Connection {
  readonly machine: Machine
  readonly events: DriverEvents
  readonly lost: Deferred.Deferred<never, EventBusError>
  readonly topics = new Set<string>()
  /** When the latest message of a machine arrives, so that later ones do not overtake it. */
  readonly arrivals = new WeakMap<Machine, number>()
  /** Topics of which messages were dropped, as the machine is about to be told. */
  readonly overflowing = new Set<string>()
  /** When the latest commands are carried out; listening is not in the way of publishing. */
  readonly latest = { publish: 0, listen: 0 }
  /** What waits until the broker and the machine's network go on. */
  held: Array<() => void> = []
  isOpen = true

  constructor(machine: Machine, events: DriverEvents, lost: Deferred.Deferred<never, EventBusError>) {
    this.machine = machine
    this.events = events
    this.lost = lost
  }
}

type Answer = (exit: Exit.Exit<void, EventBusError>) => void

const refused = (detail: string) => new EventBusError({ reason: new BusRefused({ detail }) })

/** Milliseconds more that a message may take that is overtaken. */
const overtaken = 10

export interface BrokerOptions {
  readonly deliveries: Deliveries
  readonly random: () => number
  /** Messages under way to the broker or from it, at most. */
  readonly maxInFlight: number
}

export class Broker {
  readonly #options: BrokerOptions
  readonly #connections = new Set<Connection>()
  /** In order of subscription. */
  readonly #subscribers = new Map<string, Set<Connection>>()
  readonly #cuts = new Map<string, Set<string>>()
  readonly #stalled = new Set<string>()
  readonly #late = new Map<string, number>()
  readonly #refused = { publish: new Set<string>(), subscribe: new Set<string>() }
  #isStalled = false
  #isUp = true
  #dialsToRefuse = 0
  faults: Faults = none
  /** Payloads the broker took, by topic. */
  readonly published = new Map<string, number>()
  /** Attempts to connect. */
  dials = 0
  inFlight = 0
  /** Messages dropped because too many were under way. */
  overflows = 0

  constructor(options: BrokerOptions) {
    this.#options = options
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections
  }

  // What a machine does. An answer comes once, or never.

  connect(connection: Connection, answer: Answer): void {
    this.dials++
    this.#command(connection, "listen", () => {
      if (!this.#isUp || this.#dialsToRefuse > 0) {
        this.#dialsToRefuse--
        connection.isOpen = false
        return answer(Exit.fail(unreachable("connection refused")))
      }
      this.#connections.add(connection)
      answer(Exit.void)
    })
  }

  /** The machine closes its connection. */
  disconnect(connection: Connection): void {
    connection.isOpen = false
    this.#connections.delete(connection)
    for (const topic of connection.topics) this.#leave(connection, topic)
    this.#release(connection)
  }

  publish(connection: Connection, topic: string, payload: string, answer: Answer): void {
    if (this.inFlight >= this.#options.maxInFlight) {
      this.overflows++
      return answer(Exit.fail(unreachable("too much is under way")))
    }
    this.inFlight++
    this.#command(connection, "publish", () => {
      this.inFlight--
      if (!isAlive(connection)) return
      if (this.#refused.publish.has(topic)) return answer(Exit.fail(refused("no permission to publish")))
      this.published.set(topic, (this.published.get(topic) ?? 0) + 1)
      const subscribers = this.#subscribers.get(topic)
      if (subscribers !== undefined) for (const to of subscribers) this.#send(connection, to, topic, payload)
      answer(Exit.void)
    })
  }

  subscribe(connection: Connection, topics: ReadonlyArray<string>, answer: Answer): void {
    const subscribe = () => {
      if (!isAlive(connection)) return
      if (topics.some((topic) => this.#refused.subscribe.has(topic)))
        return answer(Exit.fail(refused("no permission to subscribe")))
      for (const topic of topics) {
        const subscribers = this.#subscribers.get(topic)
        if (subscribers === undefined) this.#subscribers.set(topic, new Set([connection]))
        else subscribers.add(connection)
        connection.topics.add(topic)
      }
      answer(Exit.void)
    }
    this.#command(connection, "listen", subscribe, this.#late.get(connection.machine.name))
  }

  unsubscribe(connection: Connection, topics: ReadonlyArray<string>, answer: Answer): void {
    this.#command(connection, "listen", () => {
      if (!isAlive(connection)) return
      for (const topic of topics) this.#leave(connection, topic)
      answer(Exit.void)
    })
  }

  // What is done to the network.

  /** The broker is gone at once, and with it everything it knew. */
  crash(): void {
    this.#isUp = false
    this.cut()
    this.resume()
  }

  restart(): void {
    this.#isUp = true
  }

  /** Ends the connections of a node, or of all; the machines see that. */
  cut(node?: string): void {
    for (const connection of Array.from(this.#connections)) {
      if (node !== undefined && connection.machine.name !== node) continue
      this.disconnect(connection)
      if (!connection.machine.crashed) Deferred.doneUnsafe(connection.lost, Exit.fail(unreachable("connection reset")))
    }
  }

  refuseDials(attempts: number): void {
    this.#dialsToRefuse = attempts
  }

  /** Nothing gets through to and from a node, or anybody, and nobody is told. */
  stall(node?: string): void {
    if (node === undefined) this.#isStalled = true
    else this.#stalled.add(node)
  }

  /** What was held goes on. */
  resume(node?: string): void {
    if (node === undefined) this.#isStalled = false
    else this.#stalled.delete(node)
    for (const connection of Array.from(this.#holding)) if (!this.#isHeldUp(connection)) this.#release(connection)
  }

  /** A machine is no more; the broker sees its connections end. */
  crashMachine(machine: Machine): void {
    machine.crashed = true
    for (const connection of Array.from(this.#connections))
      if (connection.machine === machine) this.disconnect(connection)
  }

  partition(from: string, to: string): void {
    const cuts = this.#cuts.get(from) ?? new Set()
    this.#cuts.set(from, cuts.add(to))
  }

  heal(from?: string, to?: string): void {
    if (from === undefined) this.#cuts.clear()
    else if (to === undefined) this.#cuts.delete(from)
    else this.#cuts.get(from)?.delete(to)
  }

  /** Milliseconds by which subscriptions of a node are live later. */
  late(node: string, millis: number): void {
    this.#late.set(node, millis)
  }

  refuse(topic: string, verbs: ReadonlyArray<"publish" | "subscribe">): void {
    for (const verb of verbs) this.#refused[verb].add(topic)
  }

  allow(topic: string): void {
    this.#refused.publish.delete(topic)
    this.#refused.subscribe.delete(topic)
  }

  // What becomes of it.

  readonly #holding = new Set<Connection>()

  #isHeldUp({ machine }: Connection): boolean {
    return this.#isStalled || this.#stalled.has(machine.name)
  }

  /** Runs now, or once the network goes on, or the connection is gone. */
  #through(connection: Connection, run: () => void): void {
    if (!isAlive(connection) || !this.#isHeldUp(connection)) return run()
    this.#holding.add(connection)
    connection.held.push(run)
  }

  #release(connection: Connection): void {
    this.#holding.delete(connection)
    const { held } = connection
    connection.held = []
    for (const run of held) run()
  }

  #leave(connection: Connection, topic: string): void {
    connection.topics.delete(topic)
    const subscribers = this.#subscribers.get(topic)
    if (subscribers?.delete(connection) === true && subscribers.size === 0) this.#subscribers.delete(topic)
  }

  /** Carries out a command in the order of the commands of its kind. */
  #command(connection: Connection, kind: "publish" | "listen", run: () => void, late = 0): void {
    const { deliveries, random } = this.#options
    const { latest } = connection
    const now = deliveries.now()
    const at = Math.max(latest[kind], now + draw(this.faults.answer, random) + late)
    const through = () => this.#through(connection, run)
    if (at <= now) return through()
    latest[kind] = at
    deliveries.at(at, through)
  }

  #send(from: Connection, to: Connection, topic: string, payload: string): void {
    const { random } = this.#options
    const { duplication, echo, loss } = this.faults
    if (from === to && !echo) return
    if (this.#cuts.get(from.machine.name)?.has(to.machine.name) === true) return
    if (loss > 0 && random() < loss) return
    this.#deliver(from, to, topic, payload)
    if (duplication > 0 && random() < duplication) this.#deliver(from, to, topic, payload)
  }

  #deliver(from: Connection, to: Connection, topic: string, payload: string): void {
    const { deliveries, maxInFlight, random } = this.#options
    if (this.inFlight >= maxInFlight) return this.#overflow(from, to, topic)
    this.inFlight++
    const arrive = () => {
      this.inFlight--
      if (isAlive(to)) to.events.onMessage(topic, payload)
    }
    const { reorder } = this.faults
    if (reorder === 0 || random() >= reorder) return this.#arrive(from, to, arrive)
    const at = deliveries.now() + draw(this.faults.latency, random) + 1 + Math.floor(random() * overtaken)
    deliveries.at(at, () => this.#through(to, arrive))
  }

  /** The node is told once, where in the order the messages are missing. */
  #overflow(from: Connection, to: Connection, topic: string): void {
    this.overflows++
    if (to.overflowing.has(topic)) return
    to.overflowing.add(topic)
    this.#arrive(from, to, () => {
      to.overflowing.delete(topic)
      if (isAlive(to)) to.events.onOverflow?.(topic)
    })
  }

  /** Arrives after everything that was sent between the two before. */
  #arrive(from: Connection, to: Connection, arrive: () => void): void {
    const { deliveries, random } = this.#options
    const at = Math.max(deliveries.now() + draw(this.faults.latency, random), to.arrivals.get(from.machine) ?? 0)
    to.arrivals.set(from.machine, at)
    deliveries.at(at, () => this.#through(to, arrive))
  }
}

const isAlive = ({ isOpen, machine }: Connection): boolean => isOpen && !machine.crashed
