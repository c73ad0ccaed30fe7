/**
 * What the tests of channels share: two entities, and reading without waiting.
 */
import { Ref, type Subscription } from "effect-rooms"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

export class Room extends Ref.Entity<Room>()("Room") {}
export class User extends Ref.Entity<User>()("User") {}

export const general = Room.ref`general`

type Takes<A, E> = { readonly take: Effect.Effect<A, E | Cause.Done> }

/** Takes one value if it is there now: an exit, or `undefined` where `take` would wait. */
export const takeNow = <A, E>(messages: Takes<A, E>): Exit.Exit<A, E | Cause.Done> | undefined => {
  const fiber = Effect.runFork(messages.take)
  const exit = fiber.pollUnsafe()
  if (exit === undefined) fiber.interruptUnsafe()
  return exit
}

/** Takes all that is there now, up to the end or failure if there is one. */
export const drain = <A, E>(messages: Takes<A, E>): Array<A> => {
  const values: Array<A> = []
  for (;;) {
    const exit = takeNow(messages)
    if (exit === undefined || Exit.isFailure(exit)) return values
    values.push(exit.value)
  }
}

/** What the envelopes of a subscription are read as. */
export type Item<A> = Effect.Success<Subscription.Subscription<A>["envelopes"]["take"]>

/** An envelope or a gap in short: `3:hello`, `Gap 2`. */
export const brief = (item: Item<unknown>): string =>
  item._tag === "Gap" ? `Gap ${item.missed}` : `${item.roomSeq}:${String(item.message)}`
