/**
 * Runs `onPublish` away from publishers and readers.
 *
 * It runs after local delivery, one at a time, in publish order. A hook that fails, dies or hangs costs local
 * readers nothing: failures are logged and counted, and behind one that hangs at most `capacity` publishes wait;
 * further ones skip the hook, are counted, and `publishAck` says `local-only`.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { hookFailures } from "./metrics.ts"

/** Queues the hook for one event; `done` learns whether it succeeded. */
export type Offer<Event> = (event: Event, done: Deferred.Deferred<boolean> | undefined) => void

interface Job<Event> {
  readonly event: Event
  readonly done: Deferred.Deferred<boolean> | undefined
}

const settle = (done: Deferred.Deferred<boolean> | undefined, succeeded: boolean): void => {
  if (done !== undefined) Deferred.doneUnsafe(done, Exit.succeed(succeeded))
}

/** Starts the fiber that runs `onPublish` hooks; what is queued when the scope closes is settled as not done. */
export const makeOnPublish = Effect.fnUntraced(function* <Event, R>(
  name: string,
  capacity: number,
  hook: (event: Event) => Effect.Effect<void, unknown, R>
): Effect.fn.Return<Offer<Event>, never, Scope.Scope | Exclude<R, Scope.Scope>> {
  const failures = Metric.withAttributes(hookFailures, { channel: name })
  const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
  let closed = false
  const queue = yield* Effect.acquireRelease(Queue.dropping<Job<Event>>(capacity), (opened) =>
    Effect.suspend(() => {
      closed = true
      return Effect.flatMap(Queue.clear(opened), (jobs) => {
        for (const job of jobs) settle(job.done, false)
        return Queue.shutdown(opened)
      })
    })
  )

  const failed = (cause: Cause.Cause<unknown>) =>
    Effect.andThen(
      Metric.update(failures, 1),
      Effect.logWarning(`an onPublish hook of channel ${name} failed; local readers have the message`, cause)
    )
  const settled = ({ done }: Job<Event>) => Effect.sync(() => settle(done, false))
  const runJob = ({ done, event }: Job<Event>) =>
    // A hook that throws before it returns an effect is a defect of the hook, too.
    Effect.scoped(Effect.suspend(() => hook(event))).pipe(
      Effect.matchCauseEffect({
        onSuccess: () => Effect.sync(() => settle(done, true)),
        onFailure: (cause) =>
          Effect.andThen(
            Effect.sync(() => settle(done, false)),
            failed(cause)
          )
      })
    )
  // A job that was taken is run or settled: the fiber can be interrupted while it waits and while it runs.
  const runNext = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(Queue.take(queue)), (job) => restore(runJob(job)).pipe(Effect.ensuring(settled(job))))
  )
  yield* Effect.forkScoped(Effect.forever(runNext))

  let behind = false
  return (event, done) => {
    if (closed) return settle(done, false)
    if (Queue.offerUnsafe(queue, { event, done })) {
      behind = false
      return
    }
    settle(done, false)
    failures.updateUnsafe(1, context)
    if (behind) return
    behind = true
    const log = Effect.logWarning(`the onPublish hook of channel ${name} is ${capacity} publishes behind: skipping it`)
    Effect.runForkWith(context)(log)
  }
})
