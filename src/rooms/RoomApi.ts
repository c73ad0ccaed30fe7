/**
 * What a kind of room is about, described once: its key, its events, what is known of a member, who may join.
 *
 * A description does nothing and imports nothing of the server, so that clients can share it.
 */
import * as Schema from "effect/Schema"
import type { AnyEntity } from "../Ref.ts"

/** The events of a room: name to schema. */
export type Events = { readonly [event: string]: Schema.Codec<unknown, unknown> }

/** One event of a room, as its subscribers see it. */
export type RoomEvent<Ev extends Events> = {
  readonly [Name in keyof Ev & string]: { readonly event: Name; readonly data: Ev[Name]["Type"] }
}[keyof Ev & string]

/** A description made by `make`. */
export interface RoomApi<E, Ev extends Events, Data> {
  /** Names the kind of room in logs and metrics. */
  readonly name: string
  readonly key: AnyEntity<E>
  readonly events: Ev
  /** What is known of a member, beside when it joined. */
  readonly member: Schema.Codec<Data, unknown>
}

/**
 * Describes a kind of room.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Ref, RoomApi } from "effect-rooms"
 *
 * class Board extends Ref.Entity<Board>()("Board") {}
 *
 * export const BoardApi = RoomApi.make("board", {
 *   key: Board,
 *   events: { moved: Schema.Struct({ id: Schema.String, list: Schema.String }) },
 *   member: Schema.Struct({ username: Schema.String })
 * })
 * ```
 */
export const make = <E, const Ev extends Events, Data>(
  name: string,
  options: {
    readonly key: AnyEntity<E>
    readonly events: Ev
    readonly member: Schema.Codec<Data, unknown>
  }
): RoomApi<E, Ev, Data> => ({ name, ...options })

/** The schema of a room's events, as they travel. */
export const eventSchema = <Ev extends Events>(events: Ev): Schema.Codec<RoomEvent<Ev>, unknown> =>
  Schema.Union(
    Object.entries(events).map(([event, data]) => Schema.Struct({ event: Schema.Literal(event), data }))
  ) as Schema.Codec<unknown, unknown> as Schema.Codec<RoomEvent<Ev>, unknown>
