/**
 * A place in a room, as whoever joined holds it.
 */
import type * as Effect from "effect/Effect"
import type { Ref } from "../../Ref.ts"
import type { Member } from "../Member.ts"
import type { Membership } from "../Room.ts"
import { type Held, type Members, toMember } from "./members.ts"

/** A place in a room. */
export class Place<E, Data> implements Membership<E, Data> {
  readonly ref: Ref<E>
  readonly #held: Held<Data>
  readonly #members: Members<Data>

  constructor(ref: Ref<E>, held: Held<Data>, members: Members<Data>) {
    this.ref = ref
    this.#held = held
    this.#members = members
  }

  get leave(): () => boolean {
    return () => this.#leave()
  }

  #leave(): boolean {
    const { ended, generation, member } = this.#held
    return !ended && this.#members.leave(this.ref.identifier, member, "left", generation)
  }

  get member(): Member<Data> {
    return toMember(this.#held)
  }

  get ended(): Effect.Effect<string> {
    return this.#held.whenEnded
  }

  [Symbol.dispose](): void {
    this.#leave()
  }
}
