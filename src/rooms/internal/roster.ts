/**
 * Who is in which room on which node: tells the other nodes of the members of this one, and knows what they tell.
 *
 * What is asked is answered from what is known here, at once, whatever the other nodes do. Where a node is alone it
 * tells nobody and its own members are all there are.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Metric from "effect/Metric"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Cursor } from "../../internal/cursor.ts"
import type { Mail, Peers, Shared, Table } from "../../internal/peers.ts"
import type { Turn } from "../../internal/turn.ts"
import type { ClusterMember, Member } from "../Member.ts"
import type { Count } from "../Room.ts"
import type { RoomApi } from "../RoomApi.ts"
import type * as RoomState from "../RoomState.ts"
import * as metrics from "./metrics.ts"
import { keyOf, makeCodec, type RosterCodec } from "./rosterCodec.ts"
import { type Elsewhere, RosterIndex } from "./rosterIndex.ts"
import { decodeLetter, leaveLetter } from "./rosterLetters.ts"
import { standingOf } from "./rosterNodes.ts"
import { CountReader, RosterReaders } from "./rosterReaders.ts"

/** The members of this node. */
export interface Here<Data> {
  readonly of: (room: string) => ReadonlyArray<Member<Data>>
  readonly size: (room: string) => number
  readonly rooms: ReadonlyArray<readonly [identifier: string, size: number]>
  readonly leave: (room: string, member: string, reason: string) => boolean
}

export interface RosterOptions<Data> {
  readonly name: string
  readonly here: () => Here<Data>
  readonly clock: Clock.Clock
  readonly turn: Turn
}

/** Time in which a reader of counts is told at most once, in milliseconds. */
const window = 100
/** The node, where there is no other to tell it from. */
const alone = "local"

export class Roster<Data> {
  readonly #options: RosterOptions<Data>
  readonly #codec: RosterCodec<Data>
  readonly #context: Context.Context<never>
  readonly #others = new RosterIndex()
  readonly #readers: RosterReaders
  readonly #logged = new Set<string>()
  #peers: Peers | undefined
  #table: Table | undefined
  #mail: Mail | undefined

  constructor(
    options: RosterOptions<Data>,
    codec: RosterCodec<Data>,
    context: Context.Context<never>,
    later: (task: () => void) => void
  ) {
    this.#options = options
    this.#codec = codec
    this.#context = context
    this.#readers = new RosterReaders(later)
  }

  // What happens here.

  /** To be called when a member has come, or has new data. */
  joined(room: string, member: RoomState.Membership<Data>): void {
    this.#readers.changed(room)
    if (this.#table === undefined) return
    const told = this.#codec.encode(member)
    if (told._tag === "Bare") this.#failed(told.reason, told.error)
    this.#table.set(keyOf(room, member.member), told.value)
  }

  /** To be called when a member has gone. */
  left(room: string, member: string): void {
    this.#readers.changed(room)
    this.#table?.delete(keyOf(room, member))
  }

  // What is done elsewhere.

  /** Whether a node, as members are listed with it, is this one. */
  isHere(node: string): boolean {
    return node === this.#here
  }

  get #here(): string {
    return this.#peers?.epoch ?? alone
  }

  /** Asks the nodes that have a member, or one of them, to take it out; false where none is known to. */
  leave(room: string, member: string, reason: string, node?: string): boolean {
    const mail = this.#mail
    if (mail === undefined) return false
    const all = this.#others.nodesOf(keyOf(room, member))
    const nodes = node === undefined ? all : all.filter((other) => other === node)
    for (const other of nodes) mail.send(other, leaveLetter(room, member, reason))
    return nodes.length > 0
  }

  // What is asked.

  size(room: string): number {
    return this.#options.here().size(room) + this.#others.of(room).size
  }

  count(room: string): Count {
    const { age, staleNodes } = standingOf(this.#peers)
    const asOf = DateTime.makeUnsafe(this.#options.clock.currentTimeMillisUnsafe() - age)
    return { members: this.size(room), asOf, staleNodes }
  }

  everyone(room: string): ReadonlyArray<ClusterMember<Data>> {
    const node = this.#here
    const here = this.#options.here().of(room)
    return [...here.map((member) => ({ ...member, node })), ...this.#elsewhere(room)]
  }

  /** Node by node, in the order of the joins of each. */
  #elsewhere(room: string): ReadonlyArray<ClusterMember<Data>> {
    const members: Array<ClusterMember<Data>> = []
    const all = Array.from(this.#others.of(room))
    const nodes = new Map(all.map(({ node }, index) => [node, index]))
    const rank = ({ node }: Elsewhere) => nodes.get(node)!
    for (const member of all.toSorted((a, b) => rank(a) - rank(b) || a.joinedAt - b.joinedAt)) {
      const { data, id, joinedAt, node } = member
      // Its own node has said why.
      if (data === undefined) continue
      const decoded = this.#codec.decodeData(data)
      if (Exit.isFailure(decoded)) this.#failed("decode", decoded.cause)
      else members.push({ id, data: decoded.value, joinedAt: DateTime.makeUnsafe(joinedAt), node })
    }
    return members
  }

  /** The rooms with members on any node. */
  get rooms(): ReadonlyArray<readonly [identifier: string, size: number]> {
    const here = this.#options.here().rooms
    const names = new Set(here.map(([room]) => room))
    const elsewhere = Array.from(this.#others.rooms).filter((room) => !names.has(room))
    return [...names, ...elsewhere].map((room) => [room, this.size(room)] as const)
  }

  /** Emits the count of a room at once, and when it has changed. */
  countChanges(room: string): Stream.Stream<Count> {
    const reader = Effect.acquireRelease(
      Effect.sync(() => {
        const made = new CountReader(() => this.count(room), this.#options.turn)
        this.#readers.attach(room, made)
        return made
      }),
      (made) => Effect.sync(() => this.#readers.detach(room, made))
    )
    return Stream.unwrap(Effect.map(reader, (made) => new Cursor(made).view((count: Count) => count).stream))
  }

  // What others say.

  #onChange(changes: Iterable<Shared>): void {
    const rooms = new Set<string | undefined>()
    const isKnown = (room: string) => this.#others.of(room).size > 0
    for (const { key, owner, value } of changes) {
      const member = value === undefined ? undefined : this.#codec.decode(owner, key, value, isKnown)
      if (member !== undefined) {
        this.#others.set(key, member)
        rooms.add(member.room)
        continue
      }
      // What was said before does not stand either.
      rooms.add(this.#others.delete(owner, key))
      if (value !== undefined) this.#failed("malformed", `from node ${owner}`)
    }
    this.#labelled(metrics.membersElsewhere).updateUnsafe(this.#others.size, this.#context)
    for (const room of rooms) if (room !== undefined) this.#readers.changed(room)
  }

  /** Of members of this node only: what nobody here has is passed on to nobody. */
  #onLetter(from: string, word: Schema.Json): void {
    const letter = decodeLetter(word)
    if (Exit.isFailure(letter)) return this.#failed("malformed", `from node ${from}`)
    const { member, reason, room } = letter.value
    this.#options.here().leave(room, member, reason)
  }

  #labelled<I, S>(metric: Metric.Metric<I, S>, attributes: Record<string, string> = {}): Metric.Metric<I, S> {
    return Metric.withAttributes(metric, { kind: this.#options.name, ...attributes })
  }

  /** Counts each, and logs the first of its reason. */
  #failed(reason: string, error: unknown): void {
    this.#labelled(metrics.rosterFailures, { reason }).updateUnsafe(1, this.#context)
    if (this.#logged.has(reason)) return
    this.#logged.add(reason)
    const log = Effect.logWarning(sentences[reason]!.replace("KIND", this.#options.name), error)
    Effect.runForkWith(this.#context)(log)
  }

  /** Tells the other nodes, and hears them, until the scope closes. */
  share(peers: Peers): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const table = yield* peers.table(`rooms/${this.#options.name}`, (changes) => this.#onChange(changes))
      this.#onChange(table.others())
      const mail = yield* peers.mail(`rooms/${this.#options.name}`, (from, letter) => this.#onLetter(from, letter))
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          this.#peers = peers
          this.#table = table
          this.#mail = mail
        }),
        // What the table still has goes with it.
        () =>
          Effect.sync(() => {
            this.#table = undefined
            this.#mail = undefined
          })
      )
    })
  }

  close(): void {
    this.#readers.close()
  }
}

const sentences: Readonly<Record<string, string>> = {
  encode: "what is known of a member of a KIND room does not fit its schema: other nodes know only that it is there",
  tooLarge: "what is known of a member of a KIND room is too long for other nodes: they know only that it is there",
  decode: "what another node knows of a member of a KIND room does not fit its schema: it is counted, and not listed",
  malformed: "another node says something of KIND rooms that is not understood"
}

/** Makes a roster of a node that is alone, which lasts until the scope closes; then those who follow counts are done. */
export const make = Effect.fnUntraced(function* <E, Data>(
  api: Pick<RoomApi<E, {}, Data>, "key" | "member">,
  options: RosterOptions<Data>
): Effect.fn.Return<Roster<Data>, never, Scope.Scope> {
  const context = yield* Effect.context()
  const fork = yield* FiberSet.makeRuntime()
  const later = (task: () => void): void => {
    fork(Effect.andThen(Effect.sleep(window), Effect.sync(task)))
  }
  return yield* Effect.acquireRelease(
    Effect.sync(() => new Roster<Data>(options, makeCodec(api), context, later)),
    (made) => Effect.sync(() => made.close())
  )
})
