/**
 * One key this node hears: puts what other nodes publish in order, once, and tells what is missing.
 */
import type * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import type { LinkedChannel } from "../../internal/peers.ts"
import type { BusEvent } from "../EventBus.ts"
import * as Line from "./lineState.ts"
import * as metrics from "./metrics.ts"
import type { Nodes } from "./nodes.ts"
import { fromLine, type Seal } from "./packet.ts"
import type { Refusals } from "./refusals.ts"
import type { Self } from "./self.ts"

export interface FeedOptions {
  readonly topic: string
  readonly identifier: string
  readonly channel: LinkedChannel
  readonly self: Self
  readonly seal: Seal
  readonly refusals: Refusals
  readonly nodes: Nodes
  readonly context: Context.Context<never>
  readonly later: (millis: number, task: () => void) => void
  /** How long a message may be on its way after its position was told, in milliseconds. */
  readonly patience: number
  /** The bus may have lost something of this topic. */
  readonly onGap: () => void
}

/** Where messages belong: a line, the position of the first, the epoch of the channel they come from. */
export interface Stretch {
  readonly line: number
  readonly first: number
  readonly channel: string
}

/** Incarnations whose positions are remembered, at most. */
const maxOrigins = 1_024

export class Feed {
  readonly #options: FeedOptions
  readonly #lines = new Map<string, Line.LineState>()
  /** Origins that have answered how far they were: what they published after that, they published to this feed. */
  readonly #sure = new Set<string>()
  /** Since when it hears; undefined while it is being set up. */
  #since: number | undefined
  /** The bus was out of reach when it was set up. */
  #deaf = false

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** Everything published from now on is owed. */
  begin(): void {
    const { later, self } = this.#options
    this.#since = self.now()
    // Whoever waits for this attaches first.
    if (this.#deaf) later(1, () => this.#lose(0))
  }

  receive(event: BusEvent): void {
    if (event._tag === "Gap") {
      if (this.#since === undefined) this.#deaf ||= event.reason === "unreachable"
      else if (event.reason !== "unreachable") this.#options.onGap()
      return
    }
    const { refusals, seal, self, topic } = this.#options
    const packet = seal.unpack(topic, event.payload)
    if (Predicate.isString(packet)) return refusals.add(packet)
    const { channel, first, from, line } = packet.header
    if (self.is(from)) return
    if (line === undefined || first === undefined || channel === undefined) return refusals.add("malformed")
    this.take(from, { line, first, channel }, packet.lines)
  }

  /** Takes messages of another node that stand one behind the other in their line. */
  take(origin: string, { channel: from, first, line }: Stretch, lines: ReadonlyArray<string>): void {
    const { channel, context, identifier } = this.#options
    if (first > 1 && this.#since !== undefined && this.#stateOf(origin) === undefined) {
      // Nobody knows which of those before were published since this node listens.
      this.#lose(0)
    }
    for (let index = 0; index < lines.length; index++) {
      const arrival = Line.arrive(this.#stateOf(origin), line, first + index)
      if (arrival._tag === "Late") {
        metrics.late.updateUnsafe(1, context)
        continue
      }
      this.#keep(origin, arrival.state)
      if (arrival.missed > 0) this.#miss(origin, arrival.missed)
      const message = fromLine(lines[index]!)
      if (message === undefined) this.#lose(1)
      else channel.deliver(identifier, message.body, `${from}-${message.number}`, message.except)
    }
  }

  /** What is known of an origin: one that started after this node listened owes everything. */
  #stateOf(origin: string): Line.LineState | undefined {
    const known = this.#lines.get(origin)
    if (known !== undefined) return known
    return this.#isYoung(origin) ? { line: 0, last: 0, owedFrom: 1 } : undefined
  }

  #isYoung(origin: string): boolean {
    const startedAt = this.#options.nodes.get(origin)?.startedAt
    return this.#since !== undefined && startedAt !== undefined && startedAt > this.#since
  }

  #keep(origin: string, state: Line.LineState): void {
    if (!this.#lines.has(origin) && this.#lines.size >= maxOrigins) {
      const oldest = this.#lines.keys().next().value!
      this.#lines.delete(oldest)
      this.#sure.delete(oldest)
    }
    this.#lines.set(origin, state)
  }

  /**
   * An origin says where its line stands, as an answer or of itself; its last message was published so many milliseconds
   * before. What it says of itself may have been on its way for long.
   */
  stands(origin: string, line: number, position: number, age: number, isAnswer: boolean): void {
    const { later, patience, self } = this.#options
    if (this.#since === undefined) {
      if (isAnswer) this.#sure.add(origin)
      return this.#keep(origin, Line.begin(this.#lines.get(origin), line, position))
    }
    if (this.#isBehind(origin, line, position) && this.#stateOf(origin) !== undefined) {
      return later(patience, () => {
        this.#giveUp(origin, line, position)
        if (isAnswer) this.#sure.add(origin)
      })
    }
    if (this.#stateOf(origin) === undefined) {
      // Nobody has told before this node listened where the line stood: something may be missing, or nothing.
      if (position > 0 && age < self.now() - this.#since) this.#lose(0)
      this.#keep(origin, Line.begin(undefined, line, position))
    }
    if (isAnswer) this.#sure.add(origin)
  }

  #isBehind(origin: string, line: number, position: number): boolean {
    const state = this.#stateOf(origin)
    return state === undefined || line > state.line || (line === state.line && position > state.last)
  }

  /** Gives up what an origin has published up to a position and what has not arrived. */
  #giveUp(origin: string, line: number, position: number): void {
    if (this.#since === undefined) return
    const { missed, state } = Line.giveUp(this.#stateOf(origin), line, position)
    this.#keep(origin, state)
    if (missed > 0) this.#miss(origin, missed)
  }

  /** Messages of an origin are missing; of one that has not told how far it was, some may be older than this feed. */
  #miss(origin: string, missed: number): void {
    this.#lose(this.#sure.has(origin) || this.#isYoung(origin) ? missed : 0)
  }

  /** The origin will not be heard again. */
  forget(origin: string): void {
    this.#lines.delete(origin)
    this.#sure.delete(origin)
  }

  /**
   * Something of an origin may be missing, and it is not there any more to say so. One that nobody has heard since this
   * feed began was gone by then.
   */
  doubt(origin: string): void {
    if (this.#since === undefined) return
    const heardAt = this.#options.nodes.get(origin)?.heardAt ?? Number.NEGATIVE_INFINITY
    if (this.#lines.has(origin) || heardAt > this.#since) this.#lose(0)
  }

  #lose(missed: number): void {
    const { channel, context, identifier } = this.#options
    metrics.lost.updateUnsafe(missed, context)
    channel.lose(identifier, missed)
  }
}
