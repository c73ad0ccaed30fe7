/**
 * The end of the turn: readers are woken once after everything that is published in one go, not once per message.
 *
 * A turn is what Effect's `Scheduler` runs before it comes to tasks scheduled now, so a test that provides a scheduler
 * owns the order of turns.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"

export interface Turn {
  /** Runs the task once the current turn is over. */
  readonly atEnd: (task: () => void) => void
}

export const make: Effect.Effect<Turn> = Effect.map(Scheduler.Scheduler, (scheduler) => {
  const dispatcher = scheduler.makeDispatcher()
  return { atEnd: (task) => dispatcher.scheduleTask(task, 0) }
})

/** Monotonic milliseconds, read from the clock once per turn: reading it costs more than most of what asks for it. */
export const clockOf = (clock: Clock.Clock, turn: Turn): (() => number) => {
  let now: number | undefined
  const forget = () => {
    now = undefined
  }
  return () => {
    if (now === undefined) {
      now = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
      turn.atEnd(forget)
    }
    return now
  }
}
