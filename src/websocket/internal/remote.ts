/**
 * The connections of other nodes: tells the others of those here, knows theirs, and writes to whoever has one.
 *
 * A connection and a user are addresses on every node: what is done there is a letter to the node that has them.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Mail, Peers, Shared } from "../../internal/peers.ts"
import type { AnyRef } from "../../Ref.ts"
import type { Room } from "../../rooms/Room.ts"
import type { Events, RoomApi } from "../../rooms/RoomApi.ts"
import type { RoomError } from "../../rooms/RoomError.ts"
import { type Directory, userKey } from "./directory.ts"
import { RemoteAsks } from "./remoteAsks.ts"
import { RemoteInbox } from "./remoteInbox.ts"
import { type Far, RemoteIndex } from "./remoteIndex.ts"
import { encodeLetter, type Letter } from "./remoteLetters.ts"
import * as metrics from "./remoteMetrics.ts"

/** What a node tells of a connection: the path of its route, and the entity and identifier of its user. */
const Connected = Schema.Union([
  Schema.Tuple([Schema.String]),
  Schema.Tuple([Schema.String, Schema.String, Schema.String])
])
const decodeConnected = Schema.decodeUnknownExit(Connected)

const name = "connections"
/** Nodes that have taken the name: one server of a node is known to the others. */
const taken = new WeakSet<Peers>()
const encoders = new WeakMap<object, (data: unknown) => unknown>()

const encoderOf = <E, Ev extends Events, Data>(api: RoomApi<E, Ev, Data>): ((data: unknown) => unknown) => {
  const known = encoders.get(api)
  if (known !== undefined) return known
  const encode = Schema.encodeUnknownSync(Schema.toCodecJson(api.member))
  encoders.set(api, encode)
  return encode
}

/** Where in the cluster something is to be done. */
type To = { readonly connection: string } | { readonly user: AnyRef }

export class Remote {
  readonly #peers: Peers
  readonly #context: Context.Context<never>
  readonly #others = new RemoteIndex()
  readonly #asks: RemoteAsks
  readonly #count: (letter: string) => void
  #mail: Mail | undefined

  constructor(peers: Peers, context: Context.Context<never>) {
    this.#peers = peers
    this.#context = context
    this.#count = metrics.countBy(metrics.letters, "letter", context)
    this.#asks = new RemoteAsks(() => metrics.lettersUnanswered.updateUnsafe(1, context))
  }

  /** This node. */
  get node(): string {
    return this.#peers.epoch
  }

  /** The connection of another node with this id, of a route or of whatever route. */
  get(id: string, path?: string): Far | undefined {
    const far = this.#others.get(id)
    return path === undefined || far?.path === path ? far : undefined
  }

  /** Those of a user, of a route or of whatever route. */
  ofUser(user: AnyRef, path?: string): ReadonlyArray<Far> {
    const all = Array.from(this.#others.ofUser(userKey(user)))
    return path === undefined ? all : all.filter((far) => far.path === path)
  }

  /** How many there are, of a route or of all. */
  size(path?: string): number {
    return path === undefined ? this.#others.size : this.#others.sizeOf(path)
  }

  /** The nodes that serve a route, or any. */
  servers(path?: string): ReadonlySet<string> {
    return path === undefined ? this.#others.servers : this.#others.serving(path)
  }

  #write(node: string, letter: Letter, json: Schema.Json = letter as unknown as Schema.Json): void {
    this.#count(letter._tag)
    this.#mail?.send(node, json)
  }

  // What is done elsewhere.

  send(nodes: Iterable<string>, to: To, path: string, text: string): void {
    for (const node of nodes) this.#write(node, { _tag: "Send", to: addressOf(to), path, text })
  }

  broadcast(path: string, text: string, except: ReadonlyArray<string>): void {
    for (const node of this.servers(path)) this.#write(node, { _tag: "Broadcast", path, text, except })
  }

  close(nodes: Iterable<string>, to: To, path: string | undefined, code: number, reason: string): void {
    const where = path === undefined ? {} : { path }
    for (const node of nodes) this.#write(node, { _tag: "Close", to: addressOf(to), ...where, code, reason })
  }

  join<E, Ev extends Events, Data>(
    { id, node, path }: Far,
    { api, name: room }: Room<E, Ev, Data>,
    data: Data
  ): Effect.Effect<boolean, RoomError> {
    return Effect.suspend(() => {
      const place = { connection: id, path, kind: api.name, room, data: encoderOf(api)(data) }
      return this.#asks.ask(node, (number) => this.#write(node, { _tag: "Join", number, ...place }))
    })
  }

  leave<E, Ev extends Events, Data>(
    { id, node, path }: Far,
    { api, name: room }: Room<E, Ev, Data>
  ): Effect.Effect<boolean, RoomError> {
    const place = { connection: id, path, kind: api.name, room }
    return this.#asks.ask(node, (number) => this.#write(node, { _tag: "Leave", number, ...place }))
  }

  // What others say.

  #onConnections(changes: Iterable<Shared>, inbox: RemoteInbox): void {
    for (const { key: id, owner: node, value } of changes) {
      this.#others.remove(node, id)
      if (value === undefined) continue
      const connected = decodeConnected(value)
      if (Exit.isFailure(connected)) {
        inbox.malformed()
        continue
      }
      const [path, entity, identifier] = connected.value
      const user = entity === undefined || identifier === undefined ? undefined : userKey({ entity, identifier })
      this.#others.add({ id, node, path, user })
    }
    metrics.connectionsElsewhere.updateUnsafe(this.#others.size, this.#context)
  }

  #onRoutes(changes: Iterable<Shared>): void {
    for (const { key: path, owner: node, value } of changes) {
      if (value === undefined) this.#others.servesNoMore(node, path)
      else this.#others.serves(node, path)
    }
  }

  /** Tells of what a directory has, and does what is asked of it, until the scope closes. */
  serve(directory: Directory): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const fork = yield* FiberSet.makeRuntime()
      const inbox = new RemoteInbox({
        peers: this.#peers,
        directory,
        asks: this.#asks,
        context: this.#context,
        fork: (effect) => void fork(effect),
        answer: (node, number, outcome) => {
          const letter: Letter = { _tag: "Answer", number, outcome }
          this.#write(node, letter, encodeLetter(letter))
        }
      })
      const routes = yield* this.#peers.table("routes", (changes) => this.#onRoutes(changes))
      this.#onRoutes(routes.others())
      const connections = yield* this.#peers.table(name, (changes) => this.#onConnections(changes, inbox))
      this.#onConnections(connections.others(), inbox)
      this.#mail = yield* this.#peers.mail(name, (from, letter) => inbox.receive(from, letter))
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          directory.witness = {
            onRoute: (path) => routes.set(path, true),
            onAdded: (id, path, user) =>
              connections.set(id, user === undefined ? [path] : [path, user.entity, user.identifier]),
            onRemoved: (id) => connections.delete(id)
          }
        }),
        () => Effect.sync(() => void (directory.witness = undefined))
      )
    })
  }
}

/** A reference as it travels. */
const addressOf = (to: To): (Letter & { readonly _tag: "Send" })["to"] =>
  "connection" in to ? to : { user: { entity: to.user.entity, identifier: to.user.identifier } }

/** Connects a directory with those of other nodes until the scope closes; undefined, and logged, for a second one. */
export const make = Effect.fnUntraced(function* (
  peers: Peers,
  directory: Directory
): Effect.fn.Return<Remote | undefined, never, Scope.Scope> {
  if (taken.has(peers)) {
    yield* Effect.logWarning("two servers on one node: other nodes know of the connections of the first only")
    return undefined
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => void taken.add(peers)),
    () => Effect.sync(() => void taken.delete(peers))
  )
  const remote = new Remote(peers, yield* Effect.context())
  yield* remote.serve(directory)
  return remote
})
