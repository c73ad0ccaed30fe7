/**
 * A scheduler that permutes the steps of all fibers, the same way each time for the same seed.
 *
 * Fibers yield at random operations and the next task is picked at random from one queue shared by all dispatchers, so
 * that a few thousand seeds reach interleavings the default scheduler never shows. It does not control promises: what
 * they resume takes its turn as it comes.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

/** Turns of the event loop without a task after which a run is taken to be stuck. */
const patience = 5

/** Tasks after which a run is taken never to end. */
const mostSteps = 200_000

/** Numbers in [0, 1) from a seed (mulberry32). */
const randomFrom = (seed: number) => {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export class SeededScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  readonly #random: () => number
  /** Some seeds yield often, others seldom: both find different things. */
  readonly #yieldRate: number
  readonly #tasks: Array<() => void> = []
  #running = false
  #pumping = false
  steps = 0

  constructor(seed: number) {
    this.#random = randomFrom(seed)
    this.#yieldRate = 0.05 + this.#random() * 0.45
  }

  /**
   * Never at the first operation after a pause: a fiber interrupted before its start would yield there, and its start,
   * still queued, would then make it forget the interruption. Effect's own budget of operations rules that out, too.
   */
  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount > 1 && this.#random() < this.#yieldRate
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task) => {
        this.#tasks.push(task)
        this.#pumpLater()
      },
      flush: () => this.run()
    }
  }

  /** Runs tasks until none is left. */
  run(): void {
    if (this.#running) return
    this.#running = true
    while (this.#tasks.length > 0 && this.steps < mostSteps) {
      this.steps++
      const last = this.#tasks.length - 1
      const picked = Math.floor(this.#random() * this.#tasks.length)
      const task = this.#tasks[picked]!
      this.#tasks[picked] = this.#tasks[last]!
      this.#tasks.length = last
      task()
    }
    this.#running = false
  }

  /** What a promise resumed is run once the promises of this turn are through. */
  #pumpLater(): void {
    if (this.#running || this.#pumping) return
    this.#pumping = true
    queueMicrotask(() => {
      this.#pumping = false
      this.run()
    })
  }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Runs an effect with the order of steps that belongs to the seed; a run that is stuck or endless is a defect. */
export const runSeeded = async <A, E>(seed: number, effect: Effect.Effect<A, E>): Promise<Exit.Exit<A, E>> => {
  const scheduler = new SeededScheduler(seed)
  const fiber = Effect.runFork(effect, { scheduler })
  scheduler.run()
  let idle = 0
  while (fiber.pollUnsafe() === undefined && idle < patience && scheduler.steps < mostSteps) {
    const before = scheduler.steps
    await nextTurn()
    scheduler.run()
    idle = scheduler.steps === before ? idle + 1 : 0
  }
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) return exit
  fiber.interruptUnsafe()
  const endless = scheduler.steps >= mostSteps
  return Exit.die(new Error(endless ? `does not end within ${mostSteps} steps` : "stuck: no task is left to run"))
}

/** Runs an effect once for each of the first `count` seeds and throws, naming the seed, at the first that fails. */
export const runSeeds = async <E>(count: number, race: (seed: number) => Effect.Effect<void, E>): Promise<void> => {
  for (let seed = 0; seed < count; seed++) {
    const exit = await runSeeded(seed, race(seed))
    if (Exit.isFailure(exit)) throw new Error(`seed ${seed}: ${Cause.pretty(exit.cause)}`)
  }
}
