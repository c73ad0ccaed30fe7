/**
 * What is simulated, by name, and how to run some of it.
 */
import { TestCluster } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import { channelsSpec } from "./simulation.ts"
import { peopleSpec } from "./simulationPeople.ts"
import type { SimulationName } from "./simulationShares.ts"

/** Acts of a schedule. */
const length = 50
/** How often a schedule that fails is made shorter; 0 where nobody reads it. */
const maxShrinks = Number(process.env["MAX_SHRINKS"] ?? 500)

const runner =
  <R, S>(spec: TestCluster.Spec<R, S>) =>
  (options: TestCluster.CheckOptions): Effect.Effect<void, TestCluster.TestClusterError> =>
    TestCluster.check(spec, { length, maxShrinks, ...options })

/** Runs schedules of each kind. */
export const simulations: Record<SimulationName, ReturnType<typeof runner>> = {
  channels: runner(channelsSpec()),
  "channels of twins": runner(channelsSpec(true)),
  people: runner(peopleSpec()),
  "people of twins": runner(peopleSpec(true))
}
