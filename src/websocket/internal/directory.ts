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
import type { Fitting } from "./remoteCodec.ts"
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

/** How a route is known on other nodes. */
export interface Far<out Out> {
  readonly path: string
  /** Checks the text of a message that comes from another node; undefined where it does not fit the route. */
  readonly decode: (text: string) => Fitting<Out> | undefined
}

/** The connections of one route. */
export interface Route {
  readonly route: object
  readonly path: string | undefined
  /** Whether other nodes know it by its path. */
  readonly isNamed: boolean
  readonly entries: ReadonlyMap<string, Entry>
  readonly encode: (message: never) => string
  /** The text of a message; undefined, and reported, when it cannot be made. */
  readonly textOf: (message: never) => string | undefined
  readonly decode: Far<never>["decode"]
  readonly everybody: Batch<never>
}

/** Is told of what comes and goes, in the step in which it does. */
export interface Witness {
  readonly onRoute: (path: string) => void
  readonly onAdded: (id: string, path: string, user: AnyRef | undefined) => void
  readonly onRemoved: (id: string) => void
}

const nobody: ReadonlySet<Entry> = new Set()

/** A user as one text. */
export const userKey = ({ entity, identifier }: AnyRef): string => `${entity}:${identifier}`

export class Directory {
  /** By route, so that what is sent to a connection has the type its route says. */
  readonly #routes = new Map<object, Route & { readonly entries: Map<string, Entry> }>()
  readonly #paths = new Map<string, Route>()
  readonly #entries = new Map<string, Entry>()
  readonly #users = new Map<string, Set<Entry>>()
  witness: Witness | undefined

  /** Adds a route; answers the batch that reaches all of its connections. */
  addRoute<Out>(route: object, encode: (message: Out) => string, wires: Wires<Out>, far?: Far<Out>): Batch<Out> {
    const batch = wires.of<Out>(undefined).open("everybody", everybody)
    const textOf = (message: Out) => wires.encode(() => message)
    const decode = (far?.decode ?? (() => undefined)) as Route["decode"]
    const path = far?.path
    const isNamed = path !== undefined && this.pathOf(route, path) === path
    const added = { route, path, isNamed, entries: new Map<string, Entry>(), encode, textOf, decode, everybody: batch }
    this.#routes.set(route, added)
    if (isNamed) {
      this.#paths.set(path, added)
      this.witness?.onRoute(path)
    }
    return batch
  }

  /** Adds a connection, in the step in which it was accepted. */
  add(entry: Entry): void {
    const { connection, route } = entry
    const { id, user } = connection
    this.#entries.set(id, entry)
    const { entries, isNamed, path } = this.#routes.get(route) ?? {}
    entries?.set(id, entry)
    if (user !== undefined) this.#addUser(userKey(user), entry)
    if (isNamed === true && path !== undefined) this.witness?.onAdded(id, path, user)
  }

  /** Takes a connection out, in the step in which its socket is closed. */
  remove(entry: Entry): void {
    const { connection, route } = entry
    const { id, user } = connection
    this.#entries.delete(id)
    const { entries, isNamed } = this.#routes.get(route) ?? {}
    entries?.delete(id)
    if (isNamed === true) this.witness?.onRemoved(id)
    if (user !== undefined) this.#removeUser(userKey(user), entry)
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

  /** What a route is called on other nodes: its path, unless that is another's. */
  pathOf(route: object, path: string): string | undefined {
    const known = this.#paths.get(path)
    return known === undefined || known.route === route ? path : undefined
  }

  /** The route other nodes know by a path. */
  routeAt(path: string): Route | undefined {
    return this.#paths.get(path)
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
