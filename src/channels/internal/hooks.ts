/**
 * Runs the hooks of a channel away from publishers and readers.
 *
 * `onPublish` runs after local delivery, one at a time, in publish order. A hook that fails, dies or hangs costs local
 * readers nothing: failures are logged and counted, and behind one that hangs at most `capacity` publishes wait;
 * further ones skip the hook, are counted, and `publishAck` says `local-only`.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as RcMap from "effect/RcMap"
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
  const queue = yield* Effect.acquireRelease(Queue.dropping<Job<Event>>(capacity), (opened) =>
    Effect.flatMap(Queue.clear(opened), (jobs) => {
      for (const job of jobs) settle(job.done, false)
      return Queue.shutdown(opened)
    })
  )

  const failed = (cause: Cause.Cause<unknown>) =>
    Effect.andThen(
      Metric.update(failures, 1),
      Effect.logWarning(`an onPublish hook of channel ${name} failed; local readers have the message`, cause)
    )
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
      }),
      Effect.onInterrupt(() => Effect.sync(() => settle(done, false)))
    )
  yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(queue), runJob)))

  let behind = false
  return (event, done) => {
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

/**
 * Shares one run of `onOpen` among all who are interested in a key; its scope closes with the last of them.
 */
export const makeOnOpen = Effect.fnUntraced(function* <E, R>(
  hook: (identifier: string) => Effect.Effect<void, E, R>
): Effect.fn.Return<
  (identifier: string) => Effect.Effect<void, E, Scope.Scope>,
  never,
  Scope.Scope | Exclude<R, Scope.Scope>
> {
  const interests = yield* RcMap.make({
    lookup: (identifier: string) => Effect.suspend(() => hook(identifier))
  }) as Effect.Effect<RcMap.RcMap<string, void, E>, never, Scope.Scope | Exclude<R, Scope.Scope>>
  return (identifier) => RcMap.get(interests, identifier)
})
