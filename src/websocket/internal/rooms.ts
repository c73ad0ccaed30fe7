/**
 * The rooms and keys whose messages one connection is sent.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Attach, Attachable } from "../../channels/Sink.ts"
import type { AnyRef, Ref } from "../../Ref.ts"
import type { Connection } from "../../rooms/Connection.ts"
import type { Events, RoomEvent } from "../../rooms/RoomApi.ts"
import type { Membership, Room } from "../../rooms/Room.ts"
import type { RoomError } from "../../rooms/RoomError.ts"
import type { Outbox } from "../Outbox.ts"
import type { Wires } from "./wires.ts"

export class Rooms<Out> {
  readonly #connection: Connection
  readonly #outbox: Outbox
  readonly #wires: Wires<Out>
  /** One for each time, since the same key can be forwarded twice; the batch sends its messages once. */
  #places: Array<{ readonly ref: AnyRef }> = []

  constructor(connection: Connection, outbox: Outbox, wires: Wires<Out>) {
    this.#connection = connection
    this.#outbox = outbox
    this.#wires = wires
  }

  #attach<A>(attach: Attach<A>, ref: AnyRef, as: ((message: A) => Out) | undefined): () => void {
    const detach = attach(this.#wires.of(as), (batch) => batch.join(this.#outbox, this.#connection.id))
    const place = { ref }
    // Arrays that grow make room for many, and most connections are in one room.
    if (this.#places.length === 0) this.#places = [place]
    else this.#places.push(place)
    return () => {
      const index = this.#places.indexOf(place)
      if (index < 0) return
      this.#places.splice(index, 1)
      detach()
    }
  }

  join<E, Ev extends Events, Member>(
    room: Room<E, Ev, Member>,
    data: Member,
    as?: (event: RoomEvent<Ev>) => Out
  ): Effect.Effect<Membership<E, Member>, RoomError, Scope.Scope> {
    return room.join(data, { as: this.#connection, attach: (attach) => this.#attach(attach, room.ref, as) })
  }

  /** Joins until the connection leaves or ends. */
  open<E, Ev extends Events, Member>(
    room: Room<E, Ev, Member>,
    data: Member,
    as?: (event: RoomEvent<Ev>) => Out
  ): Effect.Effect<Membership<E, Member>, RoomError> {
    return room.open(data, { as: this.#connection, attach: (attach) => this.#attach(attach, room.ref, as) })
  }

  get all(): ReadonlyArray<AnyRef> {
    return this.#places.map(({ ref }) => ref)
  }

  forward<E, A, EO>(
    channel: Attachable<E, A, EO>,
    ref: Ref<E>,
    as?: (message: A) => Out
  ): Effect.Effect<void, EO, Scope.Scope> {
    return Effect.flatMap(channel.reserve(ref), (attach) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const detach = this.#attach(attach, ref, as)
          const unlink = this.#connection.onClose(detach)
          return () => {
            unlink()
            detach()
          }
        }),
        (end) => Effect.sync(end)
      )
    ).pipe(Effect.asVoid)
  }
}
