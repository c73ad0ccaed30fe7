/**
 * Which topics have listeners, which are subscribed at the broker, and what has to be said to the broker so that the
 * two agree. Knows no effects, no time and no connection.
 *
 * Every topic is in one place: what is wanted is compared with where the topic is, and while a command about it is under
 * way there is no other about it. Whatever happened meanwhile is looked at when that command is done, so there is no
 * order of subscribe, unsubscribe and loss that leaves a topic in the wrong place.
 */
import type { BusEvent } from "../../EventBusService.ts"
import type { EventBusError } from "../../EventBusError.ts"

/** Topics in one command, at most. */
export const maxBatch = 512

/** Commands under way at a time; what comes meanwhile goes together in the next. */
const maxCommands = 8

/** How a listener stands: waits for its first answer, hears, has been told that it may miss something, has left. */
type Hearing = "waiting" | "live" | "deaf" | "gone"

export interface Listener {
  readonly topic: Topic
  readonly onEvent: (event: BusEvent) => void
  /** Called once: it is subscribed, or refused with this. */
  readonly settle: (refusal: EventBusError | undefined) => void
  hearing: Hearing
}

export interface Topic {
  readonly name: string
  /** Replaced when it changes, never changed: it may be in use. In order of subscription. */
  listeners: ReadonlyArray<Listener>
  /** Where it is at the broker, as far as the present connection knows. */
  at: "off" | "subscribing" | "on" | "unsubscribing"
  /** Topics a command may have that this one is in. */
  readonly company: number
  /** The same for the moment; less after a refusal, to find out whose it was. */
  most: number
  /** Ends its time without listeners; set while that runs. */
  keep: (() => void) | undefined
  refused: boolean
  /** The broker refused to let go of it, and may still have it. */
  held: boolean
}

/** Something to be said to the broker; `done` or `refused` has to follow, unless the connection is lost. */
export interface Command {
  readonly verb: "subscribe" | "unsubscribe"
  readonly topics: ReadonlyArray<Topic>
  /** The connection it belongs to. */
  readonly connection: number
}

export interface Options {
  /** There may be commands. */
  readonly onCommands: () => void
  /** Calls back once a topic has been without listeners for long enough, unless the returned function is called. */
  readonly later: (release: () => void) => () => void
  /** A listener threw. */
  readonly onThrow: (topic: string, defect: unknown) => void
  /** A topic with listeners was refused, for the first time since it was last subscribed or after that. */
  readonly onRefused: (topic: string, refusal: EventBusError, first: boolean) => void
  /** The broker does not let go of a topic nobody listens to. */
  readonly onKept: (refusal: EventBusError) => void
}

const unreachable: BusEvent = { _tag: "Gap", reason: "unreachable" }
const reconnected: BusEvent = { _tag: "Gap", reason: "reconnected" }
const overflow: BusEvent = { _tag: "Gap", reason: "overflow" }

export class Topics {
  readonly #options: Options
  readonly #topics = new Map<string, Topic>()
  /** Wanted and off: to be subscribed. */
  readonly #subscribes = new Set<Topic>()
  /** Not wanted, and on or held: to be unsubscribed. */
  readonly #unsubscribes = new Set<Topic>()
  /** Refused, though they have listeners that were promised to hear again, or none and are held. */
  readonly #refused = new Set<Topic>()
  #connected = false
  #connection = 0
  #commands = 0

  constructor(options: Options) {
    this.#options = options
  }

  /** Topics that have listeners, had some until a moment ago, or are in a command under way. */
  get size(): number {
    return this.#topics.size
  }

  /**
   * Lets a listener in; it is live at once, told to wait, or told that the bus is out of reach. A new topic is in commands
   * of `company` topics at most.
   */
  add(name: string, onEvent: Listener["onEvent"], settle: Listener["settle"], company = maxBatch): Listener {
    const topic = this.#topics.get(name) ?? this.#create(name, company)
    const listener: Listener = { topic, onEvent, settle, hearing: "waiting" }
    topic.listeners = [...topic.listeners, listener]
    this.#keepNoLonger(topic)
    this.#unsubscribes.delete(topic)
    if (!this.#connected) this.#deafen(listener)
    else if (topic.at === "on") this.#hear(listener)
    else if (topic.at === "off") this.#want(topic)
    return listener
  }

  /** Nothing is told to the listener from here on. */
  remove(listener: Listener): void {
    const { hearing, topic } = listener
    if (hearing === "gone") return
    listener.hearing = "gone"
    topic.listeners = topic.listeners.filter((other) => other !== listener)
    if (topic.listeners.length === 0) this.#abandon(topic)
    if (hearing === "waiting") listener.settle(undefined)
  }

  /** A listener has waited long enough: it is told that it may miss something, and hears when the answer comes. */
  giveUp(listener: Listener): void {
    if (listener.hearing === "waiting") this.#deafen(listener)
  }

  deliver(name: string, payload: string): void {
    const listeners = this.#topics.get(name)?.listeners
    if (listeners !== undefined && listeners.length > 0) this.#tellAll(listeners, { _tag: "Message", payload })
  }

  /** Messages of a topic were dropped on this side. */
  overflow(name: string): void {
    const topic = this.#topics.get(name)
    if (topic !== undefined) this.#tellAll(topic.listeners, overflow)
  }

  /** A connection is there, and nothing is subscribed over it yet. */
  connect(): void {
    this.#connected = true
    this.#connection++
    for (const topic of this.#topics.values()) this.#want(topic)
  }

  /** The connection is gone, and with it every subscription and every command under way. */
  disconnect(): void {
    this.#connected = false
    this.#connection++
    this.#commands = 0
    this.#subscribes.clear()
    this.#unsubscribes.clear()
    this.#refused.clear()
    const listeners: Array<Listener> = []
    for (const topic of this.#topics.values()) {
      topic.at = "off"
      topic.most = topic.company
      topic.held = false
      this.#keepNoLonger(topic)
      if (topic.listeners.length === 0) this.#topics.delete(topic.name)
      for (const listener of topic.listeners) listeners.push(listener)
    }
    for (const listener of listeners) this.#deafen(listener)
  }

  /** The next command, which counts as under way; none when there is nothing to say or enough is under way. */
  next(): Command | undefined {
    if (!this.#connected || this.#commands === maxCommands) return undefined
    const subscribe = this.#subscribes.size > 0
    const from = subscribe ? this.#subscribes : this.#unsubscribes
    if (from.size === 0) return undefined
    const topics: Array<Topic> = []
    let most = maxBatch
    for (const topic of from) {
      if (topic.most <= topics.length) continue
      most = Math.min(most, topic.most)
      topics.push(topic)
      if (topics.length === most) break
    }
    for (const topic of topics) {
      from.delete(topic)
      topic.at = subscribe ? "subscribing" : "unsubscribing"
    }
    this.#commands++
    return { verb: subscribe ? "subscribe" : "unsubscribe", topics, connection: this.#connection }
  }

  done(command: Command): void {
    if (!this.#ends(command)) return
    if (command.verb === "unsubscribe") {
      for (const topic of command.topics) {
        topic.at = "off"
        topic.most = topic.company
        topic.held = false
        this.#again(topic)
      }
      return
    }
    for (const topic of command.topics) {
      topic.at = "on"
      topic.most = topic.company
      topic.held = false
      topic.refused = false
      if (topic.listeners.length === 0) this.#abandon(topic)
    }
    for (const topic of command.topics) for (const listener of topic.listeners) this.#hear(listener)
  }

  /** The broker said no, to one of the topics at least. */
  refused(command: Command, refusal: EventBusError): void {
    if (!this.#ends(command)) return
    const { topics, verb } = command
    const alone = topics.length === 1
    for (const topic of topics) {
      topic.at = "off"
      topic.most = alone ? topic.company : Math.ceil(topics.length / 2)
      if (verb === "unsubscribe") topic.held = true
      if (!alone) this.#again(topic)
      else if (verb === "subscribe") this.#refuse(topic, refusal)
      else if (topic.listeners.length > 0) this.#want(topic)
      else {
        this.#refused.add(topic)
        this.#options.onKept(refusal)
      }
    }
  }

  /** Tries once more what was refused. */
  retry(): void {
    for (const topic of this.#refused) this.#again(topic)
  }

  #refuse(topic: Topic, refusal: EventBusError): void {
    topic.most = topic.company
    const waiting = topic.listeners.filter(({ hearing }) => hearing === "waiting")
    topic.listeners = topic.listeners.filter(({ hearing }) => hearing !== "waiting")
    const first = !topic.refused
    if (topic.listeners.length === 0) this.#again(topic)
    else {
      topic.refused = true
      this.#refused.add(topic)
      this.#options.onRefused(topic.name, refusal, first)
    }
    for (const listener of waiting) {
      listener.hearing = "gone"
      listener.settle(refusal)
    }
  }

  /** Whether a command belongs to the present connection; then it is no longer under way. */
  #ends(command: Command): boolean {
    if (command.connection !== this.#connection) return false
    this.#commands--
    if (this.#subscribes.size > 0 || this.#unsubscribes.size > 0) this.#options.onCommands()
    return true
  }

  #create(name: string, company: number): Topic {
    const topic: Topic = {
      name,
      listeners: [],
      at: "off",
      company,
      most: company,
      keep: undefined,
      refused: false,
      held: false
    }
    this.#topics.set(name, topic)
    return topic
  }

  #want(topic: Topic): void {
    this.#refused.delete(topic)
    this.#subscribes.add(topic)
    this.#options.onCommands()
  }

  /** A topic is off; what is to become of it depends on who listens now. */
  #again(topic: Topic): void {
    if (topic.listeners.length > 0) return this.#want(topic)
    this.#subscribes.delete(topic)
    this.#refused.delete(topic)
    if (!topic.held) return void this.#topics.delete(topic.name)
    this.#unsubscribes.add(topic)
    this.#options.onCommands()
  }

  /** A topic is without listeners. It stays subscribed for a while: somebody may come back. */
  #abandon(topic: Topic): void {
    if (topic.at === "on") {
      topic.keep = this.#options.later(() => {
        topic.keep = undefined
        this.#unsubscribes.add(topic)
        this.#options.onCommands()
      })
    } else if (topic.at === "off") this.#again(topic)
  }

  #keepNoLonger(topic: Topic): void {
    topic.keep?.()
    topic.keep = undefined
  }

  #hear(listener: Listener): void {
    const before = listener.hearing
    if (before === "live" || before === "gone") return
    listener.hearing = "live"
    if (before === "waiting") listener.settle(undefined)
    else this.#tell(listener, reconnected)
  }

  #deafen(listener: Listener): void {
    const before = listener.hearing
    if (before === "deaf" || before === "gone") return
    listener.hearing = "deaf"
    this.#tell(listener, unreachable)
    if (before === "waiting") listener.settle(undefined)
  }

  #tellAll(listeners: ReadonlyArray<Listener>, event: BusEvent): void {
    for (const listener of listeners) if (listener.hearing === "live") this.#tell(listener, event)
  }

  #tell(listener: Listener, event: BusEvent): void {
    try {
      listener.onEvent(event)
    } catch (defect) {
      this.#options.onThrow(listener.topic.name, defect)
    }
  }
}
