/**
 * The kinds of rooms of a node by name, so that another node can ask for a room it knows by name and identifier alone.
 *
 * Part of the inside of the library: transports look here for what comes from other nodes.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Receiver } from "../channels/Subscription.ts"
import type { Peers } from "../internal/peers.ts"
import type { Ref } from "../Ref.ts"
import type { Room } from "./Room.ts"
import type { Events, RoomApi } from "./RoomApi.ts"
import { ClusterRefused, RoomError } from "./RoomError.ts"

/** The way into rooms of one kind, for what came as text. */
export interface RoomKind {
  /** Joins a room in the way given, with data by the kind's schema. */
  readonly join: <A>(
    identifier: string,
    data: unknown,
    how: <E, Ev extends Events, Data>(room: Room<E, Ev, Data>, data: Data) => Effect.Effect<A, RoomError>
  ) => Effect.Effect<A, RoomError>
  /** Takes a member of this node out of a room. */
  readonly leave: (identifier: string, member: Receiver) => Effect.Effect<boolean>
}

const kinds = new WeakMap<Peers, Map<string, RoomKind>>()

const refused = (detail: string): Effect.Effect<never, RoomError> =>
  Effect.fail(new RoomError({ reason: new ClusterRefused({ detail }) }))

/** The way into rooms that are described by an api. */
export const make = <E, Ev extends Events, Data>(
  api: RoomApi<E, Ev, Data>,
  get: (ref: Ref<E>) => Room<E, Ev, Data>,
  leave: (identifier: string, member: string, reason: string) => boolean
): RoomKind => {
  const decodeRef = Schema.decodeUnknownExit(api.key.ref.schema)
  const decodeData = Schema.decodeUnknownExit(Schema.toCodecJson(api.member))
  return {
    join: (identifier, data, how) => {
      const [ref, decoded] = [decodeRef(identifier), decodeData(data)]
      if (Exit.isFailure(ref)) return refused(`there is no ${api.name} room of this name`)
      if (Exit.isFailure(decoded)) return refused(`the data of the member does not fit the schema of ${api.name} rooms`)
      return how(get(ref.value), decoded.value)
    },
    leave: (identifier, { id }) => Effect.sync(() => leave(identifier, id, "removed"))
  }
}

/** Adds a kind to a node until the scope closes. False, and logged, where its name is taken. */
export const add = (peers: Peers, name: string, kind: RoomKind): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.suspend(() => {
    const known = kinds.get(peers) ?? new Map<string, RoomKind>()
    kinds.set(peers, known)
    if (known.has(name)) {
      const text = `two kinds of rooms are called ${name}: other nodes know of the first only, give each a name of its own`
      return Effect.as(Effect.logWarning(text), false)
    }
    return Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => void known.set(name, kind)),
        () => Effect.sync(() => void known.delete(name))
      ),
      true
    )
  })

/** The kind of a name on a node. */
export const find = (peers: Peers, name: string): RoomKind | undefined => kinds.get(peers)?.get(name)
