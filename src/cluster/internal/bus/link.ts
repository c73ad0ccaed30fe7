/**
 * One connection of a bus, from the moment it is there until it is given up. What waits for its answers waits for a
 * limited time, and no longer than the connection.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { EventBusError } from "../../EventBusError.ts"
import { type Asking, ask, diedOf, failureOf, unreachable } from "./ask.ts"
import type { Command, Topics } from "./topicsState.ts"
import type { DriverConnection } from "./driver.ts"

/** Characters of payloads that may wait for their answers; what comes above fails, so that a stall costs little. */
const maxUnanswered = 8 * 1024 * 1024

type OnExit = (exit: Exit.Exit<void, EventBusError>) => void

export interface LinkOptions extends Asking {
  readonly connection: DriverConnection
  readonly scope: Scope.Closeable
  /** Whoever notices completes it, and the bus goes on without this connection. */
  readonly lost: Deferred.Deferred<never, EventBusError>
  readonly topics: Topics
  /** The driver died while it carried out a command. */
  readonly onDied: (cause: Cause.Cause<EventBusError>) => void
}

export class Link {
  readonly #options: LinkOptions
  /** Ends what waits for an answer. */
  readonly #waiting = new Set<(why: EventBusError) => void>()
  #unanswered = 0

  constructor(options: LinkOptions) {
    this.#options = options
  }

  get scope(): Scope.Closeable {
    return this.#options.scope
  }

  get lost(): Deferred.Deferred<never, EventBusError> {
    return this.#options.lost
  }

  /** Calls back once; the returned function is for whoever waits no longer. */
  publish(topic: string, payload: string, onExit: OnExit): () => void {
    const { connection } = this.#options
    const { length } = payload
    if (this.#unanswered > 0 && this.#unanswered + length > maxUnanswered) {
      onExit(Exit.fail(unreachable("too much waits for its answer")))
      return () => {}
    }
    this.#unanswered += length
    const publish = Effect.suspend(() => connection.publish(topic, payload))
    const stop = this.#ask(publish, (exit) => {
      this.#unanswered -= length
      onExit(exit)
    })
    return () => stop(unreachable("nobody waits for the answer"))
  }

  /** Carries out a command. An answer that does not come, and any failure that is no refusal, loses the connection. */
  run(command: Command): void {
    const { connection, onDied, topics } = this.#options
    const names = command.topics.map(({ name }) => name)
    const asked = Effect.suspend(() => connection[command.verb](names))
    this.#ask(asked, (exit) => {
      if (Exit.isSuccess(exit)) return topics.done(command)
      const failure = failureOf(exit.cause)
      if (failure.reason._tag === "BusRefused") return topics.refused(command, failure)
      if (diedOf(exit.cause)) onDied(exit.cause)
      this.lose(failure)
    })
  }

  lose(why: EventBusError): void {
    Deferred.doneUnsafe(this.#options.lost, Exit.fail(why))
  }

  /** Nothing waits for this connection any more. */
  end(why: EventBusError): void {
    for (const stop of Array.from(this.#waiting)) stop(why)
  }

  #ask(effect: Effect.Effect<void, EventBusError>, onExit: OnExit): (why: EventBusError) => void {
    const asked: { over: boolean; stop?: (why: EventBusError) => void } = { over: false }
    const stop = ask(this.#options, effect, (exit) => {
      asked.over = true
      if (asked.stop !== undefined) this.#waiting.delete(asked.stop)
      onExit(exit)
    })
    asked.stop = stop
    if (!asked.over) this.#waiting.add(stop)
    return stop
  }
}
