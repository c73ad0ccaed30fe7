/**
 * Keeps the entries of all nodes on all nodes: own changes go out as deltas, and who has missed one asks for everything.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { Shared, Table } from "../../internal/peers.ts"
import * as State from "../ReplicaState.ts"
import type { Control } from "./control.ts"
import type { Nodes } from "./nodes.ts"
import type { Self } from "./self.ts"
import { type Asked, bytesOf, Transfers } from "./transfers.ts"

export interface ReplicasOptions {
  readonly control: Control
  readonly nodes: Nodes
  readonly self: Self
  readonly context: Context.Context<never>
  /** Runs something after some milliseconds. */
  readonly later: (millis: number, task: () => void) => void
}

/** How long changes are collected before they go out. */
const window = 50
/** How long a delta may be on its way before everything is asked for. */
const patience = 300
/** Deltas kept while everything is on its way. */
const maxHeld = 1024

/** All entries of another node, as far as they have come. */
interface Incoming {
  readonly version: number
  /** The next part. */
  part: number
  readonly changes: Array<State.Change>
}

/** What is known of one other node. */
interface Copy {
  replica: State.Replica
  incoming: Incoming | undefined
  /** Deltas that came before what they follow on. */
  held: Map<number, ReadonlyArray<State.Change>>
  asking: boolean
}

export class Replicas {
  readonly #options: ReplicasOptions
  readonly #tables = new Map<string, (changes: ReadonlyArray<Shared>) => void>()
  readonly #copies = new Map<string, Copy>()
  readonly #transfers = new Transfers()
  /** Tables of which an entry was too large. */
  readonly #warned = new Set<string>()
  #own = State.empty
  /** Own changes that have not gone out, the last of each entry. */
  #pending = new Map<string, State.Change>()

  constructor(options: ReplicasOptions) {
    const { control, nodes } = options
    this.#options = options
    control.on("delta", (from, word) => this.#onDelta(from, word))
    control.on("full?", (from, word) => this.#tellPart(from, word))
    control.on("full", (from, word) => this.#onPart(from, word))
    nodes.listen({
      onBeat: (epoch, { version }) => this.#onBeat(epoch, version),
      onEvent: (event) => {
        if (event._tag === "Down") this.#forget(event.node.epoch)
      },
      // As a new incarnation this node has said nothing yet.
      onReborn: () => {
        this.#own = State.change(this.#own, this.#own.version === 0 ? 0 : 1, [])
      }
    })
  }

  get version(): number {
    return this.#own.version
  }

  /** Whether the state of a node that is up has not arrived yet. */
  isBehind(epoch: string): boolean {
    return this.#copies.get(epoch)?.asking === true || !this.#copies.has(epoch)
  }

  /** A table, until it is closed. */
  open(name: string, onChange: (changes: ReadonlyArray<Shared>) => void): Table & { readonly close: () => void } {
    this.#tables.set(name, onChange)
    const set = (key: string, value: Schema.Json | undefined) => this.#change({ table: name, key, value })
    const others = (): ReadonlyArray<Shared> =>
      Array.from(this.#copies).flatMap(([owner, { replica }]) =>
        Array.from(State.table(replica, name), ([key, value]) => ({ owner, key, value }))
      )
    return {
      set,
      delete: (key) => set(key, undefined),
      others,
      close: () => {
        this.#tables.delete(name)
        for (const [key] of State.table(this.#current, name)) set(key, undefined)
      }
    }
  }

  /** Own entries, those that have not gone out included. */
  get #current(): State.Replica {
    return State.change(this.#own, this.#own.version, Array.from(this.#pending.values()))
  }

  #change(change: State.Change): void {
    if (this.#pending.size === 0) this.#options.later(window, () => this.flush())
    this.#pending.set(JSON.stringify([change.table, change.key]), change)
  }

  /** Tells the others what has changed. */
  flush(): void {
    const changes = Array.from(this.#pending.values())
    this.#pending = new Map()
    const { control } = this.#options
    const fitting = changes.map((change) =>
      bytesOf(change) <= control.maxBytes - overhead ? change : this.#omit(change)
    )
    for (const some of split(fitting, control.maxBytes)) {
      this.#own = State.change(this.#own, this.#own.version + 1, some)
      control.tell("delta", { version: this.#own.version, changes: toJson(some) })
    }
  }

  /** An entry that no packet can hold is not there for the others, rather than as it was before. */
  #omit({ key, table }: State.Change): State.Change {
    if (!this.#warned.has(table)) {
      this.#warned.add(table)
      const log = Effect.logError("an entry is too large for the event bus: other nodes do not know it")
      Effect.runForkWith(this.#options.context)(Effect.annotateLogs(log, { table, key: key.slice(0, 200) }))
    }
    return { table, key, value: undefined }
  }

  #tellPart(to: string, word: unknown): void {
    if (!isAsked(word) || !this.#options.nodes.isThere(to)) return
    const { control } = this.#options
    const part = this.#transfers.part(to, word, this.#own, control.maxBytes - overhead)
    control.tellOne(to, "full", { ...part, changes: toJson(part.changes) })
  }

  #copy(epoch: string): Copy {
    const known = this.#copies.get(epoch)
    if (known !== undefined) return known
    const copy: Copy = { replica: State.empty, incoming: undefined, held: new Map(), asking: false }
    this.#copies.set(epoch, copy)
    return copy
  }

  #onBeat(epoch: string, version: number): void {
    const { later, nodes } = this.#options
    if (!nodes.isUp(epoch)) return
    const isNew = !this.#copies.has(epoch)
    const copy = this.#copy(epoch)
    if (version === copy.replica.version) return
    if (isNew) return this.#ask(epoch, copy)
    // A delta may be on its way still.
    later(patience, () => {
      const now = this.#copies.get(epoch)
      if (now !== undefined && now.replica.version < version) this.#ask(epoch, now)
    })
  }

  #ask(epoch: string, copy: Copy): void {
    if (copy.asking) return
    copy.asking = true
    this.#askPart(epoch, copy)
    this.#askAgain(epoch, copy)
  }

  #askPart(epoch: string, { incoming }: Copy): void {
    const asked: Asked = { version: incoming?.version ?? 0, part: incoming?.part ?? 0 }
    this.#options.control.tellOne(epoch, "full?", { ...asked })
  }

  /** Asks again for what has not come within a second. */
  #askAgain(epoch: string, copy: Copy): void {
    const { later, nodes } = this.#options
    const { incoming } = copy
    const part = incoming?.part
    later(1_000, () => {
      if (this.#copies.get(epoch) !== copy || !copy.asking) return
      if (!nodes.isUp(epoch)) {
        copy.asking = false
        copy.incoming = undefined
        return
      }
      if (copy.incoming === incoming && copy.incoming?.part === part) this.#askPart(epoch, copy)
      this.#askAgain(epoch, copy)
    })
  }

  #onDelta(from: string, word: unknown): void {
    if (!this.#options.nodes.counts(from) || !isNumbered(word)) return
    const changes = fromJson(word.changes)
    const copy = this.#copies.get(from)
    if (changes === undefined || copy === undefined) return
    const applied = State.apply(copy.replica, word.version, changes)
    if (applied._tag === "Known") return
    if (applied._tag === "Behind") {
      if (copy.held.size < maxHeld) copy.held.set(word.version, changes)
      return this.#ask(from, copy)
    }
    this.#follow(from, copy, applied.replica, changes)
    this.#release(from, copy)
  }

  #follow(from: string, copy: Copy, replica: State.Replica, changes: ReadonlyArray<State.Change>): void {
    const effective = State.effective(copy.replica, changes)
    copy.replica = replica
    this.#announce(from, effective)
  }

  /** Applies what came too early and has its turn now. */
  #release(from: string, copy: Copy): void {
    for (let next = copy.replica.version + 1; copy.held.size > 0; next++) {
      const changes = copy.held.get(next)
      if (changes === undefined) break
      copy.held.delete(next)
      this.#follow(from, copy, State.change(copy.replica, next, changes), changes)
    }
    for (const version of copy.held.keys()) if (version <= copy.replica.version) copy.held.delete(version)
  }

  #onPart(from: string, word: unknown): void {
    const copy = this.#copies.get(from)
    if (copy?.asking !== true || !isNumbered(word) || !isPart(word)) return
    const changes = fromJson(word.changes)
    if (changes === undefined || word.version < copy.replica.version) return
    // The other begins anew when it does not know any more how far it was.
    if (word.part === 0 && (copy.incoming?.version !== word.version || copy.incoming.part > 1)) {
      copy.incoming = { version: word.version, part: 0, changes: [] }
    }
    const { incoming } = copy
    if (incoming?.version !== word.version || incoming.part !== word.part) return
    for (const change of changes) incoming.changes.push(change)
    incoming.part++
    if (!word.isLast) return this.#askPart(from, copy)
    this.#take(from, copy, State.change(State.empty, word.version, incoming.changes))
  }

  /** Everything has come. */
  #take(from: string, copy: Copy, replica: State.Replica): void {
    const before = copy.replica
    copy.incoming = undefined
    copy.asking = false
    copy.replica = replica
    this.#announce(from, State.between(before, replica))
    this.#release(from, copy)
    if (copy.held.size === 0) return
    // Where nothing is new, those in between do not exist; otherwise they may be on their way.
    if (replica.version === before.version) return copy.held.clear()
    this.#options.later(patience, () => {
      if (this.#copies.get(from) === copy && copy.held.size > 0) this.#ask(from, copy)
    })
  }

  #forget(epoch: string): void {
    const copy = this.#copies.get(epoch)
    this.#copies.delete(epoch)
    this.#transfers.forget(epoch)
    if (copy !== undefined) this.#announce(epoch, State.between(copy.replica, State.empty))
  }

  /** Tells each table in one call what belongs together. */
  #announce(owner: string, changes: ReadonlyArray<State.Change>): void {
    const byTable = new Map<string, Array<Shared>>()
    for (const { key, table, value } of changes) {
      const some = byTable.get(table)
      const shared = { owner, key, value }
      if (some === undefined) byTable.set(table, [shared])
      else some.push(shared)
    }
    for (const [table, some] of byTable) this.#tables.get(table)?.(some)
  }

  /** Entries of all nodes, this one included, for people to look at. */
  get size(): number {
    let size = 0
    for (const { replica } of this.#copies.values()) for (const [, all] of replica.tables) size += HashMap.size(all)
    return size
  }
}

/** Room for what is around the changes in a word. */
const overhead = 128

/** As many changes together as fit. */
const split = (changes: ReadonlyArray<State.Change>, maxBytes: number): ReadonlyArray<ReadonlyArray<State.Change>> => {
  const parts: Array<Array<State.Change>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const change of changes) {
    const more = bytesOf(change)
    if (bytes + more > maxBytes - overhead) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(change)
    bytes += more
  }
  return parts
}

const toJson = (changes: ReadonlyArray<State.Change>): Schema.Json =>
  changes.map(({ key, table, value }) => (value === undefined ? [table, key] : [table, key, value]))

const fromJson = (json: unknown): ReadonlyArray<State.Change> | undefined => {
  if (!Array.isArray(json)) return undefined
  const changes: Array<State.Change> = []
  for (const item of json as ReadonlyArray<unknown>) {
    if (!Array.isArray(item) || !Predicate.isString(item[0]) || !Predicate.isString(item[1])) return undefined
    changes.push({ table: item[0], key: item[1], value: item[2] as Schema.Json | undefined })
  }
  return changes
}

const isNumbered = (word: unknown): word is { readonly version: number; readonly changes: unknown } =>
  Predicate.hasProperty(word, "version") && Number.isSafeInteger(word.version) && Predicate.hasProperty(word, "changes")

const isPart = (word: unknown): word is { readonly part: number; readonly isLast: boolean } =>
  Predicate.hasProperty(word, "part") &&
  Number.isSafeInteger(word.part) &&
  Predicate.hasProperty(word, "isLast") &&
  Predicate.isBoolean(word.isLast)

const isAsked = (word: unknown): word is Asked =>
  Predicate.hasProperty(word, "version") &&
  Number.isSafeInteger(word.version) &&
  Predicate.hasProperty(word, "part") &&
  Number.isSafeInteger(word.part)
