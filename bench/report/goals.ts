/**
 * The goals: ratios of two rows in one run, or plain bounds, and whether they hold.
 */
import type { Results } from "./results.ts"
import { type Summary, summarize } from "./stats.ts"
import { show } from "./table.ts"

export interface Goal {
  readonly text: string
  readonly atMost?: number
  readonly atLeast?: number
  /** Who is judged; the rooms of effect-rooms where it says nothing. */
  readonly row?: string
  /** The number that is bounded; undefined when this run has not measured it. */
  readonly value: (results: Results, row: string) => Summary | undefined
}

const ratio =
  (scenario: string, phase: string, key: string, to: string) =>
  (results: Results, row: string): Summary | undefined =>
    results.ratio(scenario, phase, row, to, key)

const fanOut = (members: number, plain: number): ReadonlyArray<Goal> => {
  const scenario = `room-${members}`
  return [
    {
      text: `room of ${members}, saturated: CPU per delivery × plain ws`,
      atMost: plain,
      value: ratio(scenario, "saturated", "cpu", "ws-plain")
    },
    {
      text: `room of ${members}, saturated: CPU per delivery × hand-tuned`,
      atMost: 1.1,
      value: ratio(scenario, "saturated", "cpu", "ws-tuned")
    },
    {
      text: `room of ${members}, many publishers: CPU per delivery × hand-tuned`,
      atMost: 1.1,
      value: ratio(scenario, "many", "cpu", "ws-tuned")
    },
    {
      text: `room of ${members}, light load: CPU per delivery × plain ws`,
      atMost: 1,
      value: ratio(scenario, "light", "cpu", "ws-plain")
    },
    {
      text: `room of ${members}, light load: p99 × plain ws`,
      atMost: 1,
      value: ratio(scenario, "light", "p99", "ws-plain")
    }
  ]
}

const inProcess = (subscribers: number): ReadonlyArray<Goal> => {
  const phase = `to-${subscribers}`
  const compare = (way: string, to: string, atMost: number): ReadonlyArray<Goal> =>
    (["sixteen", "one"] as const).map((key) => ({
      text: `in process, ${subscribers} readers, ${key} in a turn: ${way} × ${to}`,
      atMost,
      row: way,
      value: ratio("in-process", phase, key, to)
    }))
  return [
    ...compare("Subscription, take", "PubSub, take", 1.15),
    ...compare("Subscription, stream", "PubSub, stream", 1.15),
    ...compare("Subscription, runForEach", "PubSub, take", 1.15),
    ...compare("Subscription, for await", "PubSub, take", 1.5)
  ]
}

/** Both nodes and Redis, per delivery. */
const overNodes = (scenario: string, plain: number, socketIo: number, light: number): ReadonlyArray<Goal> =>
  (
    [
      ["saturated", "ws-redis", plain],
      ["saturated", "socket.io-redis", socketIo],
      ["light", "ws-redis", light]
    ] as const
  ).map(([phase, to, atMost]) => ({
    text: `${scenario}, ${phase}: CPU per delivery × ${to}`,
    atMost,
    row: "rooms-redis",
    value: ratio(scenario, phase, "cpu", to)
  }))

export const goals: ReadonlyArray<Goal> = [
  ...overNodes("nodes-large", 0.15, 0.15, 0.8),
  ...overNodes("nodes-small", 0.5, 0.3, 0.8),
  ...fanOut(100, 0.06),
  ...fanOut(1000, 0.16),
  ...fanOut(5000, 0.36),
  {
    text: "room of 1000, saturated: CPU per delivery × Socket.IO",
    atMost: 0.15,
    value: ratio("room-1000", "saturated", "cpu", "socket.io")
  },
  {
    text: "500 rooms of 4: CPU per delivery × plain ws",
    atMost: 0.75,
    value: ratio("small-rooms", "all", "cpu", "ws-plain")
  },
  {
    text: "connects and joins per CPU second × plain ws",
    atLeast: 0.6,
    value: ratio("connections", "storm", "perCpuSecond", "ws-plain")
  },
  {
    text: "connects and joins per CPU second × Socket.IO",
    atLeast: 1.5,
    value: ratio("connections", "storm", "perCpuSecond", "socket.io")
  },
  {
    text: "joins and leaves per CPU second × plain ws",
    atLeast: 0.7,
    value: ratio("connections", "churn", "perCpuSecond", "ws-plain")
  },
  {
    text: "resident memory per idle connection × plain ws",
    atMost: 2,
    value: ratio("connections", "idle", "rss", "ws-plain")
  },
  {
    text: "resident memory per idle connection × Socket.IO",
    atMost: 0.6,
    value: ratio("connections", "idle", "rss", "socket.io")
  },
  ...[1, 100, 10_000].flatMap(inProcess),
  {
    text: "10,000 connections: time to connect × plain ws",
    atMost: 3,
    value: ratio("ten-thousand", "connect", "seconds", "ws-plain")
  },
  {
    text: "10,000 connections: messages lost",
    atMost: 0,
    value: (results, row) => results.summary("ten-thousand", "light", row, "lost")
  },
  {
    text: "10,000 connections: p99 × plain ws",
    atMost: 2,
    value: ratio("ten-thousand", "light", "p99", "ws-plain")
  },
  {
    text: "one stalled of 1000: p99 of the others × without it",
    atMost: 1.1,
    value: (results, row) => {
      const without = results.values("stalled", "without", row, "p99")
      const ratios = results.values("stalled", "with", row, "p99").map((value, round) => value / without[round]!)
      return ratios.length === 0 ? undefined : summarize(ratios)
    }
  },
  {
    text: "one stalled of 1000: messages lost by the others",
    atMost: 0,
    value: (results, row) => results.summary("stalled", "with", row, "lost")
  },
  {
    text: "one stalled of 1000: KiB over the bound of its outbox",
    // One message more than the bound.
    atMost: 60,
    value: (results, row) => {
      const most = results.values("stalled", "with", row, "mostUnsent")
      return most.length === 0 ? undefined : summarize(most.map((kibibytes) => Math.max(0, kibibytes - 1024)))
    }
  }
]

const judge = ({ atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Goal, value: Summary) => {
  const within = (number: number) => number >= atLeast && number <= atMost
  if (within(value.median)) return "holds"
  return within(value.min) || within(value.max) ? "within the noise" : "FAILS"
}

const showRatio = (value: Summary | undefined): string =>
  value === undefined ? "" : show(value, Math.abs(value.median) < 1 ? 3 : 2)

/** The goals this run has measured, as the rows of a table. The plain route is shown and not judged. */
export const goalRows = (results: Results): ReadonlyArray<ReadonlyArray<string>> =>
  goals.flatMap((goal) => {
    const value = goal.value(results, goal.row ?? "rooms")
    if (value === undefined) return []
    const bound = goal.atMost === undefined ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`
    const route = goal.row === undefined ? goal.value(results, "route") : undefined
    return [[goal.text, bound, showRatio(value), judge(goal, value), showRatio(route)]]
  })

export const goalHead = ["goal", "bound", "measured", "", "plain route"]
