/**
 * The wire encodings of one route: its own, and one for each function that makes messages of the route from others.
 */
import type { Wire } from "../../channels/Sink.ts"
import { Batch } from "./batch.ts"
import type { Flusher } from "./flusher.ts"

export interface WiresOptions<Out> {
  readonly flusher: Flusher
  readonly encode: (message: Out) => string
  /** A message could not be encoded, which nobody gets for that. */
  readonly onFailure: (error: unknown) => void
  /** Counts messages of a kind of channel handed to connections. */
  readonly onDelivered: (kind: string, messages: number) => void
}

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

  #make<A>(as: (message: A) => Out): Wire<A, Batch<A>> {
    const { encode, flusher, onDelivered, onFailure } = this.#options
    const encodeAs = (message: A): string | undefined => {
      try {
        return encode(as(message))
      } catch (error) {
        onFailure(error)
        return undefined
      }
    }
    return {
      open: (kind) =>
        new Batch<A>({ flusher, encode: encodeAs, onDelivered: (messages) => onDelivered(kind, messages) })
    }
  }
}
