/**
 * What nodes tell each other beside messages of channels: to all on one topic, and to one on its own.
 *
 * What is told in one turn travels together. Nothing here is answered or repeated; who needs that does it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import type { Turn } from "../../internal/turn.ts"
import type { BusEvent, EventBusService } from "../EventBus.ts"
import { Flights } from "./flights.ts"
import type { Seal } from "./packet.ts"
import type { Refusals } from "./refusals.ts"
import { chunked } from "./chunks.ts"
import type { Self } from "./self.ts"
import { inboxOf } from "./bus/topic.ts"

/** Takes what another node has told, in the step in which it arrives; must not throw. */
export type OnWord = (from: string, word: unknown) => void

export interface ControlOptions {
  readonly bus: EventBusService
  readonly seal: Seal
  readonly refusals: Refusals
  readonly turn: Turn
  readonly self: Self
  readonly namespace: string
  readonly flights: Flights
}

export class Control {
  readonly #options: ControlOptions
  readonly #handlers = new Map<string, OnWord>()
  /** By topic, what this turn has told. */
  #pending = new Map<string, Array<string>>()
  #inbox: Scope.Closeable | undefined
  /** Packets told to all so far. */
  #told = 0
  /** Something that was told to all may be missing. */
  onGap: () => void = () => {}
  /** A node has told something to all; what it tells so is numbered. */
  onNumber: (from: string, number: number) => void = () => {}
  /** Messages of channels that are for this node alone. */
  onParcel: (topic: string, event: BusEvent) => void = () => {}

  constructor(options: ControlOptions) {
    this.#options = options
  }

  on(kind: string, handler: OnWord): void {
    this.#handlers.set(kind, handler)
  }

  get #all(): string {
    return `${this.#options.namespace}/nodes`
  }

  /** Tells all other nodes. */
  tell(kind: string, word: Schema.Json): void {
    this.#say(this.#all, kind, word)
  }

  /** Tells one other node, by its incarnation. */
  tellOne(to: string, kind: string, word: Schema.Json): void {
    this.#say(`${this.#options.namespace}/node/${to}`, kind, word)
  }

  /** Bytes a word may have, at most. */
  get maxBytes(): number {
    return this.#options.bus.maxPayload - 1024
  }

  #say(topic: string, kind: string, word: Schema.Json): void {
    const line = `${kind}\t${JSON.stringify(word)}`
    const pending = this.#pending.get(topic)
    if (pending !== undefined) return void pending.push(line)
    if (this.#pending.size === 0) this.#options.turn.atEnd(() => this.flush())
    this.#pending.set(topic, [line])
  }

  /** To be called at the end of the turn. */
  flush(): void {
    const { bus, flights, seal, self } = this.#options
    const pending = this.#pending
    this.#pending = new Map()
    for (const [topic, lines] of pending) {
      for (const some of chunked(lines, bus.maxPayload)) {
        const header = { from: self.epoch, ...(topic === this.#all && { first: ++this.#told }) }
        const payload = seal.pack(topic, header, some)
        flights.start(topic, payload, undefined)
      }
    }
  }

  /** Hears the others until the scope closes. */
  get start(): Effect.Effect<void, never, Scope.Scope> {
    const { bus } = this.#options
    const topic = this.#all
    return Effect.andThen(
      this.#heard(bus.subscribe(topic, (event) => this.#receive(topic, event))),
      Effect.acquireRelease(this.moveIn, () =>
        Effect.suspend(() => (this.#inbox === undefined ? Effect.void : Scope.close(this.#inbox, Exit.void)))
      )
    )
  }

  /** Hears what is told to the present incarnation of this node, and to no earlier one. */
  get moveIn(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { bus, namespace, self } = this.#options
      const words = `${namespace}/node/${self.epoch}`
      const parcels = inboxOf(namespace, self.epoch)
      const scope = Scope.makeUnsafe()
      const before = this.#inbox
      this.#inbox = scope
      const both = Effect.all(
        [
          bus.subscribe(words, (event) => this.#receive(words, event)),
          bus.subscribe(parcels, (event) => this.onParcel(parcels, event))
        ],
        { concurrency: "unbounded", discard: true }
      )
      const moved = this.#heard(Scope.provide(both, scope))
      return before === undefined ? moved : Effect.andThen(moved, Scope.close(before, Exit.void))
    })
  }

  /** A bus that refuses this node its own topics is of no use to it. */
  #heard<E, R>(subscribed: Effect.Effect<void, E, R>): Effect.Effect<void, never, R> {
    return Effect.orDie(subscribed)
  }

  #receive(topic: string, event: BusEvent): void {
    if (event._tag === "Gap") {
      if (event.reason !== "unreachable") this.onGap()
      return
    }
    const { refusals, seal, self } = this.#options
    const packet = seal.unpack(topic, event.payload)
    if (Predicate.isString(packet)) return refusals.add(packet)
    const { first = 0, from } = packet.header
    if (self.is(from)) return
    for (const line of packet.lines) {
      const end = line.indexOf("\t")
      const handler = this.#handlers.get(line.slice(0, end))
      const word = parse(line.slice(end + 1))
      if (handler !== undefined && word !== undefined) handler(from, word.value)
      else refusals.add("malformed")
    }
    if (first > 0) this.onNumber(from, first)
  }
}

const parse = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}
