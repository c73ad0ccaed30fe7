/**
 * One computer of a simulated world: what runs in its context takes its turns, sleeps by its clock, draws its chance and
 * logs to it. It can be held up between two steps, and ended without a last word.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import type { Draw } from "./clusterDraw.ts"
import type { Timer } from "./clusterTimers.ts"

/** What wall clocks begin with: 1 January 2030. */
const beginning = 1_893_456_000_000

/** Lines of its log that are kept. */
const mostLogged = 1_000

/** What is around computers. */
export interface Surroundings {
  /** Monotonic milliseconds. */
  readonly now: number
  /** Timers a computer waits for. */
  readonly timers: (of: Computer) => number
  readonly sleep: (timer: Timer<Computer>) => void
  /** To be called when a computer has something to do. */
  readonly wake: (computer: Computer) => void
}

const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1_000_000))

export class Computer {
  readonly name: string
  readonly #world: Surroundings
  #turns: Array<() => void> = []
  /** What was due while it was held up. */
  #overdue: Array<Timer<Computer>> = []
  #state: "running" | "frozen" | "off" = "running"
  /** Milliseconds by which its wall clock is wrong. */
  skew = 0
  /** What it has logged. */
  readonly log: Array<string> = []
  /** What effects are given to run on it. */
  readonly context: Context.Context<never>

  constructor(name: string, world: Surroundings, draw: Draw) {
    this.name = name
    this.#world = world
    this.context = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, new Scheduler.MixedScheduler("async", (turn) => this.#later(turn))),
      Context.add(Clock.Clock, this.#clock()),
      Context.add(Random.Random, {
        nextDoubleUnsafe: draw,
        nextIntUnsafe: () => Math.floor((draw() - 0.5) * 2 * Number.MAX_SAFE_INTEGER)
      }),
      Context.add(Metric.MetricRegistry, new Map()),
      Context.add(Logger.CurrentLoggers, new Set([this.#logger()]))
    )
  }

  get state(): "running" | "frozen" | "off" {
    return this.#state
  }

  /** Timers it waits for. */
  get timers(): number {
    return this.#world.timers(this) + this.#overdue.length
  }

  /** Takes one turn; answers whether there is another one. */
  turn(): boolean {
    if (this.#state !== "running") return false
    this.#turns.shift()?.()
    return this.#state === "running" && this.#turns.length > 0
  }

  /** The time of one of its timers has come. */
  due(timer: Timer<Computer>): void {
    if (this.#state === "running") timer.wake()
    else if (this.#state === "frozen") this.#overdue.push(timer)
  }

  /** Holds it up: its steps and timers wait. */
  freeze(): void {
    if (this.#state === "running") this.#state = "frozen"
  }

  /** What was due meanwhile is due now. */
  thaw(): void {
    if (this.#state !== "frozen") return
    this.#state = "running"
    const overdue = this.#overdue
    this.#overdue = []
    for (const timer of overdue) {
      timer.at = this.#world.now
      this.#world.sleep(timer)
    }
    if (this.#turns.length > 0) this.#world.wake(this)
  }

  /** Ends it; nothing it has begun goes on. */
  cutOff(): void {
    this.#state = "off"
    this.#turns = []
    this.#overdue = []
  }

  /** Adds a line to its log. */
  note(text: string): void {
    if (this.log.length >= mostLogged) this.log.shift()
    this.log.push(`${(this.#world.now / 1000).toFixed(3)} ${this.name} ${text}`)
  }

  #later(turn: () => void): () => void {
    if (this.#state === "off") return () => undefined
    this.#turns.push(turn)
    if (this.#state === "running") this.#world.wake(this)
    return () => {
      this.#turns = this.#turns.filter((other) => other !== turn)
    }
  }

  #clock(): Clock.Clock {
    const wall = () => beginning + this.#world.now + this.skew
    const monotonic = () => nanos(this.#world.now)
    return {
      currentTimeMillisUnsafe: wall,
      currentTimeMillis: Effect.sync(wall),
      currentTimeNanosUnsafe: () => nanos(wall()),
      currentTimeNanos: Effect.sync(() => nanos(wall())),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => this.#sleep(Math.ceil(Duration.toMillis(duration)))
    }
  }

  #sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const timer: Timer<Computer> = {
        at: this.#world.now + millis,
        owner: this,
        isOver: false,
        wake: () => {
          if (timer.isOver) return
          timer.isOver = true
          resume(Effect.void)
        }
      }
      this.#world.sleep(timer)
      return Effect.sync(() => {
        timer.isOver = true
      })
    })
  }

  #logger() {
    return Logger.make(({ cause, fiber, logLevel, message }) => {
      const about = Object.entries(fiber.getRef(References.CurrentLogAnnotations))
      const text = Array.isArray(message) ? message.map(String).join(" ") : String(message)
      const why = cause.reasons.length === 0 ? "" : `: ${shown(cause)}`
      this.note([logLevel, text, ...about.map(([name, value]) => `${name}=${String(value)}`)].join(" ") + why)
    })
  }
}

/** A failure is a line, a defect is shown with where it comes from. */
const shown = (cause: Cause.Cause<unknown>): string => {
  if (cause.reasons.some(({ _tag }) => _tag === "Die")) return Cause.pretty(cause)
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
