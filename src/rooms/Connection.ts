/**
 * A connection as the rest of the library sees it: who is there, and the way to end it. It knows nothing of sockets.
 */
import type { Ending, Quota, Receiver } from "../channels/Subscription.ts"
import type { AnyRef } from "../Ref.ts"

/**
 * One connected client, for as long as its socket is open.
 *
 * Given to `except` of a publish, it leaves out every subscription its handler opened.
 */
export interface Connection<out Principal = unknown, out Data = unknown> extends Receiver {
  /** Unique in the cluster, and never used again. */
  readonly id: string
  /** What the route's `authenticate` answered; `undefined` on a route without one. */
  readonly principal: Principal
  /** Who that is, where the route says how users are named. */
  readonly user: AnyRef | undefined
  /** What the route's `data` made for this connection, for the application to keep things in. */
  readonly data: Data
  /** The address of the peer's end of the socket, where there is one. */
  readonly remoteAddress: string | undefined
  /**
   * Closes the connection, after what was sent before it. 1000 by default; applications use 4000–4999. The reason is
   * cut to 123 bytes. Doing it again does nothing.
   */
  readonly close: (code?: number, reason?: string) => void
  /**
   * Calls back once when the socket is closed, in the very step in which that becomes known; at once if it is closed
   * already. The returned function calls it off. The callback must not throw.
   */
  readonly onClose: (callback: (ending: Ending) => void) => () => void
  readonly quota: Quota
}
