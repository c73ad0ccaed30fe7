/**
 * Entries every node has of every other: who is where. A value, and what changes it.
 *
 * A node is the only writer of its own entries and numbers its changes one by one. What others have of it is its entries
 * at one version; a change that does not follow on that version is not applied, and all entries are asked for instead.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"

/** Sets an entry, or removes it where there is no value. */
export interface Change {
  readonly table: string
  readonly key: string
  readonly value: Schema.Json | undefined
}

type Entries = HashMap.HashMap<string, Schema.Json>

/** What one node has said of itself; at version 0 it has said nothing. */
export interface Replica {
  readonly version: number
  readonly tables: HashMap.HashMap<string, Entries>
}

/** What is known of a node that has said nothing. */
export const empty: Replica = { version: 0, tables: HashMap.empty() }

/** What a delta did. */
export type Applied =
  | { readonly _tag: "Applied"; readonly replica: Replica }
  /** It was known already. */
  | { readonly _tag: "Known" }
  /** Some in between are missing. */
  | { readonly _tag: "Behind" }

/** The entries of one table. */
export const table = (replica: Replica, name: string): Entries =>
  Option.getOrElse(HashMap.get(replica.tables, name), () => HashMap.empty<string, Schema.Json>())

/** The replica at another version, with the changes. */
export const change = (replica: Replica, version: number, changes: ReadonlyArray<Change>): Replica => {
  let { tables } = replica
  for (const { key, table: name, value } of changes) {
    const entries = Option.getOrElse(HashMap.get(tables, name), () => HashMap.empty<string, Schema.Json>())
    const next = value === undefined ? HashMap.remove(entries, key) : HashMap.set(entries, key, value)
    tables = HashMap.isEmpty(next) ? HashMap.remove(tables, name) : HashMap.set(tables, name, next)
  }
  return { version, tables }
}

/** Those of the changes that change anything; each entry is in one of them at most. */
export const effective = (replica: Replica, changes: ReadonlyArray<Change>): ReadonlyArray<Change> =>
  changes.filter(({ key, table: name, value }) => {
    const known = HashMap.get(table(replica, name), key)
    if (value === undefined) return Option.isSome(known)
    return Option.isNone(known) || JSON.stringify(known.value) !== JSON.stringify(value)
  })

/** Applies the changes that make a version out of the one before it. */
export const apply = (replica: Replica, version: number, changes: ReadonlyArray<Change>): Applied => {
  if (version <= replica.version) return { _tag: "Known" }
  if (version > replica.version + 1) return { _tag: "Behind" }
  return { _tag: "Applied", replica: change(replica, version, changes) }
}

/** All entries of a replica, one after the other, as the changes that make it out of nothing. */
export function* iterate(replica: Replica): Generator<Change, undefined> {
  for (const [name, all] of replica.tables) for (const [key, value] of all) yield { table: name, key, value }
}

/** All entries of a replica at once. */
export const entries = (replica: Replica): ReadonlyArray<Change> => Array.from(iterate(replica))

/** What makes one replica out of another. */
export const between = (before: Replica, after: Replica): ReadonlyArray<Change> => [
  ...entries(before)
    .filter(({ key, table: name }) => !HashMap.has(table(after, name), key))
    .map((entry) => ({ ...entry, value: undefined })),
  ...effective(before, entries(after))
]
