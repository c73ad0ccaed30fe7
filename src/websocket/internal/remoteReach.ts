/**
 * Does what is to be done with connections wherever they are: here in one step, elsewhere by letter.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Schema from "effect/Schema"
import type { AnyRef } from "../../Ref.ts"
import type { Room } from "../../rooms/Room.ts"
import type { Events } from "../../rooms/RoomApi.ts"
import { ClusterRefused, RoomError } from "../../rooms/RoomError.ts"
import { makeEncoder } from "./codec.ts"
import type { Address, Directory, Entry } from "./directory.ts"
import { encodeFailures } from "./metrics.ts"
import type { Remote } from "./remote.ts"
import type { Far } from "./remoteIndex.ts"
import { logUnsendable } from "./unsendable.ts"

/** A route, as it is known on every node. */
export interface Target<Out> {
  readonly route: object
  readonly path: string
  readonly outgoing: Schema.Codec<Out, unknown>
}

/** The node, where there is no other to tell it from. */
const alone = "local"
const nobody: ReadonlyMap<string, Entry> = new Map()
const nowhere: ReadonlySet<string> = new Set()
const nothing: ReadonlyArray<Far> = []

/** The connections of one route, or of all. */
export class Reach<Out> {
  readonly #directory: Directory
  readonly #remote: Remote | undefined
  readonly #target: Target<Out> | undefined
  #encoder: ((message: Out) => string) | undefined

  constructor(directory: Directory, remote: Remote | undefined, target?: Target<Out>) {
    this.#directory = directory
    this.#remote = remote
    this.#target = target
  }

  /** The connections of this node. */
  get entries(): ReadonlyMap<string, Entry> {
    const target = this.#target
    return target === undefined ? this.#directory.entries : (this.#directory.route(target.route)?.entries ?? nobody)
  }

  /** What the route is called on other nodes; undefined for all routes, or where its path is another's. */
  get #path(): string | undefined {
    return this.#target && this.#directory.pathOf(this.#target.route, this.#target.path)
  }

  /** The way to the other nodes, where there is one. */
  get #elsewhere(): Remote | undefined {
    return this.#target === undefined || this.#path !== undefined ? this.#remote : undefined
  }

  get sizeElsewhere(): number {
    return this.#elsewhere?.size(this.#path) ?? 0
  }

  locate(user: AnyRef): ReadonlyArray<{ readonly id: string; readonly node: string; readonly route: string }> {
    const { entries } = this
    const here = Array.from(this.#directory.ofUser(user)).filter(({ connection: { id } }) => entries.has(id))
    const elsewhere = this.#elsewhere?.ofUser(user, this.#path) ?? nothing
    return [
      ...here.map(({ connection: { id }, route }) => ({
        id,
        node: this.#remote?.node ?? alone,
        route: this.#directory.route(route)?.path ?? ""
      })),
      ...elsewhere.map(({ id, node, path }) => ({ id, node, route: path }))
    ]
  }

  /** The connections of other nodes at an address. */
  #far(to: Address): ReadonlyArray<Far> {
    const remote = this.#elsewhere
    if (remote === undefined) return nothing
    if ("user" in to) return remote.ofUser(to.user, this.#path)
    const far = this.entries.has(to.connection) ? undefined : remote.get(to.connection, this.#path)
    return far === undefined ? nothing : [far]
  }

  /** What a message of the route is as text. Throws when it is none: a mistake of the program. */
  #encode(message: Out, { outgoing, route }: Target<Out>): string {
    const here = this.#directory.route(route)
    // The directory keeps by route what the route itself has added, hence the types.
    if (here !== undefined) return here.encode(message as never)
    // The route is served on other nodes only.
    return (this.#encoder ??= makeEncoder(outgoing))(message)
  }

  /** Sends a message to an address; answers to how many connections. */
  send(to: Address, message: Out): number {
    const [target, far] = [this.#target!, this.#far(to)]
    const isHere = "user" in to ? this.entries.size > 0 : this.entries.has(to.connection)
    if (!isHere && far.length === 0) return 0
    const text = this.#encode(message, target)
    const sent = isHere ? this.#directory.control(to, { _tag: "Send", route: target.route, text }) : 0
    if (far.length > 0) this.#remote!.send(new Set(far.map(({ node }) => node)), to, target.path, text)
    return sent + far.length
  }

  /** Sends a message to all but some; answers to how many. One that does not fit is reported and reaches nobody. */
  broadcast(message: Out, except: ReadonlyArray<string>): Effect.Effect<number> {
    const { path, route } = this.#target!
    const [here, remote] = [this.#directory.route(route), this.#elsewhere]
    const servers = remote?.servers(path) ?? nowhere
    const left = (has: (id: string) => boolean) => except.filter((id) => has(id)).length
    if (remote === undefined || servers.size === 0) {
      const sent = here !== undefined && here.everybody.send(message as never, except) > 0
      return Effect.succeed(sent ? here.everybody.size - left((id) => here.entries.has(id)) : 0)
    }
    const encoded = here === undefined ? this.#tryEncode(message) : Effect.succeed(here.textOf(message as never))
    return Effect.map(encoded, (text) => {
      if (text === undefined) return 0
      remote.broadcast(path, text, except)
      here?.everybody.send(message as never, except, 0, text)
      const all = (here?.everybody.size ?? 0) + remote.size(path)
      return all - left((id) => here?.entries.has(id) === true || remote.get(id, path) !== undefined)
    })
  }

  #tryEncode(message: Out): Effect.Effect<string | undefined> {
    const target = this.#target!
    return Effect.catchDefect(
      Effect.sync((): string | undefined => this.#encode(message, target)),
      (error) =>
        logUnsendable(error, target.path).pipe(
          Effect.andThen(Metric.update(Metric.withAttributes(encodeFailures, { route: target.path }), 1)),
          Effect.as(undefined)
        )
    )
  }

  /** Closes the connections at an address; answers how many are known. */
  close(to: Address, code: number, reason: string): number {
    const far = this.#far(to)
    const isHere = "user" in to || this.entries.has(to.connection)
    const closed = isHere ? this.#directory.control(to, { _tag: "Close", code, reason }) : 0
    // Every node is told of a user: a connection may have come that is not known here yet.
    const nodes = "user" in to ? (this.#elsewhere?.servers() ?? nowhere) : new Set(far.map(({ node }) => node))
    if (nodes.size > 0) this.#remote!.close(nodes, to, this.#path, code, reason)
    return closed + far.length
  }

  /** Asks the node of a connection to let it into a room. False where it is not known. */
  join<E, Ev extends Events, Data>(
    id: string,
    room: Room<E, Ev, Data>,
    data: Data,
    hasAs: boolean
  ): Effect.Effect<boolean, RoomError> {
    const [far] = this.#far({ connection: id })
    if (far === undefined) return Effect.succeed(false)
    if (!hasAs) return this.#remote!.join(far, room, data)
    const detail = "a function that makes messages of events cannot travel to the node of the connection"
    return Effect.fail(new RoomError({ reason: new ClusterRefused({ detail }) }))
  }

  /** Asks the node of a connection to take it out of a room. */
  leave<E, Ev extends Events, Data>(id: string, room: Room<E, Ev, Data>): Effect.Effect<boolean, RoomError> {
    const [far] = this.#far({ connection: id })
    return far === undefined ? Effect.succeed(false) : this.#remote!.leave(far, room)
  }
}
