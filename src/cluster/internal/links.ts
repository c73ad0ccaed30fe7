/**
 * The ways of channels between nodes: what a turn publishes to a key goes out in one packet, and what comes in is put in
 * order, each message once, with what is missing told as such.
 *
 * Nothing that comes in can go out again: there is no way from here to a publish.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { type Link, type LinkedChannel, Refused } from "../../internal/peers.ts"
import type { Turn } from "../../internal/turn.ts"
import type { EventBusService } from "../EventBus.ts"
import { Asks } from "./asks.ts"
import { chunked } from "./chunks.ts"
import type { Control } from "./control.ts"
import { Feed } from "./feed.ts"
import type { Flights } from "./flights.ts"
import * as metrics from "./metrics.ts"
import type { Nodes } from "./nodes.ts"
import { type Seal, toLine } from "./packet.ts"
import type { Self } from "./self.ts"
import { topicOf } from "./topic.ts"

export interface LinksOptions {
  readonly bus: EventBusService
  readonly control: Control
  readonly nodes: Nodes
  readonly self: Self
  readonly seal: Seal
  readonly turn: Turn
  readonly flights: Flights
  readonly namespace: string
  readonly context: Context.Context<never>
  readonly later: (millis: number, task: () => void) => void
}

/** What this node publishes to one topic. */
interface Line {
  readonly topic: string
  readonly channel: string
  /** Rises from line to line, so that a topic that was forgotten does not begin with positions used before. */
  readonly number: number
  position: number
  usedAt: number
  /** What this turn has published. */
  pending: Array<string>
  done: Array<(reached: boolean) => void> | undefined
  /** Tails still to be told. */
  tails: number
}

/** Topics whose positions are remembered, at most and at least for so long without a publish. */
const maxLines = 100_000
const forgetAfter = 600_000
/** How often the ends of lines are told, and how many times each. */
const tailInterval = 1_000
const tailsTold = 2
/** How long a message may be on its way after its position was told. */
const patience = 500

export class Links {
  readonly #options: LinksOptions
  readonly #asks: Asks
  readonly #lines = new Map<string, Line>()
  readonly #feeds = new Map<string, Feed>()
  readonly #channels = new Set<string>()
  #lineNumber = 0
  #dirty = new Set<Line>()
  #tailing = new Set<Line>()

  constructor(options: LinksOptions) {
    const { control, nodes } = options
    this.#options = options
    this.#asks = new Asks({
      ...options,
      standOf: (topic) => this.#standOf(topic),
      onStand: (from, stands) => {
        for (const [topic, line, position, age] of stands) {
          this.#feeds.get(topic)?.stands(from, line, position, age)
        }
      }
    })
    control.on("tail", (from, word) => this.#onTail(from, word))
    nodes.listen({
      onEvent: (event) => {
        // One that started after this node listened owes everything; of any other it is to be asked.
        if (event._tag === "Up" && this.#feeds.size > 0)
          this.#asks.ask(Array.from(this.#feeds.keys()), event.node.epoch)
      },
      onReborn: () => {
        this.#lines.clear()
        this.#tailing.clear()
      }
    })
  }

  /** Channels that are linked, for people to look at. */
  get channels(): ReadonlyArray<string> {
    return Array.from(this.#channels)
  }

  /** Keys this node hears. */
  get feeds(): number {
    return this.#feeds.size
  }

  /** Links a channel until the scope closes. */
  link(channel: LinkedChannel): Effect.Effect<Link, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { name } = channel
      if (name.length > 64)
        return yield* Effect.die(new RangeError(`a channel's name has at most 64 characters: ${name}`))
      if (this.#channels.has(name)) {
        yield* Effect.logWarning(
          `two channels are called ${name}: give each a name of its own, or they mix between nodes`
        )
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => void this.#channels.add(name)),
        () => Effect.sync(() => void this.#channels.delete(name))
      )
      return {
        publish: (identifier, body, number, except, done) =>
          this.#publish(channel, identifier, toLine(number, except, body), done),
        open: (identifier) => this.#open(channel, identifier)
      }
    })
  }

  #publish(
    channel: LinkedChannel,
    identifier: string,
    text: string,
    done: ((reached: boolean) => void) | undefined
  ): void {
    const line = this.#line(channel, identifier)
    line.pending.push(text)
    if (done !== undefined) (line.done ??= []).push(done)
    if (line.pending.length > 1) return
    if (this.#dirty.size === 0) this.#options.turn.atEnd(() => this.flush())
    this.#dirty.add(line)
  }

  #line(channel: LinkedChannel, identifier: string): Line {
    const topic = topicOf(this.#options.namespace, channel.name, identifier)
    const known = this.#lines.get(topic)
    if (known !== undefined) return known
    if (this.#lines.size >= maxLines) this.#forgetOldest()
    const line: Line = {
      topic,
      channel: channel.epoch,
      number: ++this.#lineNumber,
      position: 0,
      usedAt: 0,
      pending: [],
      done: undefined,
      tails: 0
    }
    this.#lines.set(topic, line)
    return line
  }

  #forgetOldest(): void {
    for (const [topic, line] of this.#lines) {
      if (line.pending.length > 0) continue
      this.#lines.delete(topic)
      this.#tailing.delete(line)
      return
    }
  }

  /** Sends what the turn has published. */
  flush(): void {
    const { bus, flights, seal, self } = this.#options
    const dirty = this.#dirty
    this.#dirty = new Set()
    const now = self.now()
    for (const line of dirty) {
      const { done, pending, topic } = line
      line.pending = []
      line.done = undefined
      line.usedAt = now
      line.tails = tailsTold
      this.#tailing.add(line)
      // The longest used comes last.
      this.#lines.delete(topic)
      this.#lines.set(topic, line)
      const packets = chunked(pending, bus.maxPayload)
      const settle = done && settleAll(done, packets.length)
      metrics.messages.updateUnsafe(pending.length, this.#options.context)
      for (const some of packets) {
        const header = { from: self.epoch, line: line.number, first: line.position + 1, channel: line.channel }
        line.position += some.length
        flights.start(topic, seal.pack(topic, header, some), settle)
      }
    }
  }

  #standOf(topic: string): readonly [line: number, position: number, age: number] {
    const line = this.#lines.get(topic)
    if (line === undefined) return [0, 0, 0]
    return [line.number, line.position, Math.round(this.#options.self.now() - line.usedAt)]
  }

  #open(channel: LinkedChannel, identifier: string): Effect.Effect<void, Refused, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { bus, context, later, namespace, nodes, seal, self } = this.#options
      const topic = topicOf(namespace, channel.name, identifier)
      const feed = new Feed({
        topic,
        identifier,
        channel,
        self,
        seal,
        nodes,
        context,
        later,
        patience,
        onGap: () => this.#asks.askAll([topic])
      })
      yield* Effect.acquireRelease(
        Effect.sync(() => void this.#feeds.set(topic, feed)),
        () => Effect.sync(() => void this.#feeds.delete(topic))
      )
      yield* Effect.mapError(
        bus.subscribe(topic, (event) => feed.receive(event)),
        (error) => new Refused({ detail: error.message })
      )
      yield* this.#asks.askAndWait(topic)
      feed.begin()
    })
  }

  /** Tells how far lines have come that were used a moment ago, so that a lost last message is noticed. */
  tell(): void {
    const { control, self } = this.#options
    const tails: Array<readonly [topic: string, line: number, position: number]> = []
    for (const line of this.#tailing) {
      tails.push([line.topic, line.number, line.position])
      if (--line.tails <= 0) this.#tailing.delete(line)
    }
    for (let from = 0; from < tails.length; from += 32) control.tell("tail", tails.slice(from, from + 32))
    for (const [topic, line] of this.#lines) {
      if (self.now() - line.usedAt < forgetAfter || line.pending.length > 0) break
      this.#lines.delete(topic)
    }
  }

  #onTail(from: string, word: unknown): void {
    if (!Array.isArray(word)) return
    const own = (word as ReadonlyArray<unknown>).filter(
      (tail): tail is readonly [string, number, number] =>
        Array.isArray(tail) &&
        Predicate.isString(tail[0]) &&
        Number.isSafeInteger(tail[1]) &&
        Number.isSafeInteger(tail[2]) &&
        this.#feeds.get(tail[0])?.isBehind(from, tail[1] as number, tail[2] as number) === true
    )
    if (own.length === 0) return
    this.#options.later(patience, () => {
      for (const [topic, line, position] of own) this.#feeds.get(topic)?.giveUp(from, line, position)
    })
  }

  /** Tells tails until the scope closes. */
  get start(): Effect.Effect<void, never, Scope.Scope> {
    const tick = Effect.andThen(
      Effect.sleep(tailInterval),
      Effect.sync(() => this.tell())
    )
    return Effect.asVoid(Effect.forkScoped(Effect.forever(tick, { disableYield: true }), { startImmediately: true }))
  }
}

/** Tells all of them once, when all packets have been handed over or one has not. */
const settleAll = (done: ReadonlyArray<(reached: boolean) => void>, packets: number): ((taken: boolean) => void) => {
  let left = packets
  let all = true
  return (taken) => {
    all &&= taken
    if (--left > 0) return
    for (const settle of done) settle(all)
  }
}
