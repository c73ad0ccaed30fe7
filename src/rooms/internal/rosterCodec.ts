/**
 * How members travel between nodes: key `[room, member]`, value `[joinedAt, data]`, the data by the kind's schema.
 */
import type * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Membership } from "../RoomState.ts"
import type { RoomApi } from "../RoomApi.ts"
import type { Elsewhere } from "./rosterIndex.ts"

/** Characters the data of a member may have to be told to other nodes. */
const maxData = 16 * 1024
/** Characters of a member's id that are taken from another node. */
const maxId = 512
/** Milliseconds either side of 1970 that are a date. */
const maxTime = 8.64e15

/** What is told of a member: all, or that it is there, and why no more. */
export type Told =
  | { readonly _tag: "Whole"; readonly value: Schema.Json }
  | {
      readonly _tag: "Bare"
      readonly value: Schema.Json
      readonly reason: "encode" | "tooLarge"
      readonly error: unknown
    }

export interface RosterCodec<Data> {
  readonly encode: (member: Membership<Data>) => Told
  /** Undefined where a node says something that is no member. A room that is known already need not be looked at. */
  readonly decode: (
    node: string,
    key: string,
    value: Schema.Json,
    isKnown: (room: string) => boolean
  ) => Elsewhere | undefined
  readonly decodeData: (data: unknown) => Exit.Exit<Data, unknown>
}

/** The name of a member of a room in the table. */
export const keyOf = (room: string, member: string): string => JSON.stringify([room, member])

/** By hand, since a node that comes into a cluster is told of all members at once. */
const parseKey = (key: string): readonly [room: string, id: string] | undefined => {
  try {
    const name: unknown = JSON.parse(key)
    if (!Array.isArray(name) || name.length !== 2) return undefined
    const [room, id] = name as ReadonlyArray<unknown>
    return Predicate.isString(room) && Predicate.isString(id) && id.length <= maxId ? [room, id] : undefined
  } catch {
    return undefined
  }
}

const isTime = (value: unknown): value is number => Number.isFinite(value) && Math.abs(value as number) <= maxTime

export const makeCodec = <E, Data>(api: Pick<RoomApi<E, {}, Data>, "key" | "member">): RosterCodec<Data> => {
  const data = Schema.toCodecJson(api.member)
  const encodeData = Schema.encodeUnknownSync(data)
  const decodeData = Schema.decodeUnknownExit(data)
  const isIdentifier = Schema.is(Schema.toEncoded(api.key.ref.schema))
  return {
    encode: ({ data: own, joinedAt }) => {
      try {
        const encoded = encodeData(own)
        const { length } = JSON.stringify(encoded)
        if (length <= maxData) return { _tag: "Whole", value: [joinedAt, encoded] }
        return {
          _tag: "Bare",
          value: [joinedAt],
          reason: "tooLarge",
          error: `${length} characters, at most ${maxData}`
        }
      } catch (error) {
        return { _tag: "Bare", value: [joinedAt], reason: "encode", error }
      }
    },
    decode: (node, key, value, isKnown) => {
      const [room, id] = parseKey(key) ?? []
      if (room === undefined || id === undefined || !Array.isArray(value)) return undefined
      const [joinedAt, own] = value as ReadonlyArray<unknown>
      if (!isTime(joinedAt) || !(isKnown(room) || isIdentifier(room))) return undefined
      return { node, room, id, joinedAt, data: own }
    },
    decodeData
  }
}
