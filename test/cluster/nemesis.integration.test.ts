/**
 * Three nodes and a Redis, 300 clients, and a fault every two seconds: what the clients have heard keeps the promises,
 * and in the end all nodes know the same. At full length, and on the other buses: `scripts/nemesis.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { skipWhere } from "../support/broker.ts"
import { missingFor } from "../support/nemesis/brokers.ts"
import { runNemesis } from "../support/nemesis/nemesis.ts"
import { findings } from "../support/nemesis/report.ts"
import { faultKinds } from "../support/nemesis/schedule.ts"

skipWhere(missingFor.redis)

const seed = 7

describe("a cluster of real processes", () => {
  it(
    "P1, P2, P3, P7, P11, P12: keeps its promises while nodes, the broker and clients are killed, frozen and cut off",
    { timeout: 180_000 },
    async () => {
      const report = await runNemesis({ bus: "redis", seed, seconds: 20 })
      console.log(report.summary.join("\n"))
      assert.deepStrictEqual(findings(report), [])
      // It was hard: everything that can go wrong did, and messages were lost.
      assert.sameMembers(Array.from(new Set(report.faults.map(({ kind }) => kind))), Array.from(faultKinds))
      assert.isAbove(report.gaps, 0)
      assert.isAbove(report.acknowledged, 500)
    }
  )
})
