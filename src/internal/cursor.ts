/**
 * The reading side shared by subscriptions and incoming frames: one position over a source that fills in batches.
 *
 * No fiber runs while nothing is read, and none per message while something is: a waiting reader leaves one callback.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { Messages } from "../Messages.ts"

/** What a cursor reads from. `poll` and `exit` are asked in this order, so what is buffered comes before the end. */
export interface Source<T, E> {
  /** Takes what is there; empty when nothing is. */
  poll(): ReadonlyArray<T>
  /** Set once the source has ended; what `poll` still returns comes first. */
  readonly exit: Exit.Exit<void, E> | undefined
  /** Called once when `poll` or `exit` may have something; the source clears it before the call. */
  waiter: (() => void) | undefined
}

/** What a way of reading answers for an item it does not show; messages may be `undefined`. */
export const skip: unique symbol = Symbol("skip")

const twoConsumers = () =>
  new Error("two consumers wait on one subscription: read it in one place, or subscribe once for each")

export class Cursor<T, E> {
  readonly #source: Source<T, E>
  #batch: ReadonlyArray<T> = []
  #index = 0
  #givesUp: Effect.Effect<void> | undefined

  constructor(source: Source<T, E>, first: ReadonlyArray<T> = []) {
    this.#source = source
    this.#batch = first
  }

  /** The values that have left the source and were not read yet, without taking them. */
  peek(): ReadonlyArray<T> {
    return this.#batch.slice(this.#index)
  }

  /** Forgets what was buffered. */
  clear(): void {
    this.#batch = []
    this.#index = 0
  }

  /** Makes sure the batch has something; false when the source has nothing now. */
  #fill(): boolean {
    if (this.#index < this.#batch.length) return true
    this.#batch = this.#source.poll()
    this.#index = 0
    return this.#batch.length > 0
  }

  /** The next value a way of reading shows, or `skip` when there is none now. It stays the next one. */
  #peek<A>(select: (item: T) => A | typeof skip): A | typeof skip {
    while (this.#fill()) {
      const value = select(this.#batch[this.#index]!)
      if (value !== skip) return value
      this.#index++
    }
    return skip
  }

  #wait(resume: () => void): void {
    if (this.#source.waiter !== undefined) throw twoConsumers()
    this.#source.waiter = resume
  }

  /** What a waiting reader does when it is interrupted: nobody else can have begun to wait meanwhile. */
  get #giveUp(): Effect.Effect<void> {
    return (this.#givesUp ??= Effect.sync(() => {
      this.#source.waiter = undefined
    }))
  }

  /**
   * Takes one value as an Effect. Taking and handing over, and looking and beginning to wait, are one step each: a fiber
   * may pause or be interrupted between steps, and nothing may be lost or slept through there.
   */
  take<A>(select: (item: T) => A | typeof skip): Effect.Effect<A, E | Cause.Done> {
    let next: A | typeof skip = skip
    let batch: ReadonlyArray<T>
    let index: number
    const hand = Effect.sync(() => {
      if (this.#batch === batch && this.#index === index) this.#index++
      return next as A
    })
    const now = (): Effect.Effect<A, E | Cause.Done> | undefined => {
      const value = this.#peek(select)
      if (value !== skip) {
        next = value
        batch = this.#batch
        index = this.#index
        return hand
      }
      const exit = this.#source.exit
      if (exit === undefined) return undefined
      return Exit.isSuccess(exit) ? Cause.done() : Effect.failCause(exit.cause)
    }
    const take = Effect.callback<A, E | Cause.Done>((resume) => {
      const ready = now()
      if (ready !== undefined) return resume(ready)
      try {
        // Looked at here already, which spares the fiber a step.
        this.#wait(() => resume(now() ?? take))
      } catch (defect) {
        return resume(Effect.die(defect))
      }
      return this.#giveUp
    })
    return take
  }

  /**
   * Without a step of a stream for each value: taking one and beginning with it are one step. All of it is one loop, in
   * which waiting is one of the things done, and what a run needs for that is made once.
   */
  runForEach<A, E2, R>(
    select: (item: T) => A | typeof skip,
    f: (value: A) => Effect.Effect<unknown, E2, R>
  ): Effect.Effect<void, E | E2, R> {
    return Effect.suspend(() => {
      const source = this.#source
      let value: A | typeof skip = skip
      let resume: ((effect: Effect.Effect<void>) => void) | undefined
      const waiter = () => resume?.(Effect.void)
      const news = Effect.callback<void>((wake) => {
        if (this.#peek(select) !== skip || source.exit !== undefined) return wake(Effect.void)
        try {
          this.#wait(waiter)
        } catch (defect) {
          return wake(Effect.die(defect))
        }
        resume = wake
        return this.#giveUp
      })
      const loop = Effect.whileLoop<unknown, E2, R>({
        // What came between the last look and the end is still to be taken.
        while: () =>
          (value = this.#peek(select)) !== skip || source.exit === undefined || (value = this.#peek(select)) !== skip,
        body: () => {
          if (value === skip) return news
          this.#index++
          return f(value)
        },
        step: () => {}
      })
      return Effect.flatMap(loop, (): Effect.Effect<void, E> => source.exit!)
    })
  }

  next<A>(select: (item: T) => A | typeof skip): Promise<IteratorResult<A, undefined>> {
    const value = this.#peek(select)
    if (value !== skip) {
      this.#index++
      return Promise.resolve({ done: false, value })
    }
    const exit = this.#source.exit
    if (exit !== undefined) {
      return Exit.isSuccess(exit)
        ? Promise.resolve({ done: true, value: undefined })
        : Promise.reject(Cause.squash(exit.cause))
    }
    return new Promise((resolve, reject) => {
      try {
        this.#wait(() => resolve(this.next(select)))
      } catch (defect) {
        reject(defect)
      }
    })
  }

  /** A way of reading this cursor; `select` returns `skip` for what that way does not show. */
  view<A>(select: (item: T) => A | typeof skip): Messages<A, E> {
    return new View(this, select)
  }
}

/** One way of reading. What it offers is made when it is asked for: most readers use one of them. */
class View<T, E, A> implements Messages<A, E> {
  readonly #cursor: Cursor<T, E>
  readonly #select: (item: T) => A | typeof skip

  constructor(cursor: Cursor<T, E>, select: (item: T) => A | typeof skip) {
    this.#cursor = cursor
    this.#select = select
  }

  get take(): Effect.Effect<A, E | Cause.Done> {
    return this.#cursor.take(this.#select)
  }

  get runForEach(): Messages<A, E>["runForEach"] {
    return (f) => this.#cursor.runForEach(this.#select, f)
  }

  /** One value at a time, so that a stream that is ended early leaves the rest to the next reader. */
  get stream(): Stream.Stream<A, E> {
    return Stream.fromPull(Effect.succeed(Effect.map(this.take, (value) => [value] as const)))
  }

  [Symbol.asyncIterator](): AsyncIterator<A, undefined, undefined> {
    return {
      next: () => this.#cursor.next(this.#select),
      return: () => Promise.resolve({ done: true as const, value: undefined })
    }
  }
}
