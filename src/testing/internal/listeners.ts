/**
 * Who listens to rooms while they are checked: an observer of each room from the beginning, and every member to every
 * room, on behalf of the connection it has.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Envelope, Gap } from "../../channels/Envelope.ts"
import type { Subscription } from "../../channels/Subscription.ts"
import type { Events, RoomEvent } from "../../rooms/RoomApi.ts"
import { differs, equal, same } from "./difference.ts"
import type { Model, Sent } from "./model.ts"
import type { System } from "./system.ts"

interface Listener<Ev extends Events> {
  readonly room: string
  /** The id by which a publish leaves it out. */
  readonly id: string
  readonly subscription: Subscription<RoomEvent<Ev>>
}

/** Listens from the beginning, and keeps what it was sent in the room's present life. */
interface Observer<Ev extends Events> extends Listener<Ev> {
  events: ReadonlyArray<RoomEvent<Ev>>
  life: number
  position: number
}

/** All there is to read now. */
const drain = Effect.fnUntraced(function* <Ev extends Events>({
  subscription
}: Listener<Ev>): Effect.fn.Return<ReadonlyArray<Envelope<RoomEvent<Ev>> | Gap>> {
  const entries: Array<Envelope<RoomEvent<Ev>> | Gap> = []
  while (subscription.pending > 0) entries.push(yield* Effect.orDie(subscription.envelopes.take))
  return entries
})

export class Listeners<E, Ev extends Events, Data, R> {
  readonly #model: Model<E, Ev, Data, R>
  readonly #system: System<E, Ev, Data>
  readonly #observers = new Map<string, Observer<Ev>>()
  /** The listeners of a connection, by its id, and when they end. */
  readonly #connections = new Map<
    string,
    { readonly all: ReadonlyArray<Listener<Ev>>; readonly scope: Scope.Closeable }
  >()

  constructor(model: Model<E, Ev, Data, R>, system: System<E, Ev, Data>) {
    this.#model = model
    this.#system = system
  }

  /** What the observer of a room was sent in its present life. */
  events(room: string): ReadonlyArray<RoomEvent<Ev>> {
    return this.#observers.get(room)!.events
  }

  readonly observe = Effect.fnUntraced(function* (this: Listeners<E, Ev, Data, R>) {
    for (const room of this.#model.roomNames) {
      const subscription = yield* this.#system.listen(room, undefined)
      this.#observers.set(room, { room, id: subscription.id, subscription, events: [], life: 0, position: 0 })
    }
  })

  /** Whoever has a connection listens, and nobody else. */
  readonly connect = Effect.fnUntraced(function* (this: Listeners<E, Ev, Data, R>) {
    const connected = this.#model.memberNames
      .filter((member) => this.#model.isConnected(member))
      .map((member) => this.#model.idOf(member))
    for (const [id, { scope }] of this.#connections) {
      if (connected.includes(id)) continue
      this.#connections.delete(id)
      yield* Scope.close(scope, Exit.void)
    }
    for (const id of connected.filter((it) => !this.#connections.has(it))) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const all = yield* Effect.forEach(this.#model.roomNames, (room) =>
        Effect.map(
          Scope.provide(this.#system.listen(room, this.#system.connection(id)), scope),
          (subscription): Listener<Ev> => ({ room, id, subscription })
        )
      )
      this.#connections.set(id, { all, scope })
    }
  })

  /** The observer is sent everything; the others the same, but for what leaves them out. */
  readonly compare = Effect.fnUntraced(function* (this: Listeners<E, Ev, Data, R>, name: string) {
    const room = this.#model.room(name)
    const foretold = room.sent.splice(0)
    const observed = yield* this.#observed(name, room.lives)
    const sent = this.#model.foretells ? foretold : observed
    const expected = (id: string) => sent.filter(({ except }) => !except.includes(id)).map(({ message }) => message)
    const messages = observed.map(({ message }) => message)
    yield* same(`events that ${name} sent to an observer`, expected(this.#observers.get(name)!.id), messages)
    for (const listener of Array.from(this.#connections.values()).flatMap(({ all }) => all)) {
      if (listener.room !== name) continue
      const entries = yield* drain(listener)
      const actual = entries.map((entry) => (entry._tag === "Gap" ? entry : entry.message))
      yield* same(`events that ${name} sent to ${listener.id}`, expected(listener.id), actual)
    }
    const missing = foretold.filter((event) => !observed.some((other) => equal(event, other)))
    yield* same(`events that ${name} did not send`, [], missing)
  })

  readonly #observed = Effect.fnUntraced(function* (this: Listeners<E, Ev, Data, R>, name: string, life: number) {
    const observer = this.#observers.get(name)!
    const observed: Array<Sent<Ev>> = []
    for (const entry of yield* drain(observer)) {
      if (entry._tag === "Gap") return yield* differs(`events that ${name} sent to an observer`, "no gap", entry)
      yield* same(`position of an event of ${name}`, ++observer.position, entry.roomSeq)
      observed.push({ message: entry.message, except: entry.except })
    }
    const before = observer.life === life ? observer.events : []
    observer.life = life
    observer.events = [...before, ...observed.map(({ message }) => message)]
    return observed
  })
}
