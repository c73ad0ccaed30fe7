/**
 * What every event bus does, whatever carries it; `EventBus` is its service.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { EventBusError } from "./EventBusError.ts"

/** What arrived on a topic. */
export interface BusMessage {
  readonly _tag: "Message"
  readonly payload: string
}

/** Stands where messages of a topic may be missing; nobody knows how many. */
export interface BusGap {
  readonly _tag: "Gap"
  readonly reason: "unreachable" | "reconnected" | "overflow"
}

/** Tells the listener of a topic that a message arrived, or that some may be missing. */
export type BusEvent = BusMessage | BusGap

/**
 * Whether the bus works for this node, seen by messages this node sends to itself. On a bus without `echo` they do not
 * come back, and that they were taken has to do.
 */
export type BusHealth =
  | { readonly _tag: "Up" }
  /** `forMillis` is monotonic time since the bus last answered. */
  | { readonly _tag: "Degraded"; readonly forMillis: number; readonly why: string }

/**
 * Carries text between nodes.
 *
 * A topic is 1 to 200 characters; adapters escape or hash what their broker does not take, so two topics never mix.
 * Payloads are text of at most `maxPayload` bytes in UTF-8. What one node publishes to one topic arrives in order when
 * `ordered`, each message at most once.
 */
export interface EventBusService {
  /** Names the kind of bus in logs and metrics: `"redis"`. */
  readonly kind: string
  /** Bytes of a payload, at most; another number, maybe, once it is connected. */
  readonly maxPayload: number
  /** Whether a node gets back what it publishes to a topic it subscribes to. */
  readonly echo: boolean
  /** Whether what one node publishes to one topic arrives in the order of its publishes. */
  readonly ordered: boolean
  /** Whether what it carries stays on this machine; where nobody knows, it does not. */
  readonly isLocal?: boolean | undefined
  /**
   * Hands a payload to the bus and returns when the bus has taken it. Fails when the bus refused it, did not answer
   * within 5 seconds, or is out of reach; nothing is kept for later. It may have arrived all the same when it did not
   * answer. What is published concurrently by one node is handed over in the order in which the effects began.
   */
  readonly publish: (topic: string, payload: string) => Effect.Effect<void, EventBusError>
  /**
   * Subscribes until the scope closes; live when it succeeds. `onEvent` is called in the step in which something
   * arrives; it must be quick and must not throw. Listeners of one topic are called in order of subscription, and are
   * one subscription at the broker.
   *
   * Fails with `BusRefused` when the bus says no. While the bus is out of reach, or does not answer within 5 seconds, it
   * succeeds: `onEvent` gets a `Gap` at once, and another one when messages flow again. So does every listener when the
   * bus is lost. Between the two nothing arrives; the second one waits for as long as the bus refuses to restore the
   * topic, which is tried every 5 seconds. A subscription never ends by itself; on a closed bus it fails.
   */
  readonly subscribe: (
    topic: string,
    onEvent: (event: BusEvent) => void
  ) => Effect.Effect<void, EventBusError, Scope.Scope>
  readonly health: Effect.Effect<BusHealth>
  /** Emits the health, and again each time it turns. */
  readonly healthChanges: Stream.Stream<BusHealth>
}
