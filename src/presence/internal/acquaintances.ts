/**
 * Which nodes have heard of which, and since when: counted in generations, so that it can be said of a device whether
 * its owner knew this node when it took hold of it.
 *
 * What a node says of itself is part of its table, under the same rules as its devices.
 */
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { Claim } from "../PresenceDevice.ts"

/** Nodes that are remembered, at most; those heard of first are forgotten first. */
const most = 256

export class Acquaintances {
  /** The epochs this node has had, this start of it. */
  readonly #selves: Array<string> = []
  /** The highest generation of this node when it first heard of another. */
  readonly #met = new Map<string, number>()
  /** What other nodes say of those they have met. */
  readonly #said = new Map<string, object>()

  /** This node has an epoch, the same as before or a new one. */
  be(self: string): void {
    if (this.#selves.includes(self)) return
    this.#selves.push(self)
    if (this.#selves.length > most) this.#selves.shift()
  }

  /** Takes what a node says of those it has met, or that it has gone; tells whether this node has not met it before. */
  hear(owner: string, said: unknown, generation: number): boolean {
    if (!Predicate.isObject(said)) {
      this.#said.delete(owner)
      return false
    }
    this.#said.set(owner, said)
    if (this.#met.has(owner)) return false
    this.#met.set(owner, generation)
    if (this.#met.size > most) this.#met.delete(this.#met.keys().next().value!)
    return true
  }

  /** Whether the owner of a device had met this node when the device got its generation. */
  knew({ generation, owner }: Claim): boolean {
    const said = owner === undefined ? undefined : this.#said.get(owner)
    if (said === undefined) return false
    return this.#selves.some((self) => {
      const met: unknown = Predicate.hasProperty(said, self) ? said[self] : undefined
      return Predicate.isNumber(met) && met < generation
    })
  }

  /** What this node says. */
  toJson(): Schema.Json {
    return Object.fromEntries(this.#met)
  }
}
