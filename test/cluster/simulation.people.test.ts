/**
 * T-SIM: members of rooms and presence, in schedules drawn from a fixed list of seeds. `scripts/simulate.ts` tries more.
 */
import { describe, it } from "@effect/vitest"
import { simulations } from "../support/simulations.ts"
import { share, type SimulationName } from "../support/simulationShares.ts"

/** Schedules of one test. */
const some = 50

const kinds: ReadonlyArray<SimulationName> = ["people", "people of twins"]

describe.each(kinds)("%s", (kind) => {
  for (let seed = 1; seed <= share[kind]; seed += some) {
    it.effect(
      `schedules ${seed} to ${seed + some - 1} keep what is promised, whatever goes wrong`,
      () => simulations[kind]({ seed, runs: some }),
      { timeout: 60_000 }
    )
  }
})
