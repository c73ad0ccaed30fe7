/**
 * The wire encodings of one route: its own, and one for each function that makes messages of the route from others.
 */
import type { Wire } from "../../channels/Sink.ts"
import type { Loss } from "./backlog.ts"
import { Batch } from "./batch.ts"
import type { Flusher } from "./flusher.ts"

/** A room or key of a channel, and the kind that channel has in metrics. */
export interface Feed {
  readonly kind: string
  readonly room: string
}

export interface WiresOptions<Out> {
  readonly flusher: Flusher
  readonly encode: (message: Out) => string
  /** Makes bytes of a text: by default a WebSocket frame. */
  readonly frame?: ((text: string) => Buffer) | undefined
  /** Tells messages from each other, where slow connections keep only the latest; undefined where none may be lost. */
  readonly keyOf?: ((message: () => Out) => unknown) | undefined
  /** The text that tells that messages of another node are missing; where there is none nobody is told. */
  readonly notice?: ((loss: Loss) => string | undefined) | undefined
  /** Code of the application threw: a message could not be encoded, which nobody gets for that, or it has no key. */
  readonly onFailure: (error: unknown, feed: Feed | undefined) => void
  /** Counts messages of a kind of channel handed to connections. */
  readonly onDelivered: (kind: string, messages: number) => void
}

/** Stands for the identifier in the wire of all connections of a route; no identifier begins so. */
export const everybody = "$everybody"

export class Wires<in Out> {
  readonly #options: WiresOptions<Out>
  readonly #wires = new WeakMap<object, Wire<never, Batch<never>>>()
  readonly #own: Wire<Out, Batch<Out>>

  constructor(options: WiresOptions<Out>) {
    this.#options = options
    this.#own = this.#make((message) => message)
  }

  /** The wire of a function; the same one for the same function. */
  of<A>(as: ((message: A) => Out) | undefined): Wire<A, Batch<A>> {
    // Without a function the messages are the route's own, which is what `As` says.
    if (as === undefined) return this.#own as unknown as Wire<A, Batch<A>>
    const known = this.#wires.get(as) as Wire<A, Batch<A>> | undefined
    if (known !== undefined) return known
    const wire = this.#make(as)
    this.#wires.set(as, wire)
    return wire
  }

  /** The text of a message; undefined, and reported, when it cannot be made. */
  encode(message: () => Out, feed?: Feed): string | undefined {
    try {
      return this.#options.encode(message())
    } catch (error) {
      this.#options.onFailure(error, feed)
      return undefined
    }
  }

  #make<A>(as: (message: A) => Out): Wire<A, Batch<A>> {
    const { flusher, frame, keyOf, notice, onDelivered, onFailure } = this.#options
    return {
      open: (kind, room) => {
        const feed: Feed = { kind, room }
        const failed = (error: unknown) => onFailure(error, feed)
        return new Batch<A>({
          flusher,
          everybody: room === everybody,
          frame,
          encode: (message) => this.encode(() => as(message), feed),
          markOf:
            keyOf && ((message, seq) => ({ feed, seq, key: orUndefined(() => keyOf(() => as(message)), failed) })),
          noticeOf: notice && ((missed, seq) => notice({ ...feed, from: seq, to: seq, missed, reason: "network" })),
          onDelivered: (messages) => onDelivered(kind, messages)
        })
      }
    }
  }
}

/** Messages whose key cannot be told have the same. */
const orUndefined = (key: () => unknown, onFailure: (error: unknown) => void): unknown => {
  try {
    return key()
  } catch (error) {
    onFailure(error)
    return undefined
  }
}
