/**
 * The way of one channel to and from other nodes: messages become text here, and text messages again.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Peers } from "../../internal/peers.ts"
import { bridgeFailures } from "./metrics.ts"
import type { Registry } from "./registry.ts"

export interface Bridge<A> {
  /** Sends a publish to the other nodes; `done` learns whether they can have it. */
  readonly publish: (
    identifier: string,
    message: A,
    number: number,
    except: ReadonlyArray<string>,
    done: Deferred.Deferred<boolean> | undefined
  ) => void
  /** Hears what other nodes publish to a key until the scope closes. Dies with `Refused`. */
  readonly open: (identifier: string) => Effect.Effect<void, never, Scope.Scope>
}

/** Links a channel to the same channel on other nodes until the scope closes. */
export const make = Effect.fnUntraced(function* <A>(
  peers: Peers,
  name: string,
  epoch: string,
  message: Schema.Constraint & { readonly Type: A },
  registry: Registry<A>
): Effect.fn.Return<Bridge<A>, never, Scope.Scope> {
  const context = yield* Effect.context()
  // A channel says of its schema only what it decodes to; encoding runs in this process and needs nothing.
  const codec = Schema.toCodecJson(message as unknown as Schema.Codec<A, unknown>)
  const encode = Schema.encodeUnknownSync(codec)
  const decode = Schema.decodeUnknownSync(codec)
  const failures = Metric.withAttributes(bridgeFailures, { channel: name })

  const failed = (what: string, error: unknown): void => {
    failures.updateUnsafe(1, context)
    Effect.runForkWith(context)(Effect.logError(`a message of channel ${name} could not be ${what}`, error))
  }

  const textOf = (value: A): string | undefined => {
    try {
      return JSON.stringify(encode(value))
    } catch (error) {
      failed("encoded for the other nodes", error)
      return undefined
    }
  }

  const link = yield* peers.link({
    name,
    epoch,
    deliver: (identifier, body, id, except) => {
      const hub = registry.forPublish(identifier)
      if (hub === undefined) return
      let value: A
      try {
        value = decode(JSON.parse(body))
      } catch (error) {
        hub.lose(1)
        return failed("decoded", error)
      }
      hub.append(epoch, id, value, except)
    },
    lose: (identifier, missed) => registry.get(identifier)?.lose(missed)
  })

  return {
    publish: (identifier, value, number, except, done) => {
      const settle = done && ((reached: boolean) => void Deferred.doneUnsafe(done, Exit.succeed(reached)))
      link.publish(identifier, () => textOf(value), number, except, settle)
    },
    open: (identifier) => Effect.orDie(link.open(identifier))
  }
})
