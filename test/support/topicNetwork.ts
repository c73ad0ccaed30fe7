/**
 * An event bus with nothing behind it: what is published is delivered in the same step. Tests say what goes wrong.
 */
import { BusRefused, BusUnreachable, EventBusError } from "../../src/cluster/EventBusError.ts"
import type { BusEvent, EventBusService } from "../../src/cluster/EventBusService.ts"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

interface Listener {
  readonly node: number
  readonly topic: string
  readonly onEvent: (event: BusEvent) => void
}

export class PlainNetwork {
  readonly #listeners = new Set<Listener>()
  readonly #echo: boolean
  #nodes = 0
  /** What was published so far, on whatever topic. */
  readonly published: Array<string> = []
  reachable = true
  refuses: string | undefined

  constructor(echo: boolean) {
    this.#echo = echo
  }

  get subscribed(): ReadonlyArray<string> {
    return Array.from(this.#listeners, ({ topic }) => topic)
  }

  /** Tells every listener of a topic, as if it came from elsewhere. */
  tell(topic: string, event: BusEvent): void {
    for (const listener of this.#listeners) if (listener.topic === topic) listener.onEvent(event)
  }

  /** The bus of one more node. */
  node(): EventBusService {
    const node = this.#nodes++
    return {
      kind: "plain",
      maxPayload: 1024,
      echo: this.#echo,
      ordered: true,
      publish: (topic, payload) =>
        Effect.suspend(() => {
          if (!this.reachable) {
            return Effect.fail(new EventBusError({ reason: new BusUnreachable({ detail: "there is no network" }) }))
          }
          this.published.push(payload)
          for (const listener of this.#listeners) {
            if (listener.topic !== topic || (listener.node === node && !this.#echo)) continue
            listener.onEvent({ _tag: "Message", payload })
          }
          return Effect.void
        }),
      subscribe: (topic, onEvent) =>
        Effect.suspend(() => {
          if (this.refuses === topic)
            return Effect.fail(new EventBusError({ reason: new BusRefused({ detail: `no ${topic}` }) }))
          const listener = { node, topic, onEvent }
          return Effect.acquireRelease(
            Effect.sync(() => void this.#listeners.add(listener)),
            () => Effect.sync(() => this.#listeners.delete(listener))
          )
        }),
      health: Effect.succeed({ _tag: "Up" }),
      healthChanges: Stream.make({ _tag: "Up" })
    }
  }
}
