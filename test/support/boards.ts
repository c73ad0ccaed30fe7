/**
 * Entries that nodes of a simulated cluster set, and what the others are told of them.
 */
import { Cluster } from "effect-rooms/cluster"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CurrentPeers, type Shared, type Table } from "../../src/internal/peers.ts"

type Value = string

/** The entries of one life of a node, and what it knows of others. */
interface Board {
  readonly own: Map<string, Value>
  /** Keys it has unset at least once. */
  readonly unset: Set<string>
  readonly others: Map<string, Value>
  readonly table: Table
}

/** The entries of this node. */
export class Entries extends Context.Service<Entries, Board>()("simulation/Entries") {}

const idOf = ({ key, owner }: Pick<Shared, "key" | "owner">) => `${owner} ${key}`

const sorted = (map: Iterable<readonly [string, unknown]>) =>
  Array.from(map, ([key, value]) => `${key}=${String(value).trim()}`).toSorted()

const show = (some: ReadonlyArray<string>) => JSON.stringify(some).replaceAll(/x{5,}/g, "x…")

export class Boards {
  readonly #boards = new Map<string, Board>()
  readonly #found: (problem: string) => void
  /** Entries in which something was told of others. */
  changes = 0

  constructor(found: (problem: string) => void) {
    this.#found = found
  }

  /** Provides the entries of a life, with what others say checked as it is told. */
  layer(by: string): Layer.Layer<Entries, never, Cluster.Cluster> {
    return Layer.effect(
      Entries,
      Effect.gen({ self: this }, function* () {
        const peers = yield* CurrentPeers
        const cluster = yield* Cluster.Cluster
        const others = new Map<string, Value>()
        const statusOf = (owner: string) =>
          Effect.runSync(cluster.nodes).find(({ epoch }) => epoch === owner)?.status ?? "unknown"
        const table = yield* peers!.table("board", (changes) => {
          for (const change of changes) this.#told(by, others, change, () => statusOf(change.owner))
        })
        for (const shared of table.others()) others.set(idOf(shared), shared.value as Value)
        const board: Board = { own: new Map(), unset: new Set(), others, table }
        this.#boards.set(by, board)
        // A node that stops takes its entries out.
        yield* Effect.addFinalizer(() => Effect.sync(() => board.own.forEach((_, key) => board.unset.add(key))))
        return board
      })
    )
  }

  /** I9 for one observer: nothing goes twice, nothing comes twice, nothing goes by itself. */
  #told(by: string, others: Map<string, Value>, change: Shared, status: () => string): void {
    this.changes++
    const id = idOf(change)
    const known = others.get(id)
    if (change.value === undefined) {
      if (known === undefined) this.#found(`${by} is told that ${id} goes, which it did not know (I9)`)
      others.delete(id)
      const neverUnset = Array.from(this.#boards.values()).every(({ unset }) => !unset.has(change.key))
      if (neverUnset && status() === "up") this.#found(`${by} is told that ${id} goes, which nobody has taken out (I9)`)
      return
    }
    if (known === change.value) this.#found(`${by} is told twice that ${id} is ${JSON.stringify(known)} (I9)`)
    others.set(id, change.value as Value)
  }

  /** I8: who is there knows what everybody has set who is there, and nothing else. */
  check(present: ReadonlyArray<{ readonly by: string; readonly epoch: string }>): void {
    for (const { by } of present) {
      const board = this.#boards.get(by)!
      const expected = present
        .filter((other) => other.by !== by)
        .flatMap(({ by: owner, epoch }) =>
          Array.from(this.#boards.get(owner)!.own, ([key, value]) => [`${epoch} ${key}`, value] as const)
        )
      const now = Array.from(board.table.others(), (shared) => [idOf(shared), shared.value] as const)
      this.#same(`${by} knows of others`, sorted(expected), sorted(now))
      this.#same(`${by} was told of others`, sorted(expected), sorted(board.others))
    }
  }

  #same(what: string, expected: ReadonlyArray<string>, actual: ReadonlyArray<string>): void {
    const missing = expected.filter((one) => !actual.includes(one))
    const surplus = actual.filter((one) => !expected.includes(one))
    if (missing.length + surplus.length === 0) return
    this.#found(`${what}: without ${show(missing)}, but with ${show(surplus)} (I8)`)
  }
}
