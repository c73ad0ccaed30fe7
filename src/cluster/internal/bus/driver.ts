/**
 * What an adapter has to know about its broker; everything that brokers have in common is `bus.ts`.
 *
 * A driver connects once and says when that connection is lost. It never reconnects by itself, queues nothing for a
 * connection that is not there, and keeps no list of subscriptions: the bus does that for all of them, and tests it
 * once.
 */
import type * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventBusError } from "../../EventBusError.ts"

/** One connection to a broker; over when its scope closes or when `lost` is done. */
export interface DriverConnection {
  /**
   * Hands one payload over, and is done when the broker has taken it. Called concurrently: commands go out in the order
   * of the calls. Fails with `BusRefused` or `BusUnreachable`.
   */
  readonly publish: (topic: string, payload: string) => Effect.Effect<void, EventBusError>
  /**
   * Done when all the topics are live. Fails with `BusRefused` when any is refused; then none of them is subscribed, or
   * subscribing again to one that still is changes nothing. Any other failure means that the connection is lost. At most
   * 512 topics at a time; a few calls at a time, never two that are about one topic.
   */
  readonly subscribe: (topics: ReadonlyArray<string>) => Effect.Effect<void, EventBusError>
  /** Done when nothing more arrives on the topics; a topic that is not subscribed is no failure. */
  readonly unsubscribe: (topics: ReadonlyArray<string>) => Effect.Effect<void, EventBusError>
}

/** What a driver tells the bus, in the step in which it happens. */
export interface DriverEvents {
  readonly onMessage: (topic: string, payload: string) => void
  /** Messages of the topic were dropped on this side because there were too many of them. */
  readonly onOverflow?: (topic: string) => void
}

export interface Driver {
  readonly kind: string
  readonly maxPayload: number
  readonly echo: boolean
  readonly ordered: boolean
  readonly isLocal?: boolean | undefined
  /**
   * Connects, for publishing and for listening. Closing the scope closes every socket within a second, whatever the
   * broker does. `lost` is completed with the reason when the connection is gone, whoever noticed; reasons appear in
   * logs, so they name no credentials.
   */
  readonly connect: (
    events: DriverEvents,
    lost: Deferred.Deferred<never, EventBusError>
  ) => Effect.Effect<DriverConnection, EventBusError, Scope.Scope>
}
