/**
 * Nodes without a network between them: what one tells the others waits until the test delivers it, is lost where the
 * test cuts the way, and a node is down for another when the test says so.
 *
 * As in a cluster a node is the only writer of its entries, what it changes between two deliveries goes out together,
 * and one who missed something is given everything anew. Values are JSON on the way.
 */
import type * as Schema from "effect/Schema"
import * as Effect from "effect/Effect"
import type { Peers, Shared } from "../../src/internal/peers.ts"

interface Change {
  readonly table: string
  readonly key: string
  /** JSON; `undefined` takes the entry back. */
  readonly text: string | undefined
}

/** Entries by table and key, as JSON. */
type Entries = Map<string, Map<string, string>>

/** What one node knows of another. */
interface View {
  readonly epoch: string
  /** How many deltas of the other it has. */
  version: number
  readonly entries: Entries
}

interface Letter {
  readonly to: string
  readonly name: string
  readonly text: string
}

const put = (entries: Entries, { key, table, text }: Change): void => {
  const all = entries.get(table) ?? new Map<string, string>()
  entries.set(table, all)
  if (text === undefined) all.delete(key)
  else all.set(key, text)
}

const list = (entries: Entries): ReadonlyArray<Change> =>
  Array.from(entries).flatMap(([table, all]) => Array.from(all, ([key, text]) => ({ table, key, text })))

/** What makes one out of the other. */
const between = (before: Entries, after: Entries): ReadonlyArray<Change> => [
  ...list(before).flatMap(({ key, table }) =>
    after.get(table)?.has(key) === true ? [] : [{ table, key, text: undefined }]
  ),
  ...list(after).filter(({ key, table, text }) => before.get(table)?.get(key) !== text)
]

export class FakeNode implements Peers {
  readonly name: string
  readonly #cluster: FakeCluster
  #starts = 0
  #deltas: Array<ReadonlyArray<Change>> = []
  #pending = new Map<string, Change>()
  readonly #tables = new Map<string, (changes: ReadonlyArray<Shared>) => void>()
  readonly #boxes = new Map<string, (from: string, letter: Schema.Json) => void>()
  readonly views = new Map<FakeNode, View>()
  /** What it says of itself. */
  readonly own: Entries = new Map()
  letters: Array<Letter> = []
  crashed = false
  hasLeft = false
  /** Bytes of entries and letters, told once each. */
  bytes = 0
  /** Entries told. */
  changes = 0

  constructor(name: string, cluster: FakeCluster) {
    this.name = name
    this.#cluster = cluster
  }

  get epoch(): string {
    return `${this.name}.${this.#starts}`
  }

  get version(): number {
    return this.#deltas.length
  }

  get isQuiet(): boolean {
    return this.crashed || (this.#pending.size === 0 && this.letters.length === 0)
  }

  readonly link = () => Effect.die(new Error("there are no channels here"))

  readonly table: Peers["table"] = (name, onChange) => {
    const set = (key: string, value: Schema.Json | undefined) => {
      const text = value === undefined ? undefined : JSON.stringify(value)
      this.#pending.set(JSON.stringify([name, key]), { table: name, key, text })
      put(this.own, { table: name, key, text })
    }
    const others = () =>
      Array.from(this.views.values()).flatMap(({ entries, epoch }) =>
        Array.from(entries.get(name) ?? [], ([key, text]) => ({ owner: epoch, key, value: JSON.parse(text) }))
      )
    return Effect.acquireRelease(
      Effect.sync(() => {
        this.#tables.set(name, onChange)
        return { set, delete: (key: string) => set(key, undefined), others }
      }),
      () =>
        Effect.sync(() => {
          this.#tables.delete(name)
          for (const key of Array.from(this.own.get(name)?.keys() ?? [])) set(key, undefined)
        })
    )
  }

  readonly mail: Peers["mail"] = (name, onLetter) =>
    Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => void this.#boxes.set(name, onLetter)),
        () => Effect.sync(() => void this.#boxes.delete(name))
      ),
      { send: (to, letter) => void this.letters.push({ to, name, text: JSON.stringify(letter) }) }
    )

  /** Time does not pass here. */
  readonly later: Peers["later"] = () => {}

  readonly nodes: Peers["nodes"] = () =>
    Array.from(this.views, ([{ hasLeft }, { epoch }]) => ({ epoch, heardAgo: 0, stale: hasLeft }))

  readonly leave = Effect.sync(() => {
    this.hasLeft = true
  })

  /** Numbers what has changed since the last time. */
  flush(): void {
    if (this.#pending.size === 0) return
    const delta = Array.from(this.#pending.values())
    this.#pending = new Map()
    this.#deltas.push(delta)
    this.changes += delta.length
    for (const { key, table, text } of delta) this.bytes += Buffer.byteLength(JSON.stringify([table, key, text])) + 1
  }

  /** Takes what another node has said since the last time; everything in one where nothing is known, or some is lost. */
  hear(from: FakeNode, how: "deltas" | "all" = "deltas"): void {
    const view = this.views.get(from)
    if (view !== undefined && view.epoch !== from.epoch) {
      this.forget(from)
      return this.hear(from)
    }
    const known = view ?? { epoch: from.epoch, version: 0, entries: new Map() }
    this.views.set(from, known)
    if (view === undefined || how === "all") {
      const missing = between(known.entries, from.#said)
      known.version = from.version
      return this.#tell(known, missing)
    }
    for (; known.version < from.version; known.version++) this.#tell(known, from.#deltas[known.version]!)
  }

  /** All it has told, without what waits. */
  get #said(): Entries {
    const said: Entries = new Map()
    for (const delta of this.#deltas) for (const change of delta) put(said, change)
    return said
  }

  /** Another node is down: all it has said is taken back in one call for each table. */
  forget(other: FakeNode): void {
    const view = this.views.get(other)
    this.views.delete(other)
    if (view !== undefined) this.#tell(view, between(view.entries, new Map()))
  }

  #tell(view: View, changes: ReadonlyArray<Change>): void {
    for (const change of changes) put(view.entries, change)
    for (const [table, some] of Map.groupBy(changes, (change) => change.table)) {
      const shared = some.map(({ key, text }) => ({
        owner: view.epoch,
        key,
        value: text === undefined ? undefined : JSON.parse(text)
      }))
      this.#tables.get(table)?.(shared)
    }
  }

  read(from: FakeNode, { name, text }: Letter): void {
    this.bytes += Buffer.byteLength(text)
    this.#boxes.get(name)?.(from.epoch, JSON.parse(text))
  }

  /** Slept for so long that the others have taken it for gone: it is another now, and says the same. */
  rebirth(): void {
    this.#starts++
    this.flush()
    this.#deltas = [list(this.own)]
    for (const other of this.#cluster.nodes) if (other !== this) other.forget(this)
  }
}

export class FakeCluster {
  readonly nodes: Array<FakeNode> = []
  readonly #cuts = new Set<string>()

  /** A node that knows nobody yet, and nobody knows. */
  start(name: string): FakeNode {
    const node = new FakeNode(`${name}${this.nodes.length}`, this)
    this.nodes.push(node)
    return node
  }

  /** Loses what one node sends to the other until the way is healed. */
  cut(from: FakeNode, to: FakeNode): void {
    this.#cuts.add(`${from.name} ${to.name}`)
  }

  /** Cuts both ways. */
  part(a: FakeNode, b: FakeNode): void {
    this.cut(a, b)
    this.cut(b, a)
  }

  heal(): void {
    this.#cuts.clear()
  }

  get isWhole(): boolean {
    return this.#cuts.size === 0
  }

  isCut(from: FakeNode, to: FakeNode): boolean {
    return this.#cuts.has(`${from.name} ${to.name}`)
  }

  /** Ends a node without a word: what waits is lost. Others know it until they `forget` it. */
  crash(node: FakeNode): void {
    node.crashed = true
    node.letters = []
  }

  /** Delivers from one node to another; a crashed one says and hears nothing. */
  deliver(from: FakeNode, to: FakeNode, how?: "deltas" | "all"): void {
    if (from === to || from.crashed || to.crashed) return
    from.flush()
    const letters = from.letters.filter((letter) => letter.to === to.epoch)
    from.letters = from.letters.filter((letter) => letter.to !== to.epoch)
    if (this.isCut(from, to)) return
    to.hear(from, how)
    for (const letter of letters) to.read(from, letter)
  }

  /** Delivers from everybody to everybody, until there is nothing more to say. */
  settle(): void {
    for (let round = 0; round < 50; round++) {
      for (const from of this.nodes) {
        if (!from.crashed) from.flush()
        for (const to of this.nodes) this.deliver(from, to)
      }
      const epochs = new Set(this.nodes.flatMap((node) => (node.crashed ? [] : [node.epoch])))
      for (const node of this.nodes) node.letters = node.letters.filter(({ to }) => epochs.has(to))
      if (this.nodes.every(({ isQuiet }) => isQuiet)) return
    }
    throw new Error("the nodes do not stop talking")
  }

  /** Everybody notices who has crashed, or is out of reach both ways. */
  notice(): void {
    for (const node of this.nodes) {
      for (const other of this.nodes) if (other.crashed || this.isCut(other, node)) node.forget(other)
    }
  }
}
