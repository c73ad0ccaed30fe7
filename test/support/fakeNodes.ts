/**
 * Nodes without a network: what one says is known to the others in the same step. For what real buses do not do on
 * command: words nobody understands, refusals, silence, and what is known of nodes.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { type Peers, Refused, type Shared } from "../../src/internal/peers.ts"

const opened = (open: () => void, close: () => void) =>
  Effect.acquireRelease(Effect.sync(open), () => Effect.sync(close))

type OnChange = (changes: ReadonlyArray<Shared>) => void
type OnLetter = (from: string, letter: Schema.Json) => void

/** What a node says of another. */
export interface FakeNodeInfo {
  readonly epoch: string
  readonly heardAgo: number
  readonly stale: boolean
}

class FakeNode {
  readonly tables = new Map<string, OnChange>()
  readonly boxes = new Map<string, OnLetter>()
  readonly entries = new Map<string, Map<string, Schema.Json>>()
  peers: Peers | undefined
}

export interface Letter {
  readonly from: string
  readonly to: string
  readonly letter: Schema.Json
}

export class FakeNodes {
  readonly #nodes = new Map<string, FakeNode>()
  /** Letters that were sent, lost ones included. */
  readonly letters: Array<Letter> = []
  /** Loses letters of which this answers true. */
  lose: (letter: Letter) => boolean = () => false
  /** Keys nobody may hear. */
  readonly refused = new Set<string>()
  /** What the nodes know of each other. */
  infos: ReadonlyArray<FakeNodeInfo> = []

  /** Says something in a table on behalf of a node that has no service. */
  say(
    owner: string,
    table: string,
    changes: ReadonlyArray<readonly [key: string, value: Schema.Json | undefined]>
  ): void {
    const node = this.#node(owner)
    const entries = node.entries.get(table) ?? new Map<string, Schema.Json>()
    node.entries.set(table, entries)
    for (const [key, value] of changes) {
      if (value === undefined) entries.delete(key)
      else entries.set(key, value)
    }
    for (const [epoch, other] of this.#nodes) {
      if (epoch !== owner) other.tables.get(table)?.(changes.map(([key, value]) => ({ owner, key, value })))
    }
  }

  /** Writes a letter on behalf of a node. */
  write(from: string, to: string, name: string, letter: Schema.Json): void {
    const written = { from, to, letter }
    this.letters.push(written)
    if (!this.lose(written)) this.#nodes.get(to)?.boxes.get(name)?.(from, letter)
  }

  /** A node is down: the others forget what it has said, one table after the other. */
  crash(owner: string): void {
    const node = this.#node(owner)
    this.#nodes.delete(owner)
    for (const [table, entries] of node.entries) {
      const gone = Array.from(entries.keys(), (key) => ({ owner, key, value: undefined }))
      for (const other of this.#nodes.values()) other.tables.get(table)?.(gone)
    }
  }

  #node(epoch: string): FakeNode {
    const known = this.#nodes.get(epoch)
    if (known !== undefined) return known
    const node = new FakeNode()
    this.#nodes.set(epoch, node)
    return node
  }

  /** What a node sees of the others; the same for the same node. */
  peers(epoch: string): Peers {
    return (this.#node(epoch).peers ??= this.#make(epoch))
  }

  #make(epoch: string): Peers {
    const node = this.#node(epoch)
    return {
      epoch,
      link: () =>
        Effect.succeed({
          publish: (_identifier, _body, _number, _except, done) => done?.(true),
          open: (identifier) =>
            Effect.suspend(() =>
              this.refused.has(identifier) ? Effect.fail(new Refused({ detail: "not this one" })) : Effect.void
            )
        }),
      table: (name, onChange) =>
        Effect.as(
          opened(
            () => void node.tables.set(name, onChange),
            () => {
              node.tables.delete(name)
              this.say(
                epoch,
                name,
                Array.from(node.entries.get(name)?.keys() ?? [], (key) => [key, undefined] as const)
              )
            }
          ),
          {
            set: (key, value) => this.say(epoch, name, [[key, value]]),
            delete: (key) => this.say(epoch, name, [[key, undefined]]),
            others: () =>
              Array.from(this.#nodes).flatMap(([owner, { entries }]) =>
                owner === epoch ? [] : Array.from(entries.get(name) ?? [], ([key, value]) => ({ owner, key, value }))
              )
          }
        ),
      later: () => {},
      mail: (name, onLetter) =>
        Effect.as(
          opened(
            () => void node.boxes.set(name, onLetter),
            () => void node.boxes.delete(name)
          ),
          { send: (to, letter) => this.write(epoch, to, name, letter) }
        ),
      leave: Effect.void,
      nodes: () => this.infos.filter((info) => info.epoch !== epoch)
    }
  }
}
