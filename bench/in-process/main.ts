/**
 * Publishing to subscriptions of the same process: `main.ts <way> <subscribers> <millis>`, with the CPU time per
 * delivery over IPC.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { cpuTime } from "../load/cpu.ts"
import { type Way, ways } from "./ways.ts"

export interface InProcessReport {
  /** Nanoseconds of CPU time per delivery, with so many messages published in a turn. */
  readonly one: number
  readonly sixteen: number
  /** The share of the time in which others had its core. */
  readonly waited: number
}

const [way, subscribersText, millisText] = process.argv.slice(2)
const subscribers = Number(subscribersText)
const millis = Number(millisText)

const measure = Effect.fnUntraced(function* (make: Way): Effect.fn.Return<InProcessReport, never, Scope.Scope> {
  let received = 0
  let awaited = 0
  let done: (() => void) | undefined
  const onMessage = () => {
    if (++received === awaited) done?.()
  }
  const publish = yield* make(subscribers, onMessage)

  /** Publishes so many messages in a turn and waits until everybody has them all. */
  const turn = (messages: number) =>
    Effect.callback<void>((resume) => {
      awaited = received + messages * subscribers
      done = () => resume(Effect.void)
      Effect.runSync(Effect.forEach(batches[messages]!, publish, { discard: true }))
    })
  const cost = Effect.fnUntraced(function* (messages: number, duration: number) {
    const startedAt = performance.now()
    const before = { cpu: process.cpuUsage(), received }
    while (performance.now() - startedAt < duration) yield* turn(messages)
    const { system, user } = process.cpuUsage(before.cpu)
    return ((user + system) * 1000) / (received - before.received)
  })
  yield* cost(1, millis / 2)
  yield* cost(16, millis / 2)
  const startedAt = performance.now()
  const before = cpuTime(process.pid)
  const one = yield* cost(1, millis)
  const sixteen = yield* cost(16, millis)
  const seconds = (performance.now() - startedAt) / 1000
  return { one, sixteen, waited: (cpuTime(process.pid).waited - before.waited) / seconds }
})

const batches: Readonly<Record<number, ReadonlyArray<number>>> = { 1: [1], 16: Array.from({ length: 16 }, (_, i) => i) }

const report = await Effect.runPromise(Effect.scoped(measure(ways[way as keyof typeof ways])))
process.send!(report, () => process.exit())
