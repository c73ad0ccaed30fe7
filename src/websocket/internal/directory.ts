/**
 * Who is connected to which route of a server.
 */
import type { Connection } from "../../rooms/Connection.ts"

/** A connection and the way to it. */
export interface Entry {
  readonly connection: Connection
  /** Sends an encoded message; false when the connection is closing or too slow. */
  readonly sendText: (text: string) => boolean
  /** Encodes a message of the route; throws when it does not fit. */
  readonly encode: (message: unknown) => string
}

export class Directory {
  /** By route, so that what is sent to a connection has the type its route says. */
  readonly #routes = new Map<object, Map<string, Entry>>()

  /** Adds a connection in the step in which it was accepted; it goes in the step in which its socket is closed. */
  add(route: object, entry: Entry): void {
    let entries = this.#routes.get(route)
    if (entries === undefined) this.#routes.set(route, (entries = new Map()))
    const { connection } = entry
    entries.set(connection.id, entry)
    connection.onClose(() => entries.delete(connection.id))
  }

  of(route: object): ReadonlyMap<string, Entry> {
    return this.#routes.get(route) ?? new Map()
  }
}
