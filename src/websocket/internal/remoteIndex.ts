/**
 * The connections of other nodes by id, by user and by route, and which node serves which route: indexes that change in
 * the same call.
 */

/** A connection of another node. */
export interface Far {
  readonly id: string
  /** The incarnation of the node. */
  readonly node: string
  /** The path of its route. */
  readonly path: string
  /** The user it belongs to, as one text, if it is anybody's. */
  readonly user: string | undefined
}

const nobody: ReadonlySet<Far> = new Set()
const nowhere: ReadonlySet<string> = new Set()

export class RemoteIndex {
  readonly #byId = new Map<string, Far>()
  readonly #byUser = new Map<string, Set<Far>>()
  /** How many connections a route has. */
  readonly #sizes = new Map<string, number>()
  readonly #nodes = new Map<string, Set<string>>()

  get size(): number {
    return this.#byId.size
  }

  get(id: string): Far | undefined {
    return this.#byId.get(id)
  }

  ofUser(user: string): ReadonlySet<Far> {
    return this.#byUser.get(user) ?? nobody
  }

  /** How many connections of other nodes a route has. */
  sizeOf(path: string): number {
    return this.#sizes.get(path) ?? 0
  }

  /** The nodes that serve a route. */
  serving(path: string): ReadonlySet<string> {
    return this.#nodes.get(path) ?? nowhere
  }

  /** The nodes that serve any route. */
  get servers(): ReadonlySet<string> {
    return new Set(Array.from(this.#nodes.values(), (nodes) => Array.from(nodes)).flat())
  }

  /** Adds a connection. An id is never used twice: where two nodes claim it, the one that said so last has it. */
  add(far: Far): void {
    this.#drop(this.#byId.get(far.id))
    this.#byId.set(far.id, far)
    this.#sizes.set(far.path, this.sizeOf(far.path) + 1)
    if (far.user !== undefined) insert(this.#byUser, far.user, far)
  }

  /** Removes a connection, if it is that node's. */
  remove(node: string, id: string): void {
    const far = this.#byId.get(id)
    if (far?.node === node) this.#drop(far)
  }

  #drop(far: Far | undefined): void {
    if (far === undefined) return
    this.#byId.delete(far.id)
    const left = this.sizeOf(far.path) - 1
    if (left === 0) this.#sizes.delete(far.path)
    else this.#sizes.set(far.path, left)
    if (far.user !== undefined) erase(this.#byUser, far.user, far)
  }

  serves(node: string, path: string): void {
    insert(this.#nodes, path, node)
  }

  servesNoMore(node: string, path: string): void {
    erase(this.#nodes, path, node)
  }
}

const insert = <A>(index: Map<string, Set<A>>, key: string, value: A): void => {
  const values = index.get(key)
  if (values === undefined) index.set(key, new Set([value]))
  else values.add(value)
}

const erase = <A>(index: Map<string, Set<A>>, key: string, value: A): void => {
  const values = index.get(key)
  values?.delete(value)
  if (values?.size === 0) index.delete(key)
}
