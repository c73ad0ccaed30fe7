/**
 * A listener of an event bus, and what it has been told.
 */
import type { BusEvent, BusGap, BusHealth, EventBusService } from "../../src/cluster/EventBusService.ts"
import type { EventBusError } from "../../src/cluster/EventBusError.ts"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export class Listener {
  readonly topic: string
  readonly payloads: Array<string> = []
  /** The reasons of gaps, in order. */
  readonly seen: Array<BusGap["reason"]> = []
  readonly #waiting = new Set<() => void>()

  private constructor(topic: string) {
    this.topic = topic
  }

  /** Listens until the scope closes. */
  static open(bus: EventBusService, topic: string): Effect.Effect<Listener, EventBusError, Scope.Scope> {
    return Effect.suspend(() => {
      const listener = new Listener(topic)
      return Effect.as(
        bus.subscribe(topic, (event) => listener.#onEvent(event)),
        listener
      )
    })
  }

  #onEvent(event: BusEvent): void {
    if (event._tag === "Message") this.payloads.push(event.payload)
    else this.seen.push(event.reason)
    for (const look of this.#waiting) look()
  }

  /** Done when so many messages have arrived; has all of them. */
  hears(count: number): Effect.Effect<ReadonlyArray<string>> {
    return Effect.as(
      this.#until(() => this.payloads.length >= count),
      this.payloads
    )
  }

  /** Done when it has been told of so many gaps with this reason. */
  sees(reason: BusGap["reason"], count = 1): Effect.Effect<void> {
    return this.#until(() => this.seen.filter((gap) => gap === reason).length >= count)
  }

  #until(isSo: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = () => {
        if (!isSo()) return
        this.#waiting.delete(look)
        resume(Effect.void)
      }
      this.#waiting.add(look)
      look()
      return Effect.sync(() => this.#waiting.delete(look))
    })
  }
}

const when = (tag: BusHealth["_tag"]) => (bus: EventBusService) =>
  bus.healthChanges.pipe(
    Stream.filter((health) => health._tag === tag),
    Stream.take(1),
    Stream.runDrain
  )

/** Done when the bus works. */
export const whenUp = when("Up")

/** Done when the bus does not work. */
export const whenDegraded = when("Degraded")
