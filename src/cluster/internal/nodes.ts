/**
 * Heartbeats: says that this node is there, and finds out who else is.
 *
 * A node that notices that it has slept longer than the others wait begins anew, as another incarnation: they have
 * taken it out, and what it still believes of itself is not to be believed.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { BusHealth } from "../EventBus.ts"
import * as State from "../NodesState.ts"
import type { Control } from "./control.ts"
import * as metrics from "./metrics.ts"
import type { Self } from "./self.ts"

export interface NodesOptions {
  readonly control: Control
  readonly self: Self
  readonly context: Context.Context<never>
  /** Milliseconds between two heartbeats. */
  readonly heartbeat: number
  /** How many heartbeats may be missing. */
  readonly missed: number
  /** Added to each heartbeat. */
  readonly says: () => Said
}

/** What a heartbeat says of its node. */
export interface Said {
  /** The version of its entries. */
  readonly version: number
  /** What it listens to, in short. */
  readonly listens: string
}

/** What is told of other nodes, in the step in which it is known. */
export interface Listener {
  readonly onEvent?: (event: State.NodeEvent) => void
  readonly onBeat?: (epoch: string, said: Said) => void
  /** Something that a node has told to all has not arrived. */
  readonly onHole?: (epoch: string) => void
  /** This incarnation is about to end: what it has said goes out in its name. */
  readonly onEnd?: () => void
  /** This node has a new incarnation; the old one is gone for everybody. */
  readonly onReborn?: (former: string) => void
}

const sweepInterval = 500
/** How much longer than a heartbeat nodes may take to be heard after the bus was away: they come back one by one. */
const returning = 2_000

export class Nodes {
  readonly #options: NodesOptions
  readonly #listeners: Array<Listener> = []
  readonly #ages: State.Ages
  #state = State.empty
  #sweptAt: number
  #beatAt = Number.NEGATIVE_INFINITY
  /** The number of the last that each node has told to all. */
  readonly #numbers = new Map<string, number>()
  /** Since when the bus does not work, for all this node knows. */
  #deafSince: number | undefined
  #leaving = false
  #warned = new Set<string>()

  constructor(options: NodesOptions) {
    const { control, heartbeat, missed, self } = options
    this.#options = options
    this.#sweptAt = self.now()
    this.#ages = {
      downAfter: heartbeat * missed,
      replacedAfter: heartbeat * 1.5,
      forgetAfter: Math.max(600_000, heartbeat * missed * 4)
    }
    control.onGap = () => this.beat()
    control.onNumber = (from, number) => this.#onNumber(from, number)
    control.on("beat", (from, word) => this.#onBeat(from, word))
    control.on("bye", (from) => this.#commit(State.left(this.#state, from, self.now())))
  }

  listen(listener: Listener): void {
    this.#listeners.push(listener)
  }

  /** Milliseconds between two heartbeats. */
  get heartbeat(): number {
    return this.#options.heartbeat
  }

  /** The other nodes that are up. */
  get up(): ReadonlyArray<State.NodeState> {
    return State.up(this.#state)
  }

  /** All other nodes that are known. */
  get all(): ReadonlyArray<State.NodeState> {
    return Array.from(this.#state.values())
  }

  isUp(epoch: string): boolean {
    return this.#state.get(epoch)?.status === "up"
  }

  /** Whether a node is up, or about to go. */
  isThere(epoch: string): boolean {
    const status = this.#state.get(epoch)?.status
    return status === "up" || status === "leaving"
  }

  /** Whether what a node says of itself counts: it is up, or saying its last. Notes that it lives. */
  counts(epoch: string): boolean {
    if (!this.isThere(epoch)) return false
    this.#state = State.seen(this.#state, epoch, this.#options.self.now())
    return true
  }

  get(epoch: string): State.NodeState | undefined {
    return this.#state.get(epoch)
  }

  #commit([state, events]: State.Changed): void {
    this.#state = state
    if (events.length === 0) return
    metrics.nodes.updateUnsafe(this.up.length + 1, this.#options.context)
    for (const event of events) {
      if (event._tag !== "Forgotten") this.#log(event)
      if (event._tag === "Down") this.#numbers.delete(event.node.epoch)
      for (const listener of this.#listeners) listener.onEvent?.(event)
    }
  }

  #log(event: Exclude<State.NodeEvent, { readonly _tag: "Forgotten" }>): void {
    if (event._tag === "NameTaken") {
      if (this.#warned.has(event.node.name)) return
      this.#warned.add(event.node.name)
    }
    const { epoch, name } = event.node
    const text = {
      Up: "a node is up",
      Leaving: "a node is leaving",
      Down: "a node is down",
      NameTaken: "two nodes have one name: give each its own"
    }[event._tag]
    const log = event._tag === "NameTaken" || event._tag === "Down" ? Effect.logWarning(text) : Effect.logInfo(text)
    Effect.runForkWith(this.#options.context)(Effect.annotateLogs(log, { node: name, epoch }))
  }

  #onBeat(from: string, word: unknown): void {
    if (!isBeat(word)) return
    const { self } = this.#options
    if (word.former !== undefined) this.#commit(State.reborn(this.#state, word.former, word.name))
    const isNew = !this.isUp(from)
    this.#commit(State.heard(this.#state, from, word.name, word.uptime, self.now()))
    if (word.name === self.name) this.#warnOfNamesake(from)
    // Whoever is new need not wait for the next heartbeat to know this node.
    if (isNew && this.isUp(from)) this.beat()
    for (const listener of this.#listeners) listener.onBeat?.(from, word)
  }

  #onNumber(from: string, number: number): void {
    if (!this.isThere(from)) return
    const last = this.#numbers.get(from) ?? number
    this.#numbers.set(from, Math.max(last, number))
    if (number > last + 1) for (const listener of this.#listeners) listener.onHole?.(from)
  }

  /** The bus turns. Time in which nobody could be heard counts for nobody. */
  onHealth(health: BusHealth): void {
    const { heartbeat, self } = this.#options
    const now = self.now()
    if (health._tag === "Degraded") this.#deafSince ??= now - health.forMillis
    else if (this.#deafSince !== undefined) {
      this.#deafSince = undefined
      this.#state = State.hearAgain(this.#state, now, this.#ages, heartbeat + returning)
    }
  }

  #warnOfNamesake(epoch: string): void {
    const node = this.#state.get(epoch)
    if (node === undefined) return
    // Right after a start it may be the node before this one, saying its last.
    if (this.#options.self.uptime > this.#ages.replacedAfter) this.#log({ _tag: "NameTaken", node, other: node })
  }

  beat(): void {
    if (this.#leaving) return
    const { control, says, self } = this.#options
    this.#beatAt = self.now()
    const { former, name, uptime } = self
    const said: Beat = { name, uptime: Math.round(uptime), ...(former !== undefined && { former }), ...says() }
    control.tell("beat", { ...said })
  }

  #sweep(): void {
    const { heartbeat, self } = this.#options
    const now = self.now()
    const slept = now - this.#sweptAt - sweepInterval
    this.#sweptAt = now
    if (slept >= this.#ages.downAfter) {
      // Time in which nobody could be heard counts for nobody.
      for (const { epoch } of this.up) this.#state = State.seen(this.#state, epoch, now)
      return this.#rebirth()
    }
    this.#commit(State.expire(this.#state, now, this.#ages, this.#deafSince))
    if (now - this.#beatAt >= heartbeat) this.beat()
  }

  #rebirth(): void {
    const { context, control, self } = this.#options
    const former = self.epoch
    for (const listener of this.#listeners) listener.onEnd?.()
    control.flush()
    self.reborn()
    Effect.runForkWith(context)(
      Effect.andThen(
        Effect.logWarning("this node did not run for so long that the others take it for gone: it begins anew"),
        control.moveIn
      )
    )
    for (const listener of this.#listeners) listener.onReborn?.(former)
    this.beat()
  }

  /** Beats and sweeps until the scope closes, and says goodbye then. */
  get start(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      this.beat()
      yield* Effect.addFinalizer(() => Effect.sync(() => this.leave()))
      const sweep = Effect.andThen(
        Effect.sleep(sweepInterval),
        Effect.sync(() => this.#sweep())
      )
      yield* Effect.forkScoped(Effect.forever(sweep, { disableYield: true }), { startImmediately: true })
    })
  }

  /** Says goodbye; the others let go of this node in their own time. */
  leave(): void {
    if (this.#leaving) return
    this.#options.control.tell("bye", {})
    this.#options.control.flush()
    this.#leaving = true
  }
}

interface Beat extends Said {
  readonly name: string
  readonly uptime: number
  /** Which incarnation it was before, if it began anew. */
  readonly former?: string
}

const isBeat = (word: unknown): word is Beat =>
  Predicate.hasProperty(word, "name") &&
  Predicate.isString(word.name) &&
  Predicate.hasProperty(word, "uptime") &&
  Number.isFinite(word.uptime) &&
  Predicate.hasProperty(word, "version") &&
  Number.isSafeInteger(word.version) &&
  (!Predicate.hasProperty(word, "former") || Predicate.isString(word.former)) &&
  Predicate.hasProperty(word, "listens") &&
  Predicate.isString(word.listens)
