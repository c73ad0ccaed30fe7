/**
 * The same presence on other nodes: tells them of the devices of this one, takes in what they say of theirs, and asks
 * them to change what is theirs.
 *
 * A node is the only writer of its own entries, and the only judge of whether its devices live. What is shown is made
 * out of what all say, by `PresenceUnion.ts`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { Mail, Peers, Shared, Table } from "../../internal/peers.ts"
import { type Claim, claims, type Device, type Grave, isOwn, type UserState } from "../PresenceDevice.ts"
import * as State from "../PresenceState.ts"
import { abandon, type Said } from "../PresenceUnion.ts"
import { Acquaintances } from "./acquaintances.ts"
import { type Letter, letterSchema, toJson } from "./letters.ts"
import type { Check } from "./meta.ts"
import * as metrics from "./metrics.ts"
import type { Rooms } from "./rooms.ts"
import * as Told from "./told.ts"

/** The entry every node has as long as it is there: whom it has met. Where it goes, the node has gone. */
const marker = "node"

interface Options<E, U, M> extends Told.Kinds<E, U, M> {
  readonly rooms: Rooms<U, M>
  readonly check: Check<M>
  readonly peers: Peers
  /** Counts and logs what could not be read. */
  readonly refuse: (what: "entry" | "letter", from: string, count: number) => void
}

const ownOf = <U, M>(user: UserState<U, M> | undefined): ReadonlyArray<Device<M> | Grave> =>
  user === undefined ? [] : claims(user).filter(isOwn)

const sameAs = <M>(all: ReadonlyArray<Device<M> | Grave>, { device }: Device<M> | Grave) =>
  all.find((other) => other.device === device)

export class Others<E, U, M> {
  readonly #options: Options<E, U, M>
  readonly #read: ReturnType<typeof Told.makeRead<E, U, M>>
  readonly #decode: (letter: unknown) => Result.Result<ReturnType<typeof letterSchema<E, U, M>>["Type"], unknown>
  readonly #acquaintances = new Acquaintances()
  #table: Table | undefined
  #mail: Mail | undefined
  /** Entries of this node. */
  #told = 0

  constructor(options: Options<E, U, M>) {
    this.#options = options
    this.#read = Told.makeRead(options)
    this.#decode = Schema.decodeUnknownResult(letterSchema(options))
  }

  /** Begins: whatever the others have said so far is taken in. */
  begin(table: Table, mail: Mail): void {
    this.#table = table
    this.#mail = mail
    table.set(marker, {})
    this.receive(Array.from(table.others()))
  }

  /** Tells the others what of a user has changed on this node. */
  tell(room: string, before: UserState<U, M> | undefined, after: UserState<U, M> | undefined): void {
    const [old, own] = [ownOf(before), ownOf(after)]
    this.#told += own.length - old.length
    for (const one of old) {
      if (sameAs(own, one) === undefined) this.#table?.delete(Told.keyOf(room, before!.user.identifier, one.device))
    }
    for (const one of own) {
      const said = sameAs(old, one)
      if (said !== undefined && Told.isSame(said, one)) continue
      this.#table?.set(Told.keyOf(room, after!.user.identifier, one.device), Told.toJson(one))
    }
  }

  /** Whether the owner of a device knew this node when the device got its generation. */
  knew(rival: Claim): boolean {
    return this.#acquaintances.knew(rival)
  }

  /** Takes in what others have said, all of a room in one step. */
  receive(changes: ReadonlyArray<Shared>): void {
    const { peers, refuse, rooms } = this.#options
    if (rooms.closed) return
    const gone = new Set<string>()
    this.#acquaintances.be(peers.epoch)
    for (const { key, owner, value } of changes) {
      if (key !== marker) continue
      if (value === undefined) gone.add(owner)
      if (this.#acquaintances.hear(owner, value, rooms.generation))
        this.#table?.set(marker, this.#acquaintances.toJson())
    }
    const unread = new Map<string, number>()
    const byRoom = new Map<string, Array<Said<U, M>>>()
    const { at } = rooms.now()
    for (const change of changes) {
      const { key, owner, value } = change
      if (key === marker) continue
      const heard = this.#read(change, at)
      if (value !== undefined && heard?.said.claim === undefined) unread.set(owner, (unread.get(owner) ?? 0) + 1)
      if (heard === undefined) continue
      const { room, said } = heard
      rooms.observe(said.claim?.generation ?? 0)
      const all = byRoom.get(room)
      const one = { ...said, reason: gone.has(owner) ? ("dropped" as const) : this.#reasonOf(room, said) }
      if (all === undefined) byRoom.set(room, [one])
      else all.push(one)
    }
    rooms.merge(byRoom)
    for (const [owner, count] of unread) refuse("entry", owner, count)
  }

  /** Why a user left, by what the owner of the device said last. */
  #reasonOf(room: string, { claim, device, owner, user }: Omit<Said<U, M>, "reason">) {
    if (claim !== undefined) return Told.reasonOf(claim)
    const known = State.known(this.#options.rooms.state(room), user.identifier)
    const last = known && claims(known).find((one) => one.owner === owner && one.device === device)
    return last === undefined ? "left" : Told.reasonOf(last)
  }

  /** The node on which a scope holds the device, where that is another. */
  holder(room: string, at: State.At): string | undefined {
    const { rooms } = this.#options
    if (rooms.closed) return undefined
    return State.find(rooms.state(room), at.user)?.devices.find(({ device, held }) => held && device === at.device)
      ?.owner
  }

  /** Asks the owners of what a letter is about, unless that is this node; tells whether there are any. */
  ask(letter: Letter): boolean {
    const { rooms } = this.#options
    if (rooms.closed) return false
    const devices = State.find(rooms.state(letter.room), letter.user)?.devices ?? []
    const owners = new Set(
      devices.flatMap(({ device, owner }) =>
        owner === undefined || (letter.device !== undefined && letter.device !== device) ? [] : [owner]
      )
    )
    for (const owner of owners) this.#mail?.send(owner, toJson(letter))
    return owners.size > 0
  }

  /** Does what another node asks, where the device is still this one's. */
  onLetter(from: string, json: unknown): void {
    const { check, refuse, rooms } = this.#options
    const decoded = this.#decode(json)
    if (Result.isFailure(decoded)) return refuse("letter", from, 1)
    const letter = decoded.success
    const [room, user] = [letter.room.identifier, letter.user.identifier]
    if (letter.do === "remove") {
      rooms.change(room, [user], (state) => State.remove(state, user, letter.device, rooms.memory))
      return
    }
    const meta = "meta" in letter ? check(letter.meta) : Result.succeed(undefined)
    if (Result.isFailure(meta)) return refuse("letter", from, 1)
    const { device, status } = letter
    const fields = { status, meta: meta.success }
    rooms.change(room, [user], (state) => State.update(state, { user, device }, fields, rooms.now()))
  }

  /**
   * The devices of this node are told as lost, and not as gone: who is back on another node within the grace period has
   * not left. Answers whether others are told anything of this node.
   */
  end(): boolean {
    const { rooms } = this.#options
    const now = rooms.now()
    for (const [room, state] of rooms.states) {
      for (const user of State.everybody(state)) this.tell(room, user, abandon(user, now))
    }
    rooms.close()
    return this.#told > 0
  }
}

interface Place {
  /** Closes the table. */
  readonly scope: Scope.Closeable
  isOpen: boolean
}

/** The presences of a node by name; those that have ended stay as long as others are told something of them. */
const placesOf = new WeakMap<Peers, Map<string, Place>>()

/** Connects a presence to those of its name on other nodes until the scope closes. */
export const connect = Effect.fnUntraced(function* <E, U, M>(
  peers: Peers,
  name: string,
  options: Omit<Options<E, U, M>, "peers" | "refuse">
): Effect.fn.Return<Others<E, U, M>, never, Scope.Scope> {
  const context = yield* Effect.context()
  const refuse = (what: "entry" | "letter", from: string, count: number) => {
    Metric.withAttributes(metrics.refused, { presence: name, what }).updateUnsafe(count, context)
    const log = Effect.logWarning(`of presence ${name}, this node cannot read what another says: ${what} × ${count}`)
    Effect.runForkWith(context)(Effect.annotateLogs(log, { epoch: from }))
  }
  const others = new Others<E, U, M>({ ...options, peers, refuse })
  const table = `presence/${name}`
  const places = placesOf.get(peers) ?? new Map<string, Place>()
  placesOf.set(peers, places)
  const old = places.get(name)
  if (old?.isOpen === true) {
    yield* Effect.logWarning(`two presences are called ${name}: give each a name of its own, or they mix between nodes`)
  } else if (old !== undefined) yield* Scope.close(old.scope, Exit.void)
  const mail = yield* peers.mail(table, (from, letter) => others.onLetter(from, letter))
  const place: Place = { scope: Scope.makeUnsafe(), isOpen: true }
  const opened = Scope.provide(
    peers.table(table, (changes) => others.receive(changes)),
    place.scope
  )
  const begin = (made: Table) => {
    places.set(name, place)
    options.rooms.connect(others)
    others.begin(made, mail)
  }
  const close = Effect.suspend(() => {
    if (places.get(name) === place) places.delete(name)
    return Scope.close(place.scope, Exit.void)
  })
  const end = Effect.suspend(() => {
    place.isOpen = false
    if (!others.end()) return close
    // Nobody is left here to end the grace period of those that are told as lost.
    peers.later(options.rooms.gracePeriod, () => Effect.runForkWith(context)(close))
    return Effect.void
  })
  yield* Effect.acquireRelease(Effect.map(opened, begin), () => end)
  return others
})
