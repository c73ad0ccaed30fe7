/**
 * What a bus says of itself to operators: one log entry each time its state changes, and metrics. Never a payload; a
 * driver keeps credentials out of its reasons.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { EventBusError } from "../EventBusError.ts"
import * as metrics from "./busMetrics.ts"

/** Milliseconds between log entries about listeners that throw; those in between are counted. */
const listenerLogInterval = 1000

export class Report {
  readonly #kind: string
  readonly #context: Context.Context<never>
  readonly #now: () => number
  readonly #attributes: { readonly bus: string }
  #thrown = 0
  #loggedAt = Number.NEGATIVE_INFINITY

  /** `now` is in monotonic milliseconds. */
  constructor(kind: string, context: Context.Context<never>, now: () => number) {
    this.#kind = kind
    this.#context = context
    this.#now = now
    this.#attributes = { bus: kind }
    this.#set(0)
  }

  up(): void {
    this.#set(1)
    this.#log(Effect.logInfo(`the event bus (${this.#kind}) works`))
  }

  degraded(why: string): void {
    this.#set(0)
    this.#log(Effect.logWarning(`the event bus (${this.#kind}) does not work, nodes do not hear each other: ${why}`))
  }

  closed(): void {
    this.#set(0)
  }

  reconnected(): void {
    this.#count(metrics.reconnects)
  }

  publishFailed(): void {
    this.#count(metrics.publishFailures)
  }

  /** A subscription could not be restored. */
  refused(topic: string, refusal: EventBusError, first: boolean): void {
    this.#count(metrics.refusals)
    if (!first) return
    this.#log(Effect.logWarning(`the event bus (${this.#kind}) refuses "${topic}", which has listeners`, refusal))
  }

  threw(topic: string, defect: unknown): void {
    this.#count(metrics.listenerFailures)
    this.#thrown++
    const now = this.#now()
    if (now - this.#loggedAt < listenerLogInterval) return
    this.#loggedAt = now
    const times = this.#thrown === 1 ? "" : ` (${this.#thrown} times since the last entry)`
    this.#thrown = 0
    this.#log(Effect.logError(`a listener of "${topic}" on the event bus (${this.#kind}) threw${times}`, defect))
  }

  died(cause: Cause.Cause<unknown>): void {
    this.#log(Effect.logError(`the adapter of the event bus (${this.#kind}) died`, cause))
  }

  lingers(): void {
    this.#log(Effect.logWarning(`a connection to the event bus (${this.#kind}) that was given up does not close`))
  }

  #set(up: number): void {
    Metric.withAttributes(metrics.up, this.#attributes).updateUnsafe(up, this.#context)
  }

  #count(counter: Metric.Counter<number>): void {
    Metric.withAttributes(counter, this.#attributes).updateUnsafe(1, this.#context)
  }

  #log(entry: Effect.Effect<void>): void {
    Effect.runForkWith(this.#context)(entry)
  }
}
