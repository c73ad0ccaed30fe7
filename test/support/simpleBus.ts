/**
 * A bus without a network: what is published is there in the same step. It loses what a test points at.
 */
import { EventBus } from "effect-rooms/cluster"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

export interface SimpleBus {
  /** The bus of one node. */
  readonly node: (name: string, options?: { readonly echo?: boolean }) => Layer.Layer<EventBus.EventBus>
  /** Packets published so far, by topic. */
  readonly published: Map<string, number>
  /** Loses a packet on its way to a node where this answers true. */
  lose: (from: string, to: string, topic: string, payload: string) => boolean
  /** How many subscriptions there are. */
  readonly listeners: () => number
}

interface Listener {
  readonly node: string
  readonly topic: string
  readonly onEvent: (event: EventBus.BusEvent) => void
}

export const make = (): SimpleBus => {
  const listeners = new Set<Listener>()
  const bus: SimpleBus = {
    published: new Map(),
    lose: () => false,
    listeners: () => listeners.size,
    node: (name, { echo = true } = {}) =>
      Layer.succeed(EventBus.EventBus, {
        kind: "simple",
        maxPayload: 2 ** 20,
        echo,
        ordered: true,
        isLocal: true,
        publish: (topic, payload) =>
          Effect.sync(() => {
            bus.published.set(topic, (bus.published.get(topic) ?? 0) + 1)
            for (const listener of Array.from(listeners)) {
              if (listener.topic !== topic || (listener.node === name && !echo)) continue
              if (listener.node !== name && bus.lose(name, listener.node, topic, payload)) continue
              listener.onEvent({ _tag: "Message", payload })
            }
          }),
        subscribe: (topic, onEvent) => {
          const listener = { node: name, topic, onEvent }
          return Effect.asVoid(
            Effect.acquireRelease(
              Effect.sync(() => void listeners.add(listener)),
              () => Effect.sync(() => void listeners.delete(listener))
            )
          )
        },
        health: Effect.succeed({ _tag: "Up" as const }),
        healthChanges: Stream.never
      })
  }
  return bus
}
