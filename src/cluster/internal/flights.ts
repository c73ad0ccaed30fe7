/**
 * Packets on their way to the bus: bounded, each told what became of it.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { EventBusService } from "../EventBus.ts"
import { EventBusError } from "../EventBusError.ts"
import * as metrics from "./metrics.ts"

/** What may be on its way to the bus at the same time, in characters. */
const maxInFlight = 16 * 2 ** 20

export class Flights {
  readonly #bus: EventBusService
  readonly #context: Context.Context<never>
  #inFlight = 0
  #landed: (() => void) | undefined
  #failing = false

  constructor(bus: EventBusService, context: Context.Context<never>) {
    this.#bus = bus
    this.#context = context
  }

  /** Hands a packet to the bus; `done` is told whether the bus has taken it. */
  start(topic: string, payload: string, done: ((taken: boolean) => void) | undefined): void {
    if (this.#inFlight > 0 && this.#inFlight + payload.length > maxInFlight) {
      this.#failed("too much is on its way already")
      return done?.(false)
    }
    this.#inFlight += payload.length
    const run = Effect.matchCause(this.#bus.publish(topic, payload), {
      onSuccess: () => {
        this.#land(payload)
        this.#failing = false
        metrics.envelopes.updateUnsafe(1, this.#context)
        done?.(true)
      },
      onFailure: (cause) => {
        this.#land(payload)
        this.#failed(Cause.squash(cause))
        done?.(false)
      }
    })
    Effect.runForkWith(this.#context)(run)
  }

  #land(payload: string): void {
    this.#inFlight -= payload.length
    if (this.#inFlight === 0) this.#landed?.()
  }

  /** Done when nothing is on its way any more, or after a second. */
  get landed(): Effect.Effect<void> {
    const landed = Effect.callback<void>((resume) => {
      if (this.#inFlight === 0) return resume(Effect.void)
      this.#landed = () => resume(Effect.void)
    })
    return Effect.asVoid(Effect.timeoutOption(landed, 1_000))
  }

  /** Counts each, and logs the first of many; that the bus is out of reach, the bus says itself. */
  #failed(why: unknown): void {
    metrics.publishFailures.updateUnsafe(1, this.#context)
    if (this.#failing || (why instanceof EventBusError && why.reason._tag === "BusUnreachable")) return
    this.#failing = true
    const log = Effect.logWarning(
      "the event bus does not take messages for the other nodes; this node goes on alone",
      why instanceof EventBusError ? why.message : why
    )
    Effect.runForkWith(this.#context)(log)
  }
}
