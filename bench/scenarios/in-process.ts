/**
 * No sockets: publishing to subscriptions of the same process, beside Effect's `PubSub` by itself.
 */
import type { InProcessReport } from "../in-process/main.ts"
import { runOnServerCore } from "../run/processes.ts"
import type { Metrics, Phase, Scenario } from "./scenario.ts"

const subscribers = [1, 100, 10_000]

export const inProcess: Scenario = {
  name: "in-process",
  maxRounds: 2,
  rows: [
    "PubSub, stream",
    "PubSub, take",
    "PubSub, takeAll",
    "Subscription, stream",
    "Subscription, runForEach",
    "Subscription, take",
    "Subscription, for await"
  ],
  phases: subscribers.map((count): Phase => ({
    name: `to-${count}`,
    title: `publish to ${count} subscription${count === 1 ? "" : "s"} of the same process`,
    columns: [
      { key: "sixteen", title: "CPU ns/delivery, 16 in a turn", digits: 0 },
      { key: "one", title: "CPU ns/delivery, one in a turn", digits: 0 }
    ]
  })),
  measure: async (row, { quick }) => {
    const phases: Record<string, Metrics> = {}
    for (const count of subscribers) {
      const args = ["in-process/main.ts", row, String(count), quick ? "80" : "200"]
      phases[`to-${count}`] = { ...(await runOnServerCore<InProcessReport>(args)) }
    }
    return phases
  }
}
