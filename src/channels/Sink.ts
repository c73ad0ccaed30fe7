/**
 * The way of messages out of the process: sinks that are handed every message of a key in the step of its publish.
 *
 * A subscription is read by a fiber; a sink is called. It is what a transport attaches, so that a message is encoded
 * once for all connections that speak one wire encoding, and no fiber runs for any of them.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Ref } from "../Ref.ts"
import type { Envelope } from "./Envelope.ts"

/** Takes the messages of one key on behalf of any number of receivers. */
export interface Sink<in A> {
  /**
   * Takes one message. Runs no code of the application and must not throw; leaves out the receivers the message excepts.
   * Answers the bytes that will go out because of it, all receivers together.
   */
  readonly deliver: (envelope: Envelope<A>) => number
  /** Messages of another node are missing at this position: so many, or 0 where nobody knows how many. */
  readonly lose?: ((missed: number, roomSeq: number) => void) | undefined
  /** How many receivers it serves; at none it is detached. */
  readonly size: number
  /** The channel closes. */
  readonly close: () => void
}

/** One wire encoding: makes the sink of a key when the first receiver of that encoding attaches. */
export interface Wire<in A, out S extends Sink<A>> {
  /** `kind` names the channel in metrics, `identifier` is that of the key. */
  readonly open: (kind: string, identifier: string) => S
}

/**
 * Attaches a receiver to the sink of its wire, in one step: what is published afterwards reaches it. `join` adds it to
 * the sink and returns the way out; so does the call itself, and it detaches the sink with its last receiver.
 */
export type Attach<out A> = <S extends Sink<A>>(wire: Wire<A, S>, join: (sink: S) => () => void) => () => void

/** What transports need of a channel. `Channels` is one. */
export interface Attachable<E, out A, out EO = never> {
  /**
   * Prepares a key and answers how to attach to it until the scope closes. Fails with the failure of the `onOpen` hook,
   * in which case nothing stays behind. Attaching is left to the caller, so that it can be part of a larger step.
   */
  readonly reserve: (ref: Ref<E>) => Effect.Effect<Attach<A>, EO, Scope.Scope>
}
