/**
 * Attaches a subscription to its hub and puts the public face on it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Overflow, SlowConsumer, Subscription } from "../Subscription.ts"
import { Cursor, skip } from "../../internal/cursor.ts"
import { isExcepted } from "./hub.ts"
import type { Registry } from "./registry.ts"
import { attach, type Item } from "./sources.ts"
import type { Turn } from "../../internal/turn.ts"

export interface OpenOptions<A> {
  readonly id: string
  /** Ids by which a publish may leave this subscription out; its own is among them. */
  readonly receivers: ReadonlyArray<string>
  readonly identifier: string
  readonly registry: Registry<A>
  readonly turn: Turn
  readonly overflow: Overflow<A>
  readonly replay: number
  /** Closed by `unsubscribe`; holds the interest in the key. */
  readonly scope: Scope.Closeable
}

/**
 * One synchronous step: what is published afterwards is seen, what was published before is not, but for `replay`.
 * `end` is what the scope does when it closes; `unsubscribe` closes the scope.
 */
export const open = <A>(
  options: OpenOptions<A>
): { readonly subscription: Subscription<A, SlowConsumer>; readonly end: () => void } => {
  const { identifier, registry, scope } = options
  const hub = registry.forReader(identifier)
  const source = attach(hub, options.turn, options.receivers, options.overflow)
  const past = hub.history?.last(options.replay).filter((envelope) => !isExcepted(envelope, options.receivers))
  const cursor = new Cursor<Item<A>, SlowConsumer>(source, past)
  const end = () => {
    source.end(Exit.void)
    cursor.clear()
    registry.release(identifier, hub)
  }
  if (registry.closed) end()
  let released: Promise<void> | undefined
  const release = () => (released ??= Effect.runPromise(Scope.close(scope, Exit.void)))
  const unsubscribe = () => {
    end()
    void release()
  }
  const messages = cursor.view((item) => (item._tag === "Gap" ? skip : item.message))
  const subscription: Subscription<A, SlowConsumer> = {
    id: options.id,
    get take() {
      return messages.take
    },
    get stream() {
      return messages.stream
    },
    get runForEach() {
      return messages.runForEach
    },
    [Symbol.asyncIterator]: () => messages[Symbol.asyncIterator](),
    envelopes: cursor.view((item) => item),
    get pending() {
      return source.pending + cursor.peek().filter((item) => item._tag === "Message").length
    },
    get dropped() {
      return source.dropped
    },
    unsubscribe,
    [Symbol.dispose]: unsubscribe,
    [Symbol.asyncDispose]: () => {
      end()
      return release()
    }
  }
  return { subscription, end }
}
