/**
 * The driver over three functions of a user.
 *
 * They say nothing of connections, so one counts as there when a publish went through. When it is given up, everything
 * is unsubscribed before anything is subscribed again; what arrives by an earlier subscription is dropped, so that a
 * transport which keeps or restores its subscriptions delivers nothing twice.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { BusRefused, BusUnreachable, EventBusError } from "../../EventBusError.ts"
import { probePrefix } from "./options.ts"
import type { Driver, DriverConnection, DriverEvents } from "./driver.ts"

/** What a function of a transport answers: an effect, a promise, or nothing when it is done at once. */
export type Answer = Effect.Effect<unknown, unknown> | PromiseLike<unknown> | void

export interface Transport {
  readonly publish: (topic: string, payload: string) => Answer
  readonly subscribe: (topic: string, onMessage: (payload: string) => void) => Answer
  readonly unsubscribe: (topic: string) => Answer
}

export interface TransportDriverOptions {
  readonly kind: string
  readonly maxPayload: number
  readonly echo: boolean
  readonly ordered: boolean
}

/** Calls of a transport at a time. */
const concurrency = 16

/** How long unsubscribing everything may take. */
const cleanUpTimeout = "1 second"

/** What a function of the transport failed with, threw or rejected with. */
class Failed {
  readonly reason: unknown

  constructor(reason: unknown) {
    this.reason = reason
  }
}

const isPromise = (answer: Answer): answer is PromiseLike<unknown> => Predicate.hasProperty(answer, "then")

/** Calls the function in the first step, so that calls are made in the order in which the effects begin. */
const called = (call: () => Answer): Effect.Effect<void, Failed> =>
  Effect.suspend(() => {
    let answer: Answer
    try {
      answer = call()
    } catch (thrown) {
      return Effect.fail(new Failed(thrown))
    }
    if (Effect.isEffect(answer)) return Effect.asVoid(Effect.mapError(answer, (failure) => new Failed(failure)))
    if (!isPromise(answer)) return Effect.void
    const promise = answer
    return Effect.asVoid(Effect.tryPromise({ try: () => promise, catch: (rejection) => new Failed(rejection) }))
  })

/** What a client says went wrong. Addresses may name users and passwords; those are left out. */
const detailOf = (failure: unknown): string => {
  const text = failure instanceof Error ? failure.message : String(failure)
  return text.replaceAll(/\/\/[^/@\s]*@/g, "//").slice(0, 500)
}

const failsWith =
  (reason: (detail: string) => BusRefused | BusUnreachable) =>
  ({ reason: failure }: Failed): EventBusError =>
    failure instanceof EventBusError ? failure : new EventBusError({ reason: reason(detailOf(failure)) })

const unreachable = failsWith((detail) => new BusUnreachable({ detail }))
const refused = failsWith((detail) => new BusRefused({ detail }))

export const make = (transport: Transport, options: TransportDriverOptions): Driver => {
  /** Topics that may be subscribed at the transport. */
  const held = new Set<string>()

  const publish = (topic: string, payload: string) =>
    Effect.mapError(
      called(() => transport.publish(topic, payload)),
      unreachable
    )

  const unsubscribe = (topic: string) =>
    called(() => transport.unsubscribe(topic)).pipe(Effect.tap(() => Effect.sync(() => held.delete(topic))))

  /** Unsubscribes what can be in a limited time; the rest stays held. */
  const cleanUp = (topics: Iterable<string>) =>
    Effect.forEach(topics, (topic) => Effect.exit(unsubscribe(topic)), { concurrency, discard: true }).pipe(
      Effect.timeoutOption(cleanUpTimeout)
    )

  /** What is not unsubscribed yet since a connection was given up comes before anything is subscribed. */
  const begin = Effect.suspend(() => {
    if (held.size === 0) return Effect.void
    return Effect.andThen(
      cleanUp(Array.from(held)),
      Effect.suspend(() => {
        const left = held.size
        held.clear()
        return left === 0
          ? Effect.void
          : Effect.logWarning(`${left} topics of the event bus (${options.kind}) could not be unsubscribed`)
      })
    )
  })

  const connection = (events: DriverEvents): DriverConnection => {
    /** The subscription a topic is delivered by. */
    const live = new Map<string, object>()
    const subscribe = (topic: string) =>
      Effect.suspend(() => {
        const subscription = {}
        live.set(topic, subscription)
        held.add(topic)
        return called(() =>
          transport.subscribe(topic, (payload) => {
            if (live.get(topic) === subscription) events.onMessage(topic, payload)
          })
        )
      }).pipe(
        Effect.tapError(() =>
          Effect.sync(() => {
            live.delete(topic)
            held.delete(topic)
          })
        )
      )
    return {
      publish,
      subscribe: (topics) =>
        Effect.forEach(topics, subscribe, { concurrency, discard: true }).pipe(
          // A refusal leaves nothing of the others.
          Effect.tapError(() =>
            Effect.suspend(() => {
              const others = topics.filter((topic) => live.delete(topic))
              return cleanUp(others)
            })
          ),
          Effect.mapError(refused)
        ),
      unsubscribe: (topics) =>
        Effect.suspend(() => {
          for (const topic of topics) live.delete(topic)
          return Effect.forEach(topics, unsubscribe, { concurrency, discard: true })
        }).pipe(Effect.mapError(refused))
    }
  }

  return {
    ...options,
    connect: (events) =>
      Effect.gen(function* () {
        yield* Effect.catchReason(
          publish(`${probePrefix}connect`, ""),
          "EventBusError",
          "BusRefused",
          () => Effect.void
        )
        yield* begin
        return yield* Effect.acquireRelease(
          Effect.sync(() => connection(events)),
          () => Effect.suspend(() => cleanUp(Array.from(held)))
        )
      })
  }
}
