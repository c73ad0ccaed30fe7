/**
 * What this node publishes, on its way to the bus: the messages of a turn travel in one packet for each topic or, where
 * one other node alone listens to a topic, in one packet for that node, together with those of all such topics. Each
 * message crosses the bus once, and not at all while nobody listens.
 */
import type * as Context from "effect/Context"
import type { Turn } from "../../internal/turn.ts"
import type { EventBusService } from "../EventBus.ts"
import type { Stand } from "./asks.ts"
import { chunked } from "./chunks.ts"
import type { Flights } from "./flights.ts"
import type { Interest } from "./interest.ts"
import * as metrics from "./metrics.ts"
import { groupLine, type Seal } from "./packet.ts"
import type { Self } from "./self.ts"
import { inboxOf } from "./bus/topic.ts"

export interface OutgoingOptions {
  readonly bus: EventBusService
  readonly flights: Flights
  readonly interest: Interest
  readonly seal: Seal
  readonly self: Self
  readonly turn: Turn
  readonly namespace: string
  readonly context: Context.Context<never>
  /** Whether nobody listens where nobody is known to: the bus works, and whoever is there has been heard over it. */
  readonly isSure: () => boolean
}

type Done = (reached: boolean) => void

/** What this node publishes to one topic. */
interface Line {
  readonly topic: string
  /** The epoch of the channel. */
  readonly channel: string
  /** Rises from line to line, so that a topic that was forgotten does not begin with positions used before. */
  readonly number: number
  /** That of the last message, without those that wait for the end of the turn. */
  position: number
  usedAt: number
  /** What this turn has published. */
  pending: Array<string>
  done: Array<Done> | undefined
}

/** What goes to one node in a turn. */
interface Parcel {
  readonly lines: Array<string>
  readonly done: Array<Done>
}

interface Former {
  readonly epoch: string
  readonly lines: ReadonlyMap<string, Line>
  readonly since: number
}

/** Topics whose positions are remembered, at most, and at least for so long without a publish. */
const maxLines = 100_000
const forgetAfter = 600_000

export class Outgoing {
  readonly #options: OutgoingOptions
  /** The longest unused first. */
  #lines = new Map<string, Line>()
  /** The lines of the incarnation before this one. */
  #former: Former | undefined
  #number = 0
  #dirty = new Set<Line>()
  readonly #tailing = new Set<Line>()

  constructor(options: OutgoingOptions) {
    this.#options = options
  }

  /**
   * Adds a message to what goes out at the end of the turn; it is made only if somebody listens. Without a text it
   * cannot be made, and is missing for those who listen.
   */
  publish(topic: string, channel: string, toText: () => string | undefined, done: Done | undefined): void {
    const line = this.#line(topic, channel)
    if (line.pending.length === 0 && this.#options.interest.of(topic).size === 0) {
      line.position++
      this.#used(line)
      return done?.(this.#options.isSure())
    }
    const text = toText()
    // Where nothing stands at a position, those who listen learn of a gap.
    line.pending.push(text ?? "")
    if (text === undefined) done?.(false)
    else if (done !== undefined) (line.done ??= []).push(done)
    if (line.pending.length > 1) return
    if (this.#dirty.size === 0) this.#options.turn.atEnd(() => this.flush())
    this.#dirty.add(line)
  }

  #line(topic: string, channel: string): Line {
    const known = this.#lines.get(topic)
    // A channel that was made anew numbers its messages anew.
    if (known?.channel === channel) return known
    if (this.#lines.size >= maxLines) this.#forgetOldest()
    const line: Line = {
      topic,
      channel,
      number: ++this.#number,
      position: 0,
      usedAt: 0,
      pending: [],
      done: undefined
    }
    this.#lines.set(topic, line)
    return line
  }

  #forgetOldest(): void {
    for (const line of this.#lines.values()) {
      if (line.pending.length === 0) return this.#forget(line)
    }
  }

  #forget(line: Line): void {
    this.#lines.delete(line.topic)
    this.#tailing.delete(line)
  }

  #used(line: Line): void {
    line.usedAt = this.#options.self.now()
    this.#tailing.add(line)
    this.#lines.delete(line.topic)
    this.#lines.set(line.topic, line)
  }

  /** Sends what the turn has published. */
  flush(): void {
    const { context, interest, isSure } = this.#options
    const dirty = this.#dirty
    this.#dirty = new Set()
    const parcels = new Map<string, Parcel>()
    let messages = 0
    for (const line of dirty) {
      const { done, pending, topic } = line
      const first = line.position + 1
      line.pending = []
      line.done = undefined
      line.position += pending.length
      this.#used(line)
      const nodes = interest.of(topic)
      if (nodes.size === 0) {
        for (const settle of done ?? []) settle(isSure())
        continue
      }
      messages += pending.length
      if (nodes.size > 1) this.#toTopic(line, first, pending, done)
      else this.#pack(parcels, nodes.values().next().value!, line, first, pending, done)
    }
    for (const [node, parcel] of parcels) this.#toNode(node, parcel)
    metrics.messages.updateUnsafe(messages, context)
  }

  #toTopic(line: Line, first: number, pending: ReadonlyArray<string>, done: ReadonlyArray<Done> | undefined): void {
    const { bus, flights, seal, self } = this.#options
    const packets = chunked(pending, bus.maxPayload)
    const settle = done && settleAll(done, packets.length)
    let position = first
    for (const some of packets) {
      const header = { from: self.epoch, line: line.number, first: position, channel: line.channel }
      position += some.length
      flights.start(line.topic, seal.pack(line.topic, header, some), settle)
    }
  }

  #pack(
    parcels: Map<string, Parcel>,
    node: string,
    line: Line,
    first: number,
    pending: ReadonlyArray<string>,
    done: ReadonlyArray<Done> | undefined
  ): void {
    let parcel = parcels.get(node)
    if (parcel === undefined) {
      parcel = { lines: [], done: [] }
      parcels.set(node, parcel)
    }
    const group = { topic: line.topic, line: line.number, first, channel: line.channel }
    const together = pending.join("\n")
    if (together.length * 3 < this.#options.bus.maxPayload / 2) parcel.lines.push(`${groupLine(group)}\n${together}`)
    else {
      // Each can be the first of a packet.
      for (const [index, text] of pending.entries()) {
        parcel.lines.push(`${groupLine({ ...group, first: first + index })}\n${text}`)
      }
    }
    if (done !== undefined) parcel.done.push(...done)
  }

  #toNode(node: string, { done, lines }: Parcel): void {
    const { bus, flights, namespace, seal, self } = this.#options
    const topic = inboxOf(namespace, node)
    const packets = chunked(lines, bus.maxPayload)
    const settle = done.length === 0 ? undefined : settleAll(done, packets.length)
    for (const some of packets) flights.start(topic, seal.pack(topic, { from: self.epoch }, some), settle)
  }

  /** Where a line stands, and how many milliseconds ago it was used; all 0 where there is none. */
  standOf(topic: string): readonly [line: number, position: number, age: number] {
    const line = this.#lines.get(topic)
    return line === undefined ? [0, 0, 0] : this.#stand(line)
  }

  #stand({ number, position, usedAt }: Line): readonly [line: number, position: number, age: number] {
    return [number, position, Math.round(this.#options.self.now() - usedAt)]
  }

  /** The ends of lines that were used since the last time. */
  tails(): ReadonlyArray<Stand> {
    const now = this.#options.self.now()
    const tails = Array.from(this.#tailing, ({ topic }): Stand => [topic, ...this.standOf(topic)])
    this.#tailing.clear()
    if (this.#former !== undefined && now - this.#former.since >= forgetAfter) this.#former = undefined
    for (const line of this.#lines.values()) {
      if (now - line.usedAt < forgetAfter || line.pending.length > 0) break
      this.#forget(line)
    }
    return tails
  }

  /** Where a line stood when this node was another incarnation. */
  formerStandOf(topic: string): readonly [epoch: string, stand: Stand] | undefined {
    const line = this.#former?.lines.get(topic)
    return line && [this.#former!.epoch, [topic, ...this.#stand(line)]]
  }

  /** Everything begins anew: nobody knows this node's lines, but for what is missing of those of this incarnation. */
  clear(epoch: string): void {
    this.#former = { epoch, lines: this.#lines, since: this.#options.self.now() }
    this.#lines = new Map()
    this.#tailing.clear()
  }
}

/** Tells all of them once, when all packets have been handed over or one has not. */
const settleAll = (done: ReadonlyArray<Done>, packets: number): Done => {
  let left = packets
  let all = true
  return (taken) => {
    all &&= taken
    if (--left > 0) return
    for (const settle of done) settle(all)
  }
}
