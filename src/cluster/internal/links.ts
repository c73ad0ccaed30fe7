/**
 * The ways of channels between nodes: what a turn publishes goes out together, and what comes in is put in order, each
 * message once, with what is missing told as such.
 *
 * Nothing that comes in can go out again: there is no way from here to a publish.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Link, type LinkedChannel, Refused } from "../../internal/peers.ts"
import type { Turn } from "../../internal/turn.ts"
import type { BusEvent, BusHealth, EventBusService } from "../EventBus.ts"
import { Asks, isStand, type Stand } from "./asks.ts"
import type { Control } from "./control.ts"
import { Feed } from "./feed.ts"
import type { Flights } from "./flights.ts"
import { Interest, Topics } from "./interest.ts"
import type { Nodes } from "./nodes.ts"
import { Outgoing } from "./outgoing.ts"
import { fromGroupLine, type Seal, toLine } from "./packet.ts"
import type { Refusals } from "./refusals.ts"
import type { Self } from "./self.ts"
import { topicsOf } from "./bus/topic.ts"

export interface LinksOptions {
  readonly bus: EventBusService
  readonly control: Control
  readonly nodes: Nodes
  readonly self: Self
  readonly seal: Seal
  readonly refusals: Refusals
  readonly turn: Turn
  readonly flights: Flights
  readonly namespace: string
  readonly context: Context.Context<never>
  readonly later: (millis: number, task: () => void) => void
}

/** How often the ends of lines are told, and how many of them at a time. */
const tailInterval = 1_000
const tailsAtOnce = 32
/** How long a message may be on its way after its position was told. */
const patience = 500
/** How much later than they should be heartbeats may arrive. */
const late = 1_000

export class Links {
  readonly #options: LinksOptions
  readonly #asks: Asks
  readonly #interest = new Interest()
  readonly #outgoing: Outgoing
  readonly #feeds = new Map<string, Feed>()
  /** What the others know, or are about to be told, that this node listens to. */
  readonly #topics = new Topics()
  readonly #channels = new Set<string>()
  /** Since when the bus works. */
  #upSince: number | undefined = Number.NEGATIVE_INFINITY

  constructor(options: LinksOptions) {
    const { control, nodes } = options
    this.#options = options
    this.#outgoing = new Outgoing({ ...options, interest: this.#interest, isSure: () => this.#isSure })
    this.#asks = new Asks({
      ...options,
      interest: this.#interest,
      standOf: (topic) => this.#outgoing.standOf(topic),
      formerStandOf: (topic) => this.#outgoing.formerStandOf(topic),
      onStand: (from, stand) => this.#onStand(from, stand, true),
      onUnanswered: (from, topic) => this.#feeds.get(topic)?.doubt(from),
      topics: () => this.#topics.all,
      listensTo: (topic) => this.#feeds.has(topic)
    })
    control.onParcel = (topic, event) => this.#receive(topic, event)
    control.on("tail", (from, word) => this.#onTail(from, word))
    nodes.listen({
      onEvent: (event) => {
        if (event._tag === "Up") this.#asks.meet(event.node.epoch, event.returned)
        else if (event._tag === "Down") this.#interest.removeNode(event.node.epoch)
        else if (event._tag === "Forgotten") for (const feed of this.#feeds.values()) feed.forget(event.node.epoch)
      },
      onBeat: (epoch, { listens }) => this.#asks.compare(epoch, listens),
      // It may have been said how far a line is, of which the last message is missing as well.
      onHole: (epoch) => this.#asks.ask(this.#topics.all, [epoch]),
      onEnd: () => this.#outgoing.flush(),
      onReborn: (former) => {
        this.#outgoing.clear(former)
        this.#askAll()
      }
    })
  }

  /** Channels that are linked, for people to look at. */
  get channels(): ReadonlyArray<string> {
    return Array.from(this.#channels)
  }

  /** What this node listens to, in short. */
  get digest(): string {
    return this.#topics.digest
  }

  /** Keys this node hears. */
  get feeds(): number {
    return this.#feeds.size
  }

  /** Links a channel until the scope closes. */
  link(channel: LinkedChannel): Effect.Effect<Link, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { name } = channel
      if (name.length > 64 || /\s/.test(name)) {
        return yield* Effect.die(
          new RangeError(`a channel's name is at most 64 characters without spaces, not "${name}"`)
        )
      }
      if (this.#channels.has(name)) {
        yield* Effect.logWarning(
          `two channels are called ${name}: give each a name of its own, or they mix between nodes`
        )
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => void this.#channels.add(name)),
        () => Effect.sync(() => void this.#channels.delete(name))
      )
      const topic = topicsOf(this.#options.namespace, name)
      return {
        publish: (identifier, encode, number, except, done) => {
          const toText = () => {
            const body = encode()
            return body === undefined ? undefined : toLine(number, except, body)
          }
          this.#outgoing.publish(topic(identifier), channel.epoch, toText, done)
        },
        open: (identifier) => this.#open(channel, identifier, topic(identifier))
      }
    })
  }

  #open(channel: LinkedChannel, identifier: string, topic: string): Effect.Effect<void, Refused, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { bus } = this.#options
      const feed = new Feed({
        ...this.#options,
        topic,
        identifier,
        channel,
        patience,
        onGap: () => this.#asks.ask([topic], this.#there)
      })
      yield* Effect.acquireRelease(
        Effect.sync(() => void this.#feeds.set(topic, feed)),
        () =>
          Effect.sync(() => {
            if (this.#feeds.get(topic) !== feed) return
            this.#feeds.delete(topic)
            this.#topics.delete(topic)
            this.#asks.forget(topic)
          })
      )
      yield* Effect.mapError(
        bus.subscribe(topic, (event) => feed.receive(event)),
        (error) => new Refused({ detail: error.message })
      )
      this.#topics.add(topic)
      yield* this.#asks.askAndWait(topic, this.#others)
      feed.begin()
    })
  }

  get #others(): ReadonlyArray<string> {
    return this.#options.nodes.up.map(({ epoch }) => epoch)
  }

  /** Those who are about to go as well: their last words may have been lost. */
  get #there(): ReadonlyArray<string> {
    const { nodes } = this.#options
    return nodes.all.flatMap(({ epoch }) => (nodes.isThere(epoch) ? [epoch] : []))
  }

  /** Tells all nodes what this one listens to. */
  #askAll(): void {
    this.#asks.ask(this.#topics.all, this.#there)
  }

  /** What nobody but this node listens to. */
  #receive(topic: string, event: BusEvent): void {
    if (event._tag === "Gap") {
      if (event.reason !== "unreachable") this.#askAll()
      return
    }
    const { refusals, seal, self } = this.#options
    const packet = seal.unpack(topic, event.payload)
    if (Predicate.isString(packet)) return refusals.add(packet)
    const { from } = packet.header
    if (self.is(from)) return
    for (let index = 0; index < packet.lines.length;) {
      const group = fromGroupLine(packet.lines[index]!)
      let end = index + 1
      while (end < packet.lines.length && !packet.lines[end]!.startsWith("@")) end++
      const feed = group && this.#feeds.get(group.topic)
      if (feed !== undefined) feed.take(from, group!, packet.lines.slice(index + 1, end))
      else if (group !== undefined) this.#asks.unwanted(from, group.topic)
      index = end
    }
  }

  /** Says the last of this node: what its turn has published, and how far all of it has come. */
  end(): void {
    this.#outgoing.flush()
    this.#tell()
  }

  /** Tells how far lines have come that were used a moment ago, so that a lost last message is noticed. */
  #tell(): void {
    const { control, nodes } = this.#options
    const tails = this.#outgoing.tails()
    if (nodes.up.length === 0) return
    for (let from = 0; from < tails.length; from += tailsAtOnce) {
      control.tell(
        "tail",
        tails.slice(from, from + tailsAtOnce).map((tail) => [...tail])
      )
    }
  }

  #onTail(from: string, word: unknown): void {
    if (!Array.isArray(word)) return
    for (const tail of (word as ReadonlyArray<unknown>).filter(isStand)) this.#onStand(from, tail, false)
  }

  #onStand(from: string, [topic, line, position, age]: Stand, isAnswer: boolean): void {
    this.#feeds.get(topic)?.stands(from, line, position, age, isAnswer)
  }

  /** Those who were taken for dead while the bus was away have been heard again once a heartbeat is due. */
  get #isSure(): boolean {
    const { nodes, self } = this.#options
    return this.#upSince !== undefined && self.now() - this.#upSince >= nodes.heartbeat + late
  }

  #turn(health: BusHealth): void {
    this.#options.nodes.onHealth(health)
    this.#upSince = health._tag === "Up" ? (this.#upSince ?? this.#options.self.now()) : undefined
  }

  /** Follows the bus, and tells tails, until the scope closes. */
  get start(): Effect.Effect<void, never, Scope.Scope> {
    const tick = Effect.andThen(
      Effect.sleep(tailInterval),
      Effect.sync(() => {
        this.#tell()
        this.#asks.again()
      })
    )
    const follow = Stream.runForEach(this.#options.bus.healthChanges, (health) => Effect.sync(() => this.#turn(health)))
    return Effect.andThen(
      Effect.forkScoped(follow, { startImmediately: true }),
      Effect.asVoid(Effect.forkScoped(Effect.forever(tick, { disableYield: true }), { startImmediately: true }))
    )
  }
}
