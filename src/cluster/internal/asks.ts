/**
 * Tells other nodes what this one listens to, and asks how far they have come with it: they send what it wants, and what
 * is missing later on can be told exactly.
 *
 * A question is asked again until the node has answered, is down, or nobody listens any more. What this node asks and
 * calls off is numbered, since it may arrive in another order: a key may be left and listened to again at once, and
 * neither may end what was asked later, nor may the answer to an earlier question be taken for that to a later one.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import type { Turn } from "../../internal/turn.ts"
import type { Control } from "./control.ts"
import type { Interest } from "./interest.ts"
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
  readonly interest: Interest
  readonly later: (millis: number, task: () => void) => void
  readonly standOf: (topic: string) => readonly [line: number, position: number, age: number]
  /** Where a line stood when this node was another incarnation. */
  readonly formerStandOf: (topic: string) => readonly [epoch: string, stand: Stand] | undefined
  readonly onStand: (from: string, stand: Stand) => void
  /** A node has gone without an answer: nobody can know any more how far it was. */
  readonly onUnanswered: (from: string, topic: string) => void
  /** All this node listens to. */
  readonly topics: () => ReadonlyArray<string>
  /** Whether this node still listens to a topic. */
  readonly listensTo: (topic: string) => boolean
}

/** How long the first listener of a key waits for the answers of all nodes. */
const patience = 300
/** Topics in one question. */
const atMost = 32

/** Somebody who waits for the answers about a topic. */
interface Waiting {
  readonly nodes: Set<string>
  readonly answered: Deferred.Deferred<void>
}

export class Asks {
  readonly #options: AsksOptions
  /** By node, the topics it has not said enough about, and the number of the first question that it may answer. */
  readonly #open = new Map<string, Map<string, number>>()
  /** The number of what was asked or called off last. */
  #number = 0
  /** What is asked at the end of this turn. */
  #asking = new Map<string, Set<string>>()
  /** What is called off at the end of this turn. */
  #unwanted = new Map<string, Set<string>>()
  readonly #waiting = new Map<string, Set<Waiting>>()
  /** Nodes of which something else is known than they say. */
  readonly #differing = new Set<string>()
  #scheduled = false

  constructor(options: AsksOptions) {
    const { control, nodes } = options
    this.#options = options
    control.on("ask", (from, word) => this.#onAsk(from, word))
    control.on("stand", (from, word) => this.#onStand(from, word))
    control.on("unask", (from, word) => {
      for (const topic of topicsOf(word)) options.interest.remove(topic, from, numberOf(word))
    })
    control.on("introduce", (from) => this.#introduce(from))
    nodes.listen({
      onEvent: ({ _tag, node: { epoch } }) => {
        if (_tag === "Leaving" || _tag === "Down") this.#waitNoLonger(epoch)
        if (_tag === "Down") this.#giveUp(epoch)
      }
    })
  }

  /** Asks nodes about topics at the end of the turn. */
  ask(topics: ReadonlyArray<string>, nodes: ReadonlyArray<string>): void {
    for (const node of nodes) {
      for (const topic of topics) {
        this.#await(node, topic)
        put(this.#asking, node, topic)
      }
    }
    if (this.#asking.size > 0) this.#schedule()
  }

  /** What is asked from now on is to be answered. */
  #await(node: string, topic: string): void {
    const open = this.#open.get(node) ?? new Map<string, number>()
    this.#open.set(node, open)
    open.set(topic, this.#number + 1)
  }

  /** Asks nodes about a topic; done when all have answered, or after a while. */
  askAndWait(topic: string, nodes: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.ask([topic], nodes)
      return this.#answered(topic, nodes)
    })
  }

  #answered(topic: string, nodes: ReadonlyArray<string>): Effect.Effect<void> {
    const left = nodes.filter((node) => this.#open.get(node)?.has(topic) === true)
    if (left.length === 0) return Effect.void
    const waiting: Waiting = { nodes: new Set(left), answered: Deferred.makeUnsafe() }
    const some = this.#waiting.get(topic)
    if (some === undefined) this.#waiting.set(topic, new Set([waiting]))
    else some.add(waiting)
    const over = Effect.sync(() => {
      const others = this.#waiting.get(topic)
      others?.delete(waiting)
      if (others?.size === 0) this.#waiting.delete(topic)
    })
    return Effect.ensuring(Effect.asVoid(Effect.timeoutOption(Deferred.await(waiting.answered), patience)), over)
  }

  /** Nobody here listens to a topic any more. */
  forget(topic: string): void {
    for (const { epoch } of this.#options.nodes.up) this.unwanted(epoch, topic)
    for (const topics of this.#open.values()) topics.delete(topic)
  }

  /** A node sends what nobody here listens to. */
  unwanted(node: string, topic: string): void {
    put(this.#unwanted, node, topic)
    this.#schedule()
  }

  /** A node is up; one that was before knows what it listened to, and this one does not any more. */
  meet(node: string, returned: boolean): void {
    if (returned) this.#differing.add(node)
    this.ask(this.#options.topics(), [node])
  }

  /** A node says in short what it listens to. What differs twice was not on its way, but has got lost. */
  compare(node: string, digest: string): void {
    const { control, interest } = this.#options
    if (digest === interest.digest(node)) this.#differing.delete(node)
    else if (this.#differing.has(node)) control.tellOne(node, "introduce", {})
    else this.#differing.add(node)
  }

  /** Tells a node everything this one listens to, in place of all it knows. */
  #introduce(node: string): void {
    const { control, topics } = this.#options
    const all = topics()
    for (const topic of all) this.#await(node, topic)
    const number = ++this.#number
    const parts = all.length === 0 ? [[]] : slices(all)
    for (const [index, some] of parts.entries()) {
      control.tellOne(node, "ask", { number, topics: some, afresh: index === 0 })
    }
  }

  /** Asks again what has not been answered. */
  again(): void {
    for (const [node, topics] of this.#open) {
      if (!this.#options.nodes.isThere(node)) this.#open.delete(node)
      else for (const topic of topics.keys()) put(this.#asking, node, topic)
    }
    if (this.#asking.size > 0) this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#options.turn.atEnd(() => this.#send())
  }

  #send(): void {
    const { control, listensTo, nodes } = this.#options
    this.#scheduled = false
    const [asking, unwanted] = [this.#asking, this.#unwanted]
    this.#asking = new Map()
    this.#unwanted = new Map()
    for (const [node, topics] of unwanted) {
      const gone = Array.from(topics).filter((topic) => !listensTo(topic))
      for (const some of slices(gone)) control.tellOne(node, "unask", { number: this.#number, topics: some })
    }
    const number = ++this.#number
    const all = nodes.up.length
    const first = asking.values().next().value
    // Most of the time all are asked the same: then once for all.
    if (first !== undefined && asking.size === all && all > 1 && Array.from(asking.values()).every(sameAs(first))) {
      for (const some of slices(Array.from(first).filter(listensTo))) control.tell("ask", { number, topics: some })
      return
    }
    for (const [node, topics] of asking) {
      for (const some of slices(Array.from(topics).filter(listensTo))) {
        control.tellOne(node, "ask", { number, topics: some })
      }
    }
  }

  #onAsk(from: string, word: unknown): void {
    const { control, formerStandOf, interest, nodes, standOf } = this.#options
    // Whoever is not known yet asks again.
    if (!nodes.isUp(from)) return
    const [number, topics] = [numberOf(word), topicsOf(word)]
    if (Predicate.hasProperty(word, "afresh") && word.afresh === true) interest.removeBefore(from, number)
    for (const topic of topics) interest.add(topic, from, number)
    if (topics.length === 0) return
    control.tellOne(from, "stand", {
      number,
      stands: topics.map((topic) => [topic, ...standOf(topic)]),
      former: topics.flatMap((topic) => {
        const former = formerStandOf(topic)
        return former === undefined ? [] : [[former[0], [...former[1]]]]
      })
    })
  }

  #onStand(from: string, word: unknown): void {
    if (!Predicate.hasProperty(word, "stands") || !Array.isArray(word.stands)) return
    if (Predicate.hasProperty(word, "former") && Array.isArray(word.former)) {
      for (const [epoch, stand] of (word.former as ReadonlyArray<unknown>).filter(isFormer)) {
        this.#options.onStand(epoch, stand)
      }
    }
    const [number, open] = [numberOf(word), this.#open.get(from)]
    for (const stand of (word.stands as ReadonlyArray<unknown>).filter(isStand)) {
      if ((open?.get(stand[0]) ?? 0) > number) continue
      this.#options.onStand(from, stand)
      open?.delete(stand[0])
      for (const waiting of this.#waiting.get(stand[0]) ?? []) settle(waiting, from)
    }
    if (open?.size === 0) this.#open.delete(from)
  }

  /** Nobody is to wait for a node that goes; it may still answer. */
  #waitNoLonger(node: string): void {
    for (const some of this.#waiting.values()) for (const waiting of some) settle(waiting, node)
  }

  /** A node is not there any more to answer. */
  #giveUp(node: string): void {
    const unanswered = this.#open.get(node)
    this.#differing.delete(node)
    this.#open.delete(node)
    for (const topic of unanswered?.keys() ?? []) this.#options.onUnanswered(node, topic)
  }
}

const settle = ({ answered, nodes }: Waiting, node: string): void => {
  if (nodes.delete(node) && nodes.size === 0) Deferred.doneUnsafe(answered, Exit.void)
}

const put = (index: Map<string, Set<string>>, key: string, value: string): void => {
  const values = index.get(key)
  if (values === undefined) index.set(key, new Set([value]))
  else values.add(value)
}

const sameAs =
  (first: ReadonlySet<string>) =>
  (other: ReadonlySet<string>): boolean =>
    other === first || (other.size === first.size && Array.from(other).every((value) => first.has(value)))

const slices = (topics: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const parts: Array<ReadonlyArray<string>> = []
  for (let from = 0; from < topics.length; from += atMost) parts.push(topics.slice(from, from + atMost))
  return parts
}

const topicsOf = (word: unknown): ReadonlyArray<string> =>
  Predicate.hasProperty(word, "topics") && Array.isArray(word.topics) && word.topics.every(Predicate.isString)
    ? word.topics
    : []

const numberOf = (word: unknown): number =>
  Predicate.hasProperty(word, "number") && Number.isSafeInteger(word.number) ? (word.number as number) : 0

const isFormer = (former: unknown): former is readonly [epoch: string, stand: Stand] =>
  Array.isArray(former) && Predicate.isString(former[0]) && isStand(former[1])

export const isStand = (stand: unknown): stand is Stand =>
  Array.isArray(stand) && Predicate.isString(stand[0]) && stand.slice(1, 4).every((n) => Number.isSafeInteger(n))
