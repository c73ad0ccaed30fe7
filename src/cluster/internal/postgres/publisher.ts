/**
 * Publishes in the order of the calls, on one session.
 *
 * One statement at a time is under way; what is published meanwhile goes into the next. A commit with notifications
 * takes a lock of the whole server, so few commits are better than many: one statement of 64 notifications costs a
 * tenth of 64 statements.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventBusError } from "../../EventBusError.ts"
import { channelOf } from "./channel.ts"
import { unreachable } from "./error.ts"
import type { LargePayloads } from "./large.ts"
import type { Session } from "./session.ts"
import * as Wire from "./wire.ts"

/** Notifications of a statement, at most. */
const maxBatch = 512

interface Publish extends Wire.Outgoing {
  readonly channel: string
  readonly resume: (effect: Effect.Effect<void, EventBusError>) => void
}

export type Publisher = (topic: string, payload: string) => Effect.Effect<void, EventBusError>

const gone = unreachable("the connection was closed")

/** Rows of an array come in its order, and so do their notifications. */
const notifyAll =
  "SELECT count(pg_notify(channel, text)) FROM unnest($1::text[], $2::text[]) AS notification(channel, text)"

export const make = Effect.fnUntraced(function* (
  session: Session,
  largePayloads: LargePayloads
): Effect.fn.Return<Publisher, never, Scope.Scope> {
  const waiting: Array<Publish> = []
  let underWay: ReadonlyArray<Publish> = []
  let number = 0
  let wake: (() => void) | undefined
  let closed = false

  const some = Effect.callback<void>((resume) => {
    if (waiting.length > 0) return resume(Effect.void)
    wake = () => {
      wake = undefined
      resume(Effect.void)
    }
    return Effect.sync(() => {
      wake = undefined
    })
  })

  /** What can go out in one statement: one large payload, or notifications up to the next large one. */
  const takeBatch = (): ReadonlyArray<Publish> => {
    let count = 0
    while (count < waiting.length && count < maxBatch && waiting[count]!.row === undefined) count++
    return waiting.splice(0, Math.max(1, count))
  }

  const send = (batch: ReadonlyArray<Publish>): Effect.Effect<void, EventBusError> => {
    const { channel, head, row } = batch[0]!
    if (row !== undefined) return largePayloads.publish(channel, head, row)
    const parameters = [batch.map((it) => it.channel), batch.map((it) => it.head)]
    return Effect.asVoid(session.query(notifyAll, parameters))
  }

  /** A statement that was refused has published nothing, so those that cannot help it get another one each. */
  const settle = (batch: ReadonlyArray<Publish>): Effect.Effect<void> =>
    Effect.flatMap(Effect.exit(send(batch)), (exit) => {
      const isRefusal =
        exit._tag === "Failure" &&
        exit.cause.reasons.some((it) => it._tag === "Fail" && it.error.reason._tag === "BusRefused")
      if (isRefusal && batch.length > 1) return Effect.forEach(batch, (it) => settle([it]), { discard: true })
      for (const { resume } of batch) resume(exit)
      return Effect.void
    })

  const work = Effect.flatMap(some, () => {
    underWay = takeBatch()
    return settle(underWay)
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      for (const { resume } of [...underWay, ...waiting.splice(0)]) resume(Effect.fail(gone))
    })
  )
  yield* Effect.forkScoped(Effect.forever(work))

  return (topic, payload) =>
    Effect.callback((resume) => {
      if (closed) return resume(Effect.fail(gone))
      waiting.push({ ...Wire.encode(payload, number++), channel: channelOf(topic), resume })
      wake?.()
    })
})
