/**
 * Connections that were given up and are being closed. Nothing waits for them, and one that does not close is reported
 * and left alone.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Asking } from "./ask.ts"
import type { Report } from "./report.ts"
import type { Later } from "./time.ts"

/** Milliseconds a connection may take to close. */
export const closeTimeout = 2000

export class Closing {
  readonly #fork: Asking["fork"]
  readonly #overdue: Later
  readonly #report: Report
  readonly #fibers = new Set<Fiber.Fiber<void>>()

  /** `overdue` runs tasks after `closeTimeout`. */
  constructor(fork: Asking["fork"], overdue: Later, report: Report) {
    this.#fork = fork
    this.#overdue = overdue
    this.#report = report
  }

  close(scope: Scope.Closeable): void {
    const closing = Effect.catchCause(Scope.close(scope, Exit.void), (cause) =>
      Effect.sync(() => this.#report.died(cause))
    )
    const fiber = this.#fork(closing)
    if (fiber.pollUnsafe() !== undefined) return
    this.#fibers.add(fiber)
    const overdueNoLonger = this.#overdue.add(() => {
      this.#fibers.delete(fiber)
      this.#report.lingers()
    })
    fiber.addObserver(() => {
      this.#fibers.delete(fiber)
      overdueNoLonger()
    })
  }

  /** Done when everything is closed, or has had the time to. */
  get awaitAll(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.asVoid(
        Effect.timeoutOption(Effect.forEach(Array.from(this.#fibers), Fiber.await, { discard: true }), closeTimeout)
      )
    )
  }
}
