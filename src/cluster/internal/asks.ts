/**
 * Asks other nodes how far they have come with topics, so that what is missing later on can be told exactly.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import type { Turn } from "../../internal/turn.ts"
import type { Control } from "./control.ts"
import type { Nodes } from "./nodes.ts"

/**
 * Where a line stands: its number, its last position, and how many milliseconds ago that was used; all 0 where there is
 * none.
 */
export type Stand = readonly [topic: string, line: number, position: number, age: number]

export interface AsksOptions {
  readonly control: Control
  readonly nodes: Nodes
  readonly turn: Turn
  readonly later: (millis: number, task: () => void) => void
  readonly standOf: (topic: string) => readonly [line: number, position: number, age: number]
  readonly onStand: (from: string, stands: ReadonlyArray<Stand>) => void
}

/** How long the first listener of a key waits for the answers of all nodes. */
const patience = 300
/** Topics in one question. */
const atMost = 32

interface Open {
  readonly waitFor: Set<string>
  readonly answered: Deferred.Deferred<void>
}

export class Asks {
  readonly #options: AsksOptions
  readonly #open = new Map<number, Open>()
  #number = 0
  /** What is asked of all nodes at the end of this turn. */
  #topics: Array<string> = []
  #answered: Deferred.Deferred<void> | undefined

  constructor(options: AsksOptions) {
    this.#options = options
    options.control.on("ask", (from, word) => this.#onAsk(from, word))
    options.control.on("stand", (from, word) => this.#onStand(from, word))
  }

  /** Asks one node about topics. */
  ask(topics: ReadonlyArray<string>, to: string): void {
    for (let from = 0; from < topics.length; from += atMost) {
      this.#options.control.tellOne(to, "ask", { number: 0, last: true, topics: topics.slice(from, from + atMost) })
    }
  }

  /** Asks all nodes at the end of the turn. */
  askAll(topics: ReadonlyArray<string>): Deferred.Deferred<void> {
    this.#topics.push(...topics)
    if (this.#answered !== undefined) return this.#answered
    const answered = Deferred.makeUnsafe<void>()
    this.#answered = answered
    this.#options.turn.atEnd(() => this.#send())
    return answered
  }

  /** Done when all nodes have answered that can. */
  askAndWait(topic: string): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#options.nodes.up.length === 0 ? Effect.void : Deferred.await(this.askAll([topic]))
    )
  }

  #send(): void {
    const { control, later, nodes } = this.#options
    const topics = Array.from(new Set(this.#topics))
    const answered = this.#answered!
    this.#topics = []
    this.#answered = undefined
    const waitFor = new Set(nodes.up.map(({ epoch }) => epoch))
    if (waitFor.size === 0) return void Deferred.doneUnsafe(answered, Exit.void)
    const number = ++this.#number
    this.#open.set(number, { waitFor, answered })
    for (let from = 0; from < topics.length; from += atMost) {
      const last = from + atMost >= topics.length
      control.tell("ask", { number, last, topics: topics.slice(from, from + atMost) })
    }
    later(patience, () => this.#close(number))
  }

  #close(number: number): void {
    const open = this.#open.get(number)
    this.#open.delete(number)
    if (open !== undefined) Deferred.doneUnsafe(open.answered, Exit.void)
  }

  #onAsk(from: string, word: unknown): void {
    if (!isAsk(word)) return
    const stands = word.topics.map((topic) => [topic, ...this.#options.standOf(topic)])
    this.#options.control.tellOne(from, "stand", { number: word.number, last: word.last, stands })
  }

  #onStand(from: string, word: unknown): void {
    if (!isStand(word)) return
    this.#options.onStand(from, word.stands)
    if (!word.last) return
    const open = this.#open.get(word.number)
    if (open?.waitFor.delete(from) === true && open.waitFor.size === 0) this.#close(word.number)
  }
}

const isAsk = (
  word: unknown
): word is { readonly number: number; readonly last: boolean; readonly topics: ReadonlyArray<string> } =>
  Predicate.hasProperty(word, "number") &&
  Number.isSafeInteger(word.number) &&
  Predicate.hasProperty(word, "last") &&
  Predicate.hasProperty(word, "topics") &&
  Array.isArray(word.topics) &&
  word.topics.every(Predicate.isString)

const isStand = (
  word: unknown
): word is { readonly number: number; readonly last: boolean; readonly stands: ReadonlyArray<Stand> } =>
  Predicate.hasProperty(word, "number") &&
  Number.isSafeInteger(word.number) &&
  Predicate.hasProperty(word, "last") &&
  Predicate.hasProperty(word, "stands") &&
  Array.isArray(word.stands) &&
  word.stands.every(
    (stand) =>
      Array.isArray(stand) && Predicate.isString(stand[0]) && stand.slice(1, 4).every((n) => Number.isSafeInteger(n))
  )
