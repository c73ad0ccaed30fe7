/**
 * Who is connected to a server: by route, by connection and by user.
 *
 * A connection and a user are addresses, the rooms every connection is in without joining: they are in no list of rooms,
 * and no client can join another's. What is sent to one is a control message, which says nothing of sockets.
 */
import type { AnyRef } from "../../Ref.ts"
import type { Connection } from "../../rooms/Connection.ts"
import type { Batch } from "./batch.ts"
import type { Peer } from "./peer.ts"
import type { Rooms } from "./rooms.ts"
import { everybody, type Wires } from "./wires.ts"

/** One connection, or all of one user. */
export type Address = { readonly connection: string } | { readonly user: AnyRef }

/** What can be done at an address: send an encoded message to the connections of one route, or close all. */
export type Control =
  | { readonly _tag: "Send"; readonly route: object; readonly text: string }
  | { readonly _tag: "Close"; readonly code: number; readonly reason: string }

/** A connection and the way to it. */
export interface Entry {
  readonly route: object
  readonly connection: Connection
  readonly peer: Peer
  /** The rooms it is in. */
  readonly own: Rooms<never>
}

/** The connections of one route. */
export interface Route {
  readonly entries: ReadonlyMap<string, Entry>
  readonly encode: (message: never) => string
  readonly everybody: Batch<never>
}

const nobody: ReadonlySet<Entry> = new Set()
const userKey = ({ entity, identifier }: AnyRef): string => `${entity}:${identifier}`

export class Directory {
  /** By route, so that what is sent to a connection has the type its route says. */
  readonly #routes = new Map<
    object,
    { entries: Map<string, Entry>; encode: Route["encode"]; everybody: Batch<never> }
  >()
  readonly #entries = new Map<string, Entry>()
  readonly #users = new Map<string, Set<Entry>>()

  /** Adds a route; answers the batch that reaches all of its connections. */
  addRoute<Out>(route: object, encode: (message: Out) => string, wires: Wires<Out>): Batch<Out> {
    const batch = wires.of<Out>(undefined).open("everybody", everybody)
    this.#routes.set(route, { entries: new Map(), encode, everybody: batch })
    return batch
  }

  /** Adds a connection in the step in which it was accepted; it goes in the step in which its socket is closed. */
  add(entry: Entry): void {
    const { connection, route } = entry
    const { id, user } = connection
    this.#entries.set(id, entry)
    const entries = this.#routes.get(route)?.entries
    entries?.set(id, entry)
    if (user !== undefined) this.#addUser(userKey(user), entry)
    connection.onClose(() => {
      this.#entries.delete(id)
      entries?.delete(id)
      if (user !== undefined) this.#removeUser(userKey(user), entry)
    })
  }

  #addUser(key: string, entry: Entry): void {
    const entries = this.#users.get(key)
    if (entries === undefined) this.#users.set(key, new Set([entry]))
    else entries.add(entry)
  }

  #removeUser(key: string, entry: Entry): void {
    const entries = this.#users.get(key)
    entries?.delete(entry)
    if (entries?.size === 0) this.#users.delete(key)
  }

  route(route: object): Route | undefined {
    return this.#routes.get(route)
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries
  }

  ofUser(user: AnyRef): ReadonlySet<Entry> {
    return this.#users.get(userKey(user)) ?? nobody
  }

  #at(address: Address): Iterable<Entry> {
    if ("user" in address) return this.ofUser(address.user)
    const entry = this.#entries.get(address.connection)
    return entry === undefined ? [] : [entry]
  }

  /** Does what a control message says; answers how many connections it reached. */
  control(address: Address, control: Control): number {
    let reached = 0
    for (const { connection, peer, route } of this.#at(address)) {
      if (control._tag === "Close") {
        connection.close(control.code, control.reason)
        reached++
      } else if (control.route === route && peer.send(control.text)) reached++
    }
    return reached
  }
}
