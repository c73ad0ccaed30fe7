/**
 * The actor of one live room: a body that runs once, and jobs that run one at a time in arrival order.
 *
 * A job or body that dies is reported, and the body runs anew when its retry policy says; what waits in the mailbox
 * waits on. When nobody needs the room for `maxIdleTime` the actor ends and its scope closes.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

/** One turn of the actor. */
export type Job<Handlers> = (handlers: Handlers) => Effect.Effect<unknown>

export interface ActorOptions<Handlers> {
  readonly body: Effect.Effect<Handlers, never, Scope.Scope>
  readonly mailboxCapacity: number
  readonly maxIdleTime: Duration.Duration
  readonly defectRetryPolicy: Schedule.Schedule<unknown>
  /** Whether nobody needs the room now. */
  readonly isIdle: () => boolean
  /** Body or job died. */
  readonly onDefect: (cause: Cause.Cause<never>) => Effect.Effect<void>
  /** The actor takes no more jobs; called once, in the step in which that is decided. */
  readonly onEnd: () => void
}

/** Behind this nothing comes in a mailbox. */
const last: unique symbol = Symbol("last")

/** Ends the loop of an actor whose work is done. */
class Finished {
  readonly _tag = "Finished"
}

/** Body or job died; the body may run anew. */
class Crash {
  readonly _tag = "Crash"
}

export class Actor<Handlers> {
  readonly #options: ActorOptions<Handlers>
  /** Without a bound of its own: `busy` is asked before what may be refused, and every leave follows a join. */
  readonly #mailbox = Effect.runSync(Queue.unbounded<Job<Handlers> | typeof last>())
  readonly #ready = Deferred.makeUnsafe<boolean>()
  readonly #fiber: Fiber.Fiber<void>
  #ended = false
  #stopping = false

  constructor(options: ActorOptions<Handlers>, fork: (run: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.#options = options
    this.#fiber = fork(Effect.suspend(() => this.#run()))
  }

  /** Whether jobs are no longer taken. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether as many jobs wait as may. */
  get busy(): boolean {
    return Queue.sizeUnsafe(this.#mailbox) >= this.#options.mailboxCapacity
  }

  /** True once the body has run; false when the actor ended before that. */
  get ready(): Effect.Effect<boolean> {
    return Deferred.await(this.#ready)
  }

  offer(job: Job<Handlers>): void {
    if (!this.#ended) Queue.offerUnsafe(this.#mailbox, job)
  }

  /** Takes no more jobs, and ends when those that wait are done. */
  end(): void {
    if (this.#ended) return
    Queue.offerUnsafe(this.#mailbox, last)
    this.#close()
  }

  /** Ends now; what waits is not done. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.#stopping = true
    this.#close()
    return Fiber.interrupt(this.#fiber)
  })

  #close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.onEnd()
  }

  readonly #next: Effect.Effect<Job<Handlers>, Finished> = Effect.suspend(() => {
    const take = Queue.take(this.#mailbox)
    return this.#options.isIdle() && !this.#ended
      ? Effect.flatMap(Effect.timeoutOption(take, this.#options.maxIdleTime), this.#idled)
      : Effect.flatMap(take, this.#received)
  })

  readonly #received = (job: Job<Handlers> | typeof last): Effect.Effect<Job<Handlers>, Finished> =>
    job === last ? Effect.fail(new Finished()) : Effect.succeed(job)

  readonly #idled = (job: Option.Option<Job<Handlers> | typeof last>): Effect.Effect<Job<Handlers>, Finished> => {
    if (Option.isSome(job)) return this.#received(job.value)
    // Looked at and decided in one step: who comes later finds the actor ended and starts another.
    if (!this.#options.isIdle() || Queue.sizeUnsafe(this.#mailbox) > 0) return this.#next
    this.#close()
    return Effect.fail(new Finished())
  }

  #run(): Effect.Effect<void> {
    const life = Effect.scoped(
      Effect.flatMap(this.#options.body, (handlers) => {
        Deferred.doneUnsafe(this.#ready, Exit.succeed(true))
        // A handler that throws before it returns an effect has died, too.
        return Effect.forever(Effect.flatMap(this.#next, (job) => Effect.suspend(() => job(handlers))))
      })
    )
    return life.pipe(
      Effect.catchCause((cause): Effect.Effect<never, Finished | Crash> => {
        if (this.#stopping) return Effect.interrupt
        if (cause.reasons.some((reason) => Cause.isFailReason(reason))) return Effect.fail(new Finished())
        return Effect.andThen(this.#options.onDefect(cause as Cause.Cause<never>), Effect.fail(new Crash()))
      }),
      Effect.retry({ schedule: this.#options.defectRetryPolicy, while: (end) => end._tag === "Crash" }),
      Effect.ignore,
      Effect.ensuring(
        Effect.sync(() => {
          this.#close()
          Deferred.doneUnsafe(this.#ready, Exit.succeed(false))
        })
      )
    )
  }
}
