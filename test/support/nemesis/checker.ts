/**
 * Looks for broken promises in what the clients have heard. Pure: knows the promises, and nothing of how they are kept.
 */
import type { Connection, History, Item, Publish } from "./history.ts"

export type Kind =
  /** A publisher's messages in another order than it has said them. */
  | "order"
  /** A message twice on one connection. */
  | "duplicate"
  /** A message that nobody has said, or that belongs elsewhere. */
  | "foreign"
  /** A hole between two messages of one publisher, and no gap in its place says so. */
  | "missing"
  /** A message that has not arrived at the end of a line, and no gap behind the last says so. */
  | "lost tail"
  /** A message of a publisher on the same node. */
  | "local"
  /** Gaps say that fewer are missing than there are. */
  | "too few"
  /** Gaps say that more are missing than there can be. */
  | "too many"

export interface Violation {
  readonly kind: Kind
  readonly connection: string
  readonly feed: string
  readonly text: string
}

/** Milliseconds after which a lost message has been told as such, whatever has gone wrong meanwhile. */
const foundWithin = 30_000

type Message = Extract<Item, { readonly by: string }>
type Told = Extract<Item, { readonly missed: number }>

const isTold = (item: Item): item is Told => "missed" in item

/** What a connection has heard of one publisher in one feed: sequence numbers, and their places. */
interface Line {
  readonly seqs: Array<number>
  readonly places: Array<number>
}

/** Places between which a missing message belongs, both excluded. */
interface Span {
  readonly from: number
  readonly to: number
}

/** Messages that one reader misses of one publisher, in one place. */
interface Hole {
  readonly span: Span
  readonly messages: Array<Publish>
}

/** Everything about one feed of one connection. */
class Reader {
  readonly #history: History
  readonly #connection: Connection
  readonly #feed: string
  readonly #items: ReadonlyArray<Item>
  readonly #lines = new Map<string, Line>()
  readonly violations: Array<Violation> = []

  constructor(history: History, connection: Connection, feed: string) {
    this.#history = history
    this.#connection = connection
    this.#feed = feed
    this.#items = connection.heard.get(feed) ?? []
  }

  #found(kind: Kind, text: string): void {
    this.violations.push({ kind, connection: this.#connection.id, feed: this.#feed, text })
  }

  check(): void {
    for (const [place, item] of this.#items.entries()) if (!isTold(item)) this.#hear(item, place)
    let missing = 0
    for (const [by, line] of this.#publishers) {
      for (const hole of this.#holes(by, line)) missing += this.#checkHole(by, hole)
    }
    this.#checkCounts(missing)
  }

  #hear({ by, seq }: Message, place: number): void {
    const text = `${by} #${seq}`
    if (this.#history.find(by, this.#feed, seq) === undefined || !this.#connection.feeds.includes(this.#feed)) {
      return this.#found("foreign", text)
    }
    const line = this.#lines.get(by) ?? { seqs: [], places: [] }
    this.#lines.set(by, line)
    const last = line.seqs.at(-1) ?? 0
    if (seq <= last) return this.#found(line.seqs.includes(seq) ? "duplicate" : "order", `${text} after #${last}`)
    line.seqs.push(seq)
    line.places.push(place)
  }

  /** Those it has heard, and, where the end of what is said counts as well, all others. */
  get #publishers(): ReadonlyArray<readonly [by: string, line: Line]> {
    const nothing: Line = { seqs: [], places: [] }
    const all = this.#history.publishes.get(this.#feed)?.keys() ?? []
    return Array.from(all, (by) => [by, this.#lines.get(by) ?? nothing])
  }

  /** What is missing of a publisher, where it is missing. */
  #holes(by: string, { places, seqs }: Line): ReadonlyArray<Hole> {
    const said = this.#history.publishes.get(this.#feed)?.get(by) ?? []
    const holes = new Map<number, Hole>()
    let next = 0
    for (const publish of said) {
      while (next < seqs.length && seqs[next]! < publish.seq) next++
      if (seqs[next] === publish.seq) continue
      const isBetween = next > 0 && next < seqs.length
      if (isBetween ? this.#isExcused(publish) : !this.#isOwed(publish)) continue
      const hole = holes.get(next) ?? {
        span: { from: places[next - 1] ?? -1, to: places[next] ?? this.#items.length },
        messages: []
      }
      holes.set(next, hole)
      hole.messages.push(publish)
    }
    return Array.from(holes.values())
  }

  #lifeOf({ by }: Publish): string | undefined {
    return this.#history.connections.get(by)?.life
  }

  #isLocal(publish: Publish): boolean {
    return this.#lifeOf(publish) === this.#connection.life
  }

  #hasEnded(publish: Publish): boolean {
    return this.#history.lives.get(this.#lifeOf(publish) ?? "")?.endedAt !== undefined
  }

  /** The publisher's node died before it had acknowledged the message. */
  #isExcused(publish: Publish): boolean {
    return publish.reached === undefined && this.#hasEnded(publish)
  }

  /**
   * Whether a message before the first or behind the last that was heard has to be here: the connection was in the feed
   * before it was said, and is still. Where only the publisher's node had it, and is gone, nobody can know of it.
   */
  #isOwed(publish: Publish): boolean {
    const { closedAt, enteredAt } = this.#connection
    if (enteredAt === undefined || closedAt !== undefined || publish.sentAt <= enteredAt) return false
    if (publish.reached === undefined) return false
    return publish.reached === "everyone" || this.#isLocal(publish) || !this.#hasEnded(publish)
  }

  /** Answers how many messages have to be in the counts of gaps. */
  #checkHole(by: string, { messages, span }: Hole): number {
    const [first] = messages
    const isLocal = this.#isLocal(first!)
    const gaps = this.#items.slice(span.from + 1, span.to).filter(isTold)
    // On its own node a message can only be lost because the reader is slow.
    const told = isLocal ? gaps.filter(({ reason }) => reason === "slow") : gaps
    const text = `${by} on ${this.#lifeOf(first!)}: ${messages.map((one) => this.#textOf(one)).join(", ")}`
    if (told.length === 0) {
      const isTail = span.to === this.#items.length
      this.#found(isLocal ? "local" : isTail ? "lost tail" : "missing", text)
      return 0
    }
    if (sumOf(told) < messages.length) this.#found("too few", `${text}: told of ${sumOf(told)}`)
    return messages.length
  }

  #textOf({ reached, sentAt, seq }: Publish): string {
    return `#${seq} (${reached ?? "not acknowledged"}, ${((sentAt - this.#history.startedAt) / 1_000).toFixed(1)} s)`
  }

  #checkCounts(missing: number): void {
    const gaps = this.#items.filter(isTold)
    if (gaps.length === 0) return
    if (sumOf(gaps) < missing) this.#found("too few", `${missing} are missing, told of ${sumOf(gaps)}`)
    const told = gaps.reduce((sum, { missed, reason }) => sum + (reason === "network" ? missed : 0), 0)
    if (told === 0) return
    const possible = this.#possible
    if (told > possible) this.#found("too many", `told of ${told}, which are ${possible} at most`)
  }

  /** How many messages of other nodes were not heard; what was lost shortly before may be told to this connection. */
  get #possible(): number {
    const { beganAt, closedAt = Number.POSITIVE_INFINITY } = this.#connection
    let possible = 0
    for (const [by, said] of this.#history.publishes.get(this.#feed) ?? []) {
      if (this.#isLocal(said[0]!)) continue
      const some = said.filter(({ sentAt }) => sentAt > beganAt - foundWithin && sentAt < closedAt)
      possible += some.length - (this.#lines.get(by)?.seqs.length ?? 0)
    }
    return possible
  }
}

/** How many messages gaps stand for; any number where one of them does not know. */
const sumOf = (gaps: ReadonlyArray<Told>): number =>
  gaps.some(({ missed }) => missed === 0) ? Number.POSITIVE_INFINITY : gaps.reduce((sum, { missed }) => sum + missed, 0)

/** All broken promises of a history. */
export const check = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  for (const connection of history.connections.values()) {
    for (const feed of new Set([...connection.feeds, ...connection.heard.keys()])) {
      const reader = new Reader(history, connection, feed)
      reader.check()
      violations.push(...reader.violations)
    }
  }
  return violations
}

/** A violation as a line of text. */
export const describe = ({ connection, feed, kind, text }: Violation): string =>
  `${kind}: ${connection} in ${feed}: ${text}`
