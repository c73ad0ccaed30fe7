/**
 * Asks something that may never answer: after a limited time, or when it is told to, it waits no longer, whether or not
 * what was asked lets itself be interrupted.
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { BusUnreachable, EventBusError } from "../../EventBusError.ts"
import type { Later } from "./time.ts"

export const unreachable = (detail: string): EventBusError =>
  new EventBusError({ reason: new BusUnreachable({ detail }) })

/** What went wrong, without the sentence around it. */
export const detailOf = ({ reason }: EventBusError): string =>
  reason._tag === "PayloadTooLarge" ? reason.message : reason.detail

export interface Asking {
  /** Runs tasks once an answer is overdue. */
  readonly deadlines: Later
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

/** Calls back once, with the answer or with why there is none. The returned function ends the waiting. */
export const ask = <A>(
  { deadlines, fork }: Asking,
  effect: Effect.Effect<A, EventBusError>,
  onExit: (exit: Exit.Exit<A, EventBusError>) => void
): ((why: EventBusError) => void) => {
  const asked: { over: boolean; fiber?: Fiber.Fiber<A, EventBusError> } = { over: false }
  const finish = (exit: Exit.Exit<A, EventBusError>) => {
    if (asked.over) return
    asked.over = true
    overdueNoLonger()
    onExit(exit)
  }
  const stop = (why: EventBusError) => {
    finish(Exit.fail(why))
    asked.fiber?.interruptUnsafe()
  }
  const overdueNoLonger = deadlines.add(() => stop(unreachable("no answer in time")))
  asked.fiber = fork(effect)
  if (asked.over) asked.fiber.interruptUnsafe()
  else asked.fiber.addObserver(finish)
  return stop
}

/** Why there is no answer; a driver that dies is a connection that is not there. */
export const failureOf = (cause: Cause.Cause<EventBusError>): EventBusError =>
  cause.reasons.find(Cause.isFailReason)?.error ?? unreachable("the adapter died")

/** Whether something broke that has to be reported. */
export const diedOf = (cause: Cause.Cause<unknown>): boolean => cause.reasons.some(Cause.isDieReason)
