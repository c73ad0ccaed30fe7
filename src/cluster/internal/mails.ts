/**
 * Letters to the services of one name on other nodes.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Mail } from "../../internal/peers.ts"
import type { Control } from "./control.ts"

type OnLetter = (from: string, letter: Schema.Json) => void

export class Mails {
  readonly #control: Control
  readonly #boxes = new Map<string, OnLetter>()

  constructor(control: Control) {
    this.#control = control
    control.on("mail", (from, word) => {
      if (isLetter(word)) this.#boxes.get(word.name)?.(from, word.letter)
    })
  }

  /** Takes letters under a name until the scope closes. */
  open(name: string, onLetter: OnLetter): Effect.Effect<Mail, never, Scope.Scope> {
    return Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => void this.#boxes.set(name, onLetter)),
        () =>
          Effect.sync(() => {
            if (this.#boxes.get(name) === onLetter) this.#boxes.delete(name)
          })
      ),
      { send: (to, letter) => this.#control.tellOne(to, "mail", { name, letter }) }
    )
  }
}

const isLetter = (word: unknown): word is { readonly name: string; readonly letter: Schema.Json } =>
  Predicate.hasProperty(word, "name") && Predicate.isString(word.name) && Predicate.hasProperty(word, "letter")
