/**
 * What the handler of a route gets for its connection.
 */
import type { Messages } from "../Messages.ts"
import type { Connection } from "../rooms/Connection.ts"

/** What the handler of a connection gets. */
export interface Session<In, Out, Params, Query, Principal> {
  /**
   * The valid incoming messages, in order. Ends when the connection does. While the handler is behind by more than the
   * server's inbox limits the socket is not read, so nothing is lost and nothing piles up.
   */
  readonly messages: Messages<In>
  /**
   * Sends a message, at once and without waiting. False when the connection is closing or, over the outbox limits, has
   * just been closed with 4004. Throws when the value does not fit the schema `outgoing`.
   */
  readonly send: (message: Out) => boolean
  readonly params: Params
  readonly query: Query
  readonly connection: Connection<Principal>
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
