/**
 * The actor of one live room: a body that runs once, and jobs that run one at a time in arrival order.
 *
 * A job or body that dies is reported, and the body runs anew when its retry policy says; what waits in the mailbox
 * waits on. A body that has never run through, or whose room is closed, is given up when it has failed several times.
 * When nobody needs the room for `maxIdleTime` the actor ends and its scope closes.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

/** What of an actor has died. */
export type Part = "body" | "handler" | "finalizer"

/** One turn of the actor. */
export type Job<Handlers> = (handlers: Handlers) => Effect.Effect<unknown>

export interface ActorOptions<Handlers> {
  readonly body: Effect.Effect<Handlers, never, Scope.Scope>
  readonly mailboxCapacity: number
  readonly maxIdleTime: Duration.Duration
  readonly defectRetryPolicy: Schedule.Schedule<unknown>
  /** So many jobs more, or less, wait. */
  readonly onWaiting: (change: number) => void
  /** Whether nobody needs the room now. */
  readonly isIdle: () => boolean
  /** Part of it died. */
  readonly onDefect: (part: Part, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** Everything is over, and what the body acquired is released; called once. */
  readonly onEnd: () => void
  /** Owns the order in which the actor and others take their turns. */
  readonly scheduler: Scheduler.Scheduler
}

/** Times in a row a body fails that is not to run for ever: it has never run through, or its room is closed. */
const maxTries = 5

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
  readonly #mailbox: Queue.Queue<Job<Handlers> | typeof last>
  readonly #ready = Deferred.makeUnsafe<boolean>()
  readonly #fiber: Fiber.Fiber<void>
  #reason: string | undefined
  #idled = false
  /** How many wait until the body has run. */
  #waiting = 0
  #stopping = false
  /** What a defect is one of. */
  #part: Part = "body"
  /** How often the body has failed in a row. */
  #failures = 0
  /** Whether the body has ever run through. */
  #worked = false
  /** How many jobs wait. */
  #jobs = 0

  constructor(options: ActorOptions<Handlers>, fork: (run: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.#options = options
    this.#mailbox = makeMailbox(options.scheduler)
    this.#fiber = fork(Effect.suspend(() => this.#run()))
    // Not part of what runs: that may be interrupted before it begins.
    this.#fiber.addObserver(() => {
      this.#reason ??= "its body failed"
      options.onWaiting(-this.#jobs)
      options.onEnd()
      // Last: who is told goes on in this very step.
      Deferred.doneUnsafe(this.#ready, Exit.succeed(false))
    })
  }

  /** Whether jobs are no longer taken. */
  get ended(): boolean {
    return this.#reason !== undefined
  }

  /** Whether it has ended because nobody needed it any more. */
  get idled(): boolean {
    return this.#idled
  }

  /** Why it has ended; empty while it has not. */
  get reason(): string {
    return this.#reason ?? ""
  }

  /** Done when everything is over: after that, another may begin. */
  get over(): Effect.Effect<void> {
    return Effect.asVoid(Fiber.await(this.#fiber))
  }

  /** Whether this fiber is the one that body, jobs and finalizers run in. */
  isRunBy(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber === this.#fiber
  }

  /** Whether as many jobs wait as may. */
  get busy(): boolean {
    return Queue.sizeUnsafe(this.#mailbox) >= this.#options.mailboxCapacity
  }

  /** Whether the body has run, so that nothing is to be waited for. */
  get isReady(): boolean {
    return Deferred.isDoneUnsafe(this.#ready)
  }

  /** True once the body has run; false when the actor ended before that. */
  get ready(): Effect.Effect<boolean> {
    return Effect.acquireUseRelease(
      Effect.sync(() => void this.#waiting++),
      () => Deferred.await(this.#ready),
      () => Effect.sync(() => void this.#waiting--)
    )
  }

  offer(job: Job<Handlers>): void {
    if (this.ended) return
    this.#jobs++
    this.#options.onWaiting(1)
    Queue.offerUnsafe(this.#mailbox, job)
  }

  /** Takes no more jobs, and ends when those that wait are done. */
  end(reason: string): void {
    if (this.ended) return
    Queue.offerUnsafe(this.#mailbox, last)
    this.#close(reason)
  }

  /** Ends now; what waits is not done. */
  stop(reason: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#stopping = true
      this.#close(reason)
      return Fiber.interrupt(this.#fiber)
    })
  }

  #close(reason: string): void {
    if (this.ended) return
    this.#reason = reason
    Deferred.doneUnsafe(this.#ready, Exit.succeed(false))
  }

  readonly #take: Effect.Effect<Job<Handlers>, Finished> = Effect.suspend(() =>
    Effect.flatMap(Queue.take(this.#mailbox), (job) => (job === last ? Effect.fail(new Finished()) : this.#taken(job)))
  )

  #taken(job: Job<Handlers>): Effect.Effect<Job<Handlers>> {
    this.#jobs--
    this.#options.onWaiting(-1)
    return Effect.succeed(job)
  }

  /** While nobody needs the room, waits without taking: what is taken in a race with the time could get lost. */
  readonly #next: Effect.Effect<Job<Handlers>, Finished> = Effect.suspend(() => {
    if (this.ended || !this.#options.isIdle()) return this.#take
    const news = Effect.timeoutOption(Queue.peek(this.#mailbox), this.#options.maxIdleTime)
    return Effect.andThen(news, this.#decide)
  })

  /** Looks and decides in one step: who has come meanwhile left a job, who comes later finds the actor ended. */
  readonly #decide: Effect.Effect<Job<Handlers>, Finished> = Effect.suspend(() => {
    if (Queue.sizeUnsafe(this.#mailbox) > 0) return this.#take
    this.#endIdle()
    return Effect.fail(new Finished())
  })

  #endIdle(): void {
    this.#idled = true
    this.#close("nobody needs it")
  }

  /** After a crash. What waits for a body that has never run is no member's: it is no reason to go on for ever. */
  get #isNeeded(): boolean {
    if (this.ended || !this.#options.isIdle() || this.#waiting > 0) return true
    return this.isReady && Queue.sizeUnsafe(this.#mailbox) > 0
  }

  /** After a crash. Joins that wait for a body that never runs through would wait, or a closed room refuse, for ever. */
  get #isGivenUp(): boolean {
    return this.#failures >= maxTries && (!this.#worked || this.ended)
  }

  /** From the body to its end. A finalizer that dies is reported, and changes nothing about why it ends. */
  readonly #life: Effect.Effect<never, Finished> = Effect.suspend(() => {
    const scope = Scope.makeUnsafe()
    this.#part = "body"
    const turns = Effect.flatMap(this.#options.body, (handlers) => {
      this.#part = "handler"
      this.#failures = 0
      this.#worked = true
      Deferred.doneUnsafe(this.#ready, Exit.succeed(true))
      // A handler that throws before it returns an effect has died, too.
      return Effect.forever(Effect.flatMap(this.#next, (job) => Effect.suspend(() => job(handlers))))
    })
    return turns.pipe(
      Scope.provide(scope),
      Effect.onExit((exit) => this.#release(scope, exit))
    )
  })

  #release(scope: Scope.Closeable, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.catchCause(Scope.close(scope, exit), (cause) => this.#options.onDefect("finalizer", cause))
  }

  #run(): Effect.Effect<void> {
    return this.#life.pipe(
      Effect.catchCause((cause): Effect.Effect<never, Finished | Crash> => {
        if (this.#stopping) return Effect.interrupt
        if (cause.reasons.some(isFinished)) return Effect.fail(new Finished())
        if (this.#part === "body") this.#failures++
        const crashed = Effect.suspend((): Effect.Effect<never, Finished | Crash> => {
          if (this.#isGivenUp) return Effect.fail(new Finished())
          if (this.#isNeeded) return Effect.fail(new Crash())
          this.#endIdle()
          return Effect.fail(new Finished())
        })
        return Effect.andThen(this.#options.onDefect(this.#part, cause), crashed)
      }),
      Effect.retry({ schedule: this.#options.defectRetryPolicy, while: (end) => end._tag === "Crash" }),
      Effect.ignore
    )
  }
}

/** Whether it has ended of itself. A body may fail in ways its type forbids: that is a defect like others. */
const isFinished = (reason: Cause.Reason<unknown>): boolean =>
  Cause.isFailReason(reason) && reason.error instanceof Finished

/** A queue that wakes its reader through the scheduler; one made by `runSync` would do that by itself. */
const makeMailbox = <A>(scheduler: Scheduler.Scheduler): Queue.Queue<A> =>
  Queue.unbounded<A>().pipe(
    Effect.provideService(Scheduler.Scheduler, scheduler),
    Effect.provideService(Scheduler.PreventSchedulerYield, true),
    Effect.runSync
  )
