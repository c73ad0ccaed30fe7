/**
 * What the handler of a route gets for its connection.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Attachable } from "../channels/Sink.ts"
import type { Messages } from "../Messages.ts"
import type { AnyRef, Ref } from "../Ref.ts"
import type { Connection } from "../rooms/Connection.ts"
import type { Membership, Room } from "../rooms/Room.ts"
import type { Events, RoomEvent } from "../rooms/RoomApi.ts"
import type { RoomError } from "../rooms/RoomError.ts"

/**
 * How what is published becomes a message of the route; to be left out where it is one already. It runs once for all
 * connections that name the same function, so make it once, outside of the handler. It must not publish.
 */
export type As<A, Out> = [A] extends [Out] ? [as?: (message: A) => Out] : [as: (message: A) => Out]

/** What is known when a connection opens. */
export interface Opening<Params, Query, Principal> {
  readonly params: Params
  readonly query: Query
  readonly principal: Principal
}

/** What the handler of a connection gets. */
export interface Session<In, Out, Params, Query, Principal, Data = unknown> {
  /**
   * The valid incoming messages, in order. Ends when the connection does. While the handler is behind by more than the
   * server's inbox limits the socket is not read, so nothing is lost and nothing piles up.
   */
  readonly messages: Messages<In>
  /**
   * Sends a message, at the end of the turn and without waiting. False when the connection is closing or, over the outbox limits, has
   * just been closed with 4004. Throws when the value does not fit the schema `outgoing`.
   */
  readonly send: (message: Out) => boolean
  readonly params: Params
  readonly query: Query
  readonly connection: Connection<Principal, Data>
  /**
   * Joins a room, whose events are sent to the client until the scope closes, it leaves, or the connection ends. In the
   * order in which they were published, encoded once for all members, without a fiber. Fails like `Room.join`.
   */
  readonly join: <E, Ev extends Events, Member>(
    room: Room<E, Ev, Member>,
    data: Member,
    ...as: As<RoomEvent<Ev>, Out>
  ) => Effect.Effect<Membership<E, Member>, RoomError, Scope.Scope>
  /** Leaves a room. False when it was not in. */
  readonly leave: <E, Ev extends Events, Member>(room: Room<E, Ev, Member>) => Effect.Effect<boolean>
  /** What was joined and is forwarded, in the order in which that began. */
  readonly rooms: Effect.Effect<ReadonlyArray<AnyRef>>
  /**
   * Sends what is published to a key of a channel to the client, like `join` but without a membership. It is in effect
   * when this returns. A slow client is closed or loses messages as the outbox says, and is never waited for.
   *
   * A key that is forwarded again, or a room that was joined, with the same `as` or both times without one, is not sent
   * twice: it is sent until the last of their scopes has closed. Each other function sends everything once more, also
   * one that was written in the handler and is therefore another each time.
   */
  readonly forward: <E, A, EO>(
    channel: Attachable<E, A, EO>,
    ref: Ref<E>,
    ...as: As<A, Out>
  ) => Effect.Effect<void, EO, Scope.Scope>
  /** What `authenticate` answered; `undefined` on a route without it. */
  readonly principal: Principal
  /** Aborted when the connection is gone, or the handler has ended. */
  readonly signal: AbortSignal
}

/** An incoming message that was refused. */
export interface InvalidMessage {
  readonly code: "invalid_json" | "too_deep" | "invalid_message" | "rate_limited"
  /** What is wrong, in at most 256 characters; says nothing about the server. */
  readonly message: string
  /** What was received, if it was JSON. Untrusted: it fits no schema. */
  readonly input: unknown
}
