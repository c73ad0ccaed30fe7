/**
 * A subscription: one reader of one key, attached from the moment it is returned until its scope closes.
 *
 * This file says what users see; how entries reach a subscription is `internal/sources.ts`.
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type { Envelope, Gap } from "./Envelope.ts"
import type { Messages } from "../Messages.ts"

/**
 * Says what happens to a reader that is slower than its bound, in the same words for every bounded place.
 *
 * - `"dropOldest"`: the oldest unread message goes; all readers share one ring, so a stalled one costs nothing.
 * - `"dropNewest"`: what is buffered stays, what comes on top is dropped; a buffer of its own.
 * - `"latest"`: only the newest message is kept; with `latestBy`, the newest of each key. A buffer of its own.
 * - `"fail"`: reading fails with `SlowConsumer` as soon as something was lost.
 */
export type Overflow<A> =
  | "dropOldest"
  | "dropNewest"
  | "latest"
  | "fail"
  | { readonly latestBy: (message: A) => unknown }

/** Fails reading of a subscription whose overflow policy is `"fail"` and which lost messages. */
export class SlowConsumer extends Schema.TaggedError<SlowConsumer>()("SlowConsumer", {
  /** How many messages were lost when it was noticed. */
  missed: Schema.Int
}) {
  override get message(): string {
    return `the reader was too slow and lost ${this.missed} message(s)`
  }
}

/**
 * How a receiver went: `"clean"` when it or the application said so, `"lost"` when it fell silent, broke, or was cut for
 * being too slow, and may be back.
 */
export type Ending = "clean" | "lost"

/** Anything a publish can leave out, known by its id: a subscription, a connection. */
export interface Receiver {
  readonly id: string
  /**
   * Calls back once when the receiver is gone, at once if it is gone already; the returned function calls it off. A
   * receiver without it is never gone by itself.
   */
  readonly onClose?: ((callback: (ending: Ending) => void) => () => void) | undefined
  /** What it may do at most; a receiver without it may do anything. */
  readonly quota?: Quota | undefined
}

/** Bounds what one receiver may make the server do. */
export interface Quota {
  /** Asks for a place in one more room; what was granted is given back with `leave`. */
  readonly join: () => "granted" | "tooOften" | "tooMany"
  readonly leave: () => void
  /** Told how many bytes go out because of a publish on its behalf, all receivers together. */
  readonly charge: (bytes: number) => void
}

/**
 * The receiver on whose behalf the current fiber works; a `WebSocketRoute` sets it to its connection.
 *
 * A subscription opened while it is set is left out by `except: connection` as well as by `except: subscription`.
 */
export const CurrentReceiver: Context.Reference<Receiver | undefined> = Context.Reference<Receiver | undefined>(
  "effect-rooms/channels/CurrentReceiver",
  { defaultValue: () => undefined }
)

/**
 * Reads the messages of one key, in the order all local readers of that key see.
 *
 * Read it with `for await`, as `.stream`, or with `.take`, by one consumer at a time. The plain ways skip a `Gap`;
 * `.envelopes` shows it where it is, and the position of every message. Delivery is at most once: nothing published
 * before the subscription was returned is seen (but for `replay`), everything after it is, or `dropped` counts it.
 */
export interface Subscription<out A, out E = never> extends Messages<A, E>, Receiver, AsyncDisposable, Disposable {
  /** Unique in the cluster; give the subscription itself to `except` of a publish. */
  readonly id: string
  /** The same messages with their positions, and a `Gap` where some are missing. */
  readonly envelopes: Messages<Envelope<A> | Gap, E>
  /** Messages that wait to be read now. */
  readonly pending: number
  /** Messages lost so far because reading was slower than the bound, read past or not. */
  readonly dropped: number
  /** Detaches at once, discards what was not read, ends loops and streams. Doing it again does nothing. */
  readonly unsubscribe: () => void
}
