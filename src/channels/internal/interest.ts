/**
 * Who is interested in which key: `onOpen` runs with the first, its scope closes with the last.
 *
 * One run per key at a time: the next begins only when everything the one before it acquired has been released. Effect's
 * `RcMap` counts references as well, but lets the two overlap and keeps a failed run for those who come later.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

interface Run<E> {
  interested: number
  readonly scope: Scope.Closeable
  readonly opened: Deferred.Deferred<void, E>
  /** Done when the run is over and has released what it acquired. */
  readonly over: Deferred.Deferred<void>
  ending: boolean
  fiber: Fiber.Fiber<void> | undefined
}

/** A finalizer that fails is the hook's mistake: it is logged, and what waits for the release goes on. */
const reported = { log: "Error", message: "a finalizer of an onOpen hook failed" } as const

/** Interest in a key until the scope closes; fails with the failure of the run it waited for. */
export type Interest<E> = (identifier: string) => Effect.Effect<void, E, Scope.Scope>

/**
 * Makes interests that last at most as long as the scope. The hook sees the services of the maker, not of whoever
 * subscribes first, and a scope of its own.
 */
export const make = Effect.fnUntraced(function* <E, R>(
  hook: (identifier: string) => Effect.Effect<void, E, R>
): Effect.fn.Return<Interest<E>, never, Scope.Scope | Exclude<R, Scope.Scope>> {
  const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
  const runs = new Map<string, Run<E>>()
  let closed = false

  /**
   * Releases what a run has acquired. Nobody joins the run from this call on, not from when its effect runs: those who
   * come wait until it is over and begin anew.
   */
  const end = (
    identifier: string,
    run: Run<E>,
    exit: Exit.Exit<void, E>,
    before: Effect.Effect<void> = Effect.void
  ): Effect.Effect<void> => {
    if (run.ending) return Deferred.await(run.over)
    run.ending = true
    const over = Effect.sync(() => {
      runs.delete(identifier)
      Deferred.doneUnsafe(run.over, Exit.void)
    })
    return before.pipe(Effect.andThen(Effect.ignoreCause(Scope.close(run.scope, exit), reported)), Effect.andThen(over))
  }

  const start = (identifier: string): Run<E> => {
    const run: Run<E> = {
      interested: 0,
      scope: Scope.makeUnsafe(),
      opened: Deferred.makeUnsafe(),
      over: Deferred.makeUnsafe(),
      ending: false,
      fiber: undefined
    }
    runs.set(identifier, run)
    const opening = Effect.uninterruptibleMask((restore) =>
      Effect.exit(restore(Effect.suspend(() => hook(identifier)))).pipe(
        Effect.tap((exit) => (Exit.isFailure(exit) && !run.ending ? end(identifier, run, exit) : Effect.void)),
        Effect.flatMap((exit) => Effect.sync(() => void Deferred.doneUnsafe(run.opened, exit)))
      )
    )
    run.fiber = Effect.runForkWith(Context.add(context, Scope.Scope, run.scope) as Context.Context<R>)(opening)
    return run
  }

  const stop = (identifier: string, run: Run<E>) =>
    end(
      identifier,
      run,
      Exit.void,
      Effect.suspend(() => Fiber.interrupt(run.fiber!))
    )

  const release = (identifier: string, run: Run<E>) =>
    Effect.suspend(() => (--run.interested > 0 ? Effect.void : stop(identifier, run)))

  // Those who still wait are let go, and nobody begins anew: the channel is closing, what they subscribe to has ended.
  yield* Effect.addFinalizer(() => {
    closed = true
    for (const run of runs.values()) Deferred.doneUnsafe(run.opened, Exit.void)
    return Effect.forEach(Array.from(runs), ([identifier, run]) => stop(identifier, run), {
      concurrency: "unbounded",
      discard: true
    })
  })

  const interest: Interest<E> = (identifier) =>
    Effect.uninterruptibleMask((restore) => {
      const join: Effect.Effect<void, E, Scope.Scope> = Effect.suspend(() => {
        if (closed) return Effect.void
        const current = runs.get(identifier)
        if (current?.ending === true) return Effect.andThen(restore(Deferred.await(current.over)), join)
        const run = current ?? start(identifier)
        run.interested++
        return Effect.andThen(
          Effect.addFinalizer(() => release(identifier, run)),
          restore(Deferred.await(run.opened))
        )
      })
      return join
    })
  return interest
})
