/**
 * The driver of one machine on a simulated network.
 */
import * as Effect from "effect/Effect"
import type { EventBusError } from "../../EventBusError.ts"
import type { Driver } from "../bus/driver.ts"
import { type Broker, Connection, type Machine } from "./broker.ts"

export interface MemoryDriverOptions {
  readonly maxPayload: number
  readonly ordered: boolean
}

export const make = (broker: Broker, machine: Machine, options: MemoryDriverOptions): Driver => ({
  kind: "memory",
  maxPayload: options.maxPayload,
  echo: broker.faults.echo,
  ordered: options.ordered,
  isLocal: true,
  connect: (events, lost) =>
    Effect.gen(function* () {
      const connection = yield* Effect.acquireRelease(
        Effect.sync(() => new Connection(machine, events, lost)),
        (opened) => Effect.sync(() => broker.disconnect(opened))
      )
      yield* Effect.callback<void, EventBusError>((resume) => broker.connect(connection, resume))
      return {
        publish: (topic, payload) => Effect.callback((resume) => broker.publish(connection, topic, payload, resume)),
        subscribe: (topics) => Effect.callback((resume) => broker.subscribe(connection, topics, resume)),
        unsubscribe: (topics) => Effect.callback((resume) => broker.unsubscribe(connection, topics, resume))
      }
    })
})
