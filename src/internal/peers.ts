/**
 * The other nodes, as the services of this one see them. Channels, presence and rooms hand over what concerns others and
 * are called back; who the others are and how they are reached is known to whoever provides this.
 *
 * Without it a node is alone, which is the default.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/** A channel, as the others reach it on this node. Called in single steps; must not throw. */
export interface LinkedChannel {
  /** Tells channels from each other; the same on every node. */
  readonly name: string
  /** Random name of this start of the channel. */
  readonly epoch: string
  /** Delivers what was published on another node: the encoded message, the name of the publish, who is left out. */
  readonly deliver: (identifier: string, body: string, id: string, except: ReadonlyArray<string>) => void
  /** Messages of other nodes are missing: so many, or 0 where nobody knows how many. */
  readonly lose: (identifier: string, missed: number) => void
}

/** The way of a channel to the same channel on other nodes. */
export interface Link {
  /**
   * Sends the n-th publish of the channel on its way at the end of the turn. The message is encoded in this step, if any
   * other node listens; one that cannot be is a gap there. `done` is told whether the others can have it: the bus has
   * taken it, or nobody listens.
   */
  readonly publish: (
    identifier: string,
    encode: () => string | undefined,
    number: number,
    except: ReadonlyArray<string>,
    done: ((reached: boolean) => void) | undefined
  ) => void
  /** Hears what others publish to a key until the scope closes; everything they publish once this has returned. */
  readonly open: (identifier: string) => Effect.Effect<void, Refused, Scope.Scope>
}

/** What nodes tell each other about themselves: entries by key, each owned by the node that has set it. */
export interface Table {
  /** Sets an entry of this node. */
  readonly set: (key: string, value: Schema.Json) => void
  readonly delete: (key: string) => void
  /** What all other nodes have set. */
  readonly others: () => Iterable<Shared>
}

/** An entry of another node. */
export interface Shared {
  /** The incarnation of the node that owns it. */
  readonly owner: string
  readonly key: string
  /** `undefined` when it has gone. */
  readonly value: Schema.Json | undefined
}

/** Messages to the service of one name on other nodes: at most once, in order from node to node. */
export interface Mail {
  readonly send: (to: string, letter: Schema.Json) => void
}

/** Another node. */
export interface PeerNode {
  readonly epoch: string
  /** Milliseconds since it was last heard. */
  readonly heardAgo: number
  /** What it has said of itself has not arrived wholly, or it is leaving. */
  readonly stale: boolean
}

/** The other nodes, as the services of this one use them. */
export interface Peers {
  /** Names this start of this node; nothing else ever has the same name. */
  readonly epoch: string
  readonly link: (channel: LinkedChannel) => Effect.Effect<Link, never, Scope.Scope>
  /** Entries under a name. `onChange` is told in one call what belongs together: all of a node that went, for one. */
  readonly table: (
    name: string,
    onChange: (changes: ReadonlyArray<Shared>) => void
  ) => Effect.Effect<Table, never, Scope.Scope>
  readonly mail: (
    name: string,
    onLetter: (from: string, letter: Schema.Json) => void
  ) => Effect.Effect<Mail, never, Scope.Scope>
  /** Does something after some milliseconds, unless the node has stopped by then. */
  readonly later: (millis: number, task: () => void) => void
  /** What is known of the other nodes, but for those that are down. */
  readonly nodes: () => ReadonlyArray<PeerNode>
  /** Says goodbye: the others stop waiting for this node. What it still says of itself counts until it is silent. */
  readonly leave: Effect.Effect<void>
}

/** The bus has refused to let this node hear a key. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { detail: Schema.String }) {
  override get message(): string {
    return `the cluster's bus refused: ${this.detail}`
  }
}

/** The other nodes, where there are any. */
export const CurrentPeers: Context.Reference<Peers | undefined> = Context.Reference<Peers | undefined>(
  "effect-rooms/CurrentPeers",
  { defaultValue: () => undefined }
)
