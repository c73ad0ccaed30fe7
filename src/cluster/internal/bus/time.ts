/**
 * Time in which a bus waits for answers: monotonic, and standing still while this process does.
 *
 * A process that was stopped finds answers and timeouts together when it goes on, and sees the timeouts first. Time it
 * slept through counts for no wait, and what has arrived is read before anything is given up.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Milliseconds a timer may be late before the process counts as having been held up. */
const tolerance = 1000

/** Milliseconds for reading what has arrived while the process was held up. */
const catchUp = 1000

interface Sleep {
  readonly due: number
}

export class BusTime {
  readonly #clock: Clock.Clock
  readonly #sleeps = new Set<Sleep>()
  #firstDue = Number.POSITIVE_INFINITY
  #missed = 0

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  /** Milliseconds, whatever the process did. */
  monotonic(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  /** Milliseconds in which answers could arrive. Who should have woken long ago and has not shows what was missed. */
  now(): number {
    const now = this.monotonic() - this.#missed
    const late = now - this.#firstDue
    if (late <= tolerance) return now
    this.#missed += late + catchUp
    return now - late - catchUp
  }

  /**
   * Sleeps for milliseconds; all sleeping of a bus goes through here. Whole ones, since a clock may round away what is
   * less and wake who has to sleep on.
   */
  sleep(millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const whole = Math.ceil(millis)
      const sleep = { due: this.now() + whole }
      this.#sleeps.add(sleep)
      this.#firstDue = Math.min(this.#firstDue, sleep.due)
      return Effect.onExit(this.#clock.sleep(Duration.millis(whole)), () => this.#wake(sleep))
    })
  }

  #wake(sleep: Sleep): Effect.Effect<void> {
    return Effect.sync(() => {
      this.now()
      this.#sleeps.delete(sleep)
      if (sleep.due > this.#firstDue) return
      this.#firstDue = Number.POSITIVE_INFINITY
      for (const { due } of this.#sleeps) this.#firstDue = Math.min(this.#firstDue, due)
    })
  }
}

interface Task {
  readonly at: number
  readonly run: () => void
}

/** Runs tasks a fixed time after each was added, with one fiber for all of them while there are any. */
export class Later {
  readonly #time: BusTime
  readonly #millis: number
  readonly #fork: (effect: Effect.Effect<void>) => void
  readonly #max: number
  /** In the order in which they are due. */
  readonly #tasks = new Set<Task>()
  #running = false

  /** Above `max` tasks the oldest runs at once. */
  constructor(
    time: BusTime,
    millis: number,
    fork: (effect: Effect.Effect<void>) => void,
    max = Number.POSITIVE_INFINITY
  ) {
    this.#time = time
    this.#millis = millis
    this.#fork = fork
    this.#max = max
  }

  /** Runs the task when its time has come, unless the returned function is called before. */
  add(run: () => void): () => void {
    const task = { at: this.#time.now() + this.#millis, run }
    this.#tasks.add(task)
    if (!this.#running) {
      this.#running = true
      this.#fork(this.#loop)
    }
    if (this.#tasks.size > this.#max) this.#runFirst()
    return () => void this.#tasks.delete(task)
  }

  #first(): Task | undefined {
    for (const task of this.#tasks) return task
    return undefined
  }

  #runFirst(): void {
    const task = this.#first()!
    this.#tasks.delete(task)
    task.run()
  }

  readonly #loop: Effect.Effect<void> = Effect.suspend(() => {
    for (;;) {
      const task = this.#first()
      if (task === undefined) break
      const wait = task.at - this.#time.now()
      if (wait > 0) return Effect.flatMap(this.#time.sleep(wait), () => this.#loop)
      this.#runFirst()
    }
    this.#running = false
    return Effect.void
  })
}
