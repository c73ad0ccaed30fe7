/**
 * The clauses of event buses, over the simulated network, in virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "effect-rooms/cluster"
import { EventBusConformance } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import { clausesOverMemory, onNetwork } from "../support/memoryConformance.ts"
import { inVirtualTime } from "../support/virtual.ts"

describe.each([
  ["that answers at once", {}],
  ["that takes its time", { latency: { min: 1, max: 20 }, answer: { min: 1, max: 30 } }],
  ["that does not echo", { echo: false }],
  ["that takes large payloads", { maxPayload: 2 ** 40 }]
])("an event bus over a simulated network %s", (_, network) => {
  for (const clause of clausesOverMemory()) {
    const name = clause.bugs.length === 0 ? clause.name : `${clause.bugs.join(", ")}: ${clause.name}`
    it.effect(name, () => onNetwork(clause.run, network).pipe(Random.withSeed("effect-rooms")))
  }
})

it("there is no clause that cannot be checked on a simulated network", () => {
  assert.deepStrictEqual(
    clausesOverMemory().flatMap(({ name, skipped }) => (skipped === undefined ? [] : [name])),
    []
  )
})

describe("an event bus over three functions of one's own", () => {
  const subscribers = new Map<string, Set<(payload: string) => void>>()
  const transport = (): EventBus.Transport => {
    const own = new Map<string, (payload: string) => void>()
    return {
      publish: (topic, payload) => subscribers.get(topic)?.forEach((onMessage) => onMessage(payload)),
      subscribe: (topic, onMessage) => {
        own.set(topic, onMessage)
        subscribers.set(topic, (subscribers.get(topic) ?? new Set()).add(onMessage))
      },
      unsubscribe: (topic) => {
        const onMessage = own.get(topic)
        if (onMessage !== undefined) subscribers.get(topic)?.delete(onMessage)
      }
    }
  }
  const clauses = EventBusConformance.clauses({
    node: () => Layer.suspend(() => EventBus.layerTransport(transport(), { echo: true, ordered: true }))
  })
  for (const { name, run, skipped } of clauses) {
    if (skipped === undefined) it.effect(`M6: ${name}`, () => Effect.provide(inVirtualTime(run), Logger.layer([])))
  }
})
