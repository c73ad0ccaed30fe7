/**
 * The clauses of event buses for the simulated network, one network for each, and buses on it that are changed.
 */
import { EventBus } from "effect-rooms/cluster"
import { EventBusConformance } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as MemoryBus from "../../src/cluster/MemoryBus.ts"
import { inVirtualTime } from "./virtual.ts"

/** The network of one clause. */
export class Network extends Context.Service<Network, MemoryBus.Network>()("test/Network") {}

/** Makes another bus of the one of a node. */
export type Change = (
  bus: EventBus.EventBusService,
  network: MemoryBus.Network
) => Effect.Effect<EventBus.EventBusService, never, Scope.Scope>

const using = (f: (network: MemoryBus.Network) => Effect.Effect<void>) => Effect.flatMap(Network, f)

const refusedTopic = "refused"

export const clausesOverMemory = (
  change: Change = Effect.succeed,
  options: MemoryBus.BusOptions = {}
): ReadonlyArray<EventBusConformance.Clause<Network>> =>
  EventBusConformance.clauses({
    node: (name) =>
      Layer.effect(
        EventBus.EventBus,
        Effect.flatMap(Network, (network) => Effect.flatMap(network.bus(name, options), (bus) => change(bus, network)))
      ),
    faults: {
      kill: using((network) => network.crash),
      restart: using((network) => network.restart),
      stall: using((network) => network.stall()),
      resume: using((network) => network.resume()),
      cut: using((network) => network.cut()),
      refuseDials: (attempts) => using((network) => Effect.andThen(network.refuseDials(attempts), network.cut())),
      refuse: Effect.as(
        using((network) => network.refuse(refusedTopic)),
        refusedTopic
      ),
      allow: using((network) => network.allow(refusedTopic))
    }
  })

/** Runs a clause on a network of its own, in virtual time. */
export const onNetwork = <E>(
  run: Effect.Effect<void, E, Network>,
  options: MemoryBus.Options = {}
): Effect.Effect<void, E> =>
  inVirtualTime(Effect.provideServiceEffect(run, Network, MemoryBus.make(options))).pipe(
    Effect.provide(Logger.layer([]))
  )
