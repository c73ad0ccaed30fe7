/**
 * The hubs of one channel by identifier: made by the first reader or kept for their history, gone with the last.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Sink, Wire } from "../Sink.ts"
import { Hub } from "./hub.ts"
import type { Turn } from "../../internal/turn.ts"

export interface RegistryOptions {
  readonly capacity: number
  readonly replay: number
  readonly turn: Turn
  /** Names the channel in metrics. */
  readonly kind: string
  /** Counts messages a subscription has lost. */
  readonly onDropped: (messages: number) => void
  readonly clock: Clock.Clock
  readonly maxIdleTime: Duration.Duration
  readonly maxIdleKeys: number
}

export class Registry<A> {
  readonly #options: RegistryOptions
  /** A `Map`, so that no identifier can be mistaken for a property. */
  readonly #hubs = new Map<string, Hub<A>>()
  /** Hubs with a history and no reader, the longest idle first. */
  readonly #idle = new Map<string, Hub<A>>()
  /** Above every position a hub that is gone has used, so that none is used twice in an epoch. */
  #firstSeq = 0
  #closed = false

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#hubs.size
  }

  get closed(): boolean {
    return this.#closed
  }

  get(identifier: string): Hub<A> | undefined {
    return this.#hubs.get(identifier)
  }

  /** The hub a publish goes to; none where nobody listens and no history is kept. */
  forPublish(identifier: string): Hub<A> | undefined {
    const hub = this.#hubs.get(identifier)
    if (hub !== undefined && !hub.isIdle) return hub
    if (this.#options.replay === 0 || this.#closed) return hub
    const kept = hub ?? this.#add(identifier)
    this.#keepIdle(identifier, kept)
    return kept
  }

  /** The hub a reader attaches to in the same step. */
  forReader(identifier: string): Hub<A> {
    this.#idle.delete(identifier)
    return this.#hubs.get(identifier) ?? this.#add(identifier)
  }

  /** Attaches a receiver to the sink of its wire until the returned function is called. */
  attach<S extends Sink<A>>(identifier: string, wire: Wire<A, S>, join: (sink: S) => () => void): () => void {
    if (this.#closed) return () => {}
    const hub = this.forReader(identifier)
    const leave = hub.attach(this.#options.kind, identifier, wire, join)
    return () => {
      leave()
      this.release(identifier, hub)
    }
  }

  /** To be called after a reader was detached. */
  release(identifier: string, hub: Hub<A>): void {
    if (!hub.isIdle || this.#hubs.get(identifier) !== hub) return
    if (this.#options.replay > 0 && !this.#closed) this.#keepIdle(identifier, hub)
    else this.#remove(identifier, hub)
  }

  /** Drops histories that have been idle for `maxIdleTime`. */
  sweep(): void {
    const limit = Duration.toMillis(this.#options.maxIdleTime)
    for (const [identifier, hub] of this.#idle) {
      if (this.#now() - hub.idleSince < limit) return
      this.#remove(identifier, hub)
    }
  }

  close(): void {
    this.#closed = true
    for (const [identifier, hub] of Array.from(this.#hubs)) {
      hub.close()
      this.#remove(identifier, hub)
    }
  }

  #add(identifier: string): Hub<A> {
    const hub = new Hub<A>(this.#firstSeq, this.#options)
    this.#hubs.set(identifier, hub)
    return hub
  }

  #remove(identifier: string, hub: Hub<A>): void {
    this.#firstSeq = Math.max(this.#firstSeq, hub.roomSeq)
    this.#hubs.delete(identifier)
    this.#idle.delete(identifier)
  }

  #keepIdle(identifier: string, hub: Hub<A>): void {
    hub.idleSince = this.#now()
    this.#idle.delete(identifier)
    this.#idle.set(identifier, hub)
    if (this.#idle.size <= this.#options.maxIdleKeys) return
    const [oldest, oldestHub] = this.#idle.entries().next().value!
    this.#remove(oldest, oldestHub)
  }

  #now(): number {
    return Number(this.#options.clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }
}

/** Makes a registry whose readers end when the scope closes. */
export const make = Effect.fnUntraced(function* <A>(
  options: RegistryOptions
): Effect.fn.Return<Registry<A>, never, Scope.Scope> {
  const registry = yield* Effect.acquireRelease(
    Effect.sync(() => new Registry<A>(options)),
    (opened) => Effect.sync(() => opened.close())
  )
  if (options.replay > 0 && Duration.isFinite(options.maxIdleTime)) {
    const sweep = Effect.andThen(
      Effect.sleep(options.maxIdleTime),
      Effect.sync(() => registry.sweep())
    )
    yield* Effect.forkScoped(Effect.forever(sweep))
  }
  return registry
})
