/**
 * What a bus says of itself to operators: one log entry each time its state changes, and metrics. Never a payload; a
 * driver keeps credentials out of its reasons.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { EventBusError } from "../../EventBusError.ts"
import * as metrics from "./metrics.ts"

/** Milliseconds between log entries about what may happen often; those in between are counted. */
const interval = 1000

/** Log entries of one sort, one in an interval. */
class Sparse {
  #times = 0
  #loggedAt = Number.NEGATIVE_INFINITY

  /** What to add to an entry that is due now; `undefined` when none is. */
  due(now: number): string | undefined {
    this.#times++
    if (now - this.#loggedAt < interval) return undefined
    const added = this.#times === 1 ? "" : ` (${this.#times} times since the last entry)`
    this.#times = 0
    this.#loggedAt = now
    return added
  }
}

export class Report {
  readonly #kind: string
  readonly #context: Context.Context<never>
  readonly #now: () => number
  readonly #attributes: { readonly bus: string }
  readonly #thrown = new Sparse()
  readonly #keptBack = new Sparse()

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
    const times = this.#thrown.due(this.#now())
    if (times === undefined) return
    this.#log(Effect.logError(`a listener of "${topic}" on the event bus (${this.#kind}) threw${times}`, defect))
  }

  /** The broker refused to unsubscribe. */
  kept(refusal: EventBusError): void {
    this.#count(metrics.refusals)
    const times = this.#keptBack.due(this.#now())
    if (times === undefined) return
    this.#log(Effect.logWarning(`the event bus (${this.#kind}) refuses to unsubscribe${times}`, refusal))
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
