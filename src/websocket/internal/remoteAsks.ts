/**
 * Requests to other nodes that are waited for, each no longer than its deadline.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ClusterRefused, NoAnswer, RoomError } from "../../rooms/RoomError.ts"
import type { Outcome } from "./remoteLetters.ts"

/** How long another node may take over a request. */
export const deadline = Duration.seconds(2)
/** Requests that may wait at the same time. */
const most = 10_000

interface Open {
  readonly node: string
  readonly answered: Deferred.Deferred<Outcome>
}

export class RemoteAsks {
  readonly #open = new Map<number, Open>()
  readonly #onSilence: () => void
  #number = 0

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence
  }

  /** How many wait. */
  get size(): number {
    return this.#open.size
  }

  /** Asks a node and waits: true when it was done, false when there was nothing to do it with. */
  ask(node: string, send: (number: number) => void): Effect.Effect<boolean, RoomError> {
    return Effect.suspend(() => {
      if (this.#open.size >= most) return fail(new ClusterRefused({ detail: `${most} requests wait for other nodes` }))
      const number = ++this.#number
      const answered = Deferred.makeUnsafe<Outcome>()
      this.#open.set(number, { node, answered })
      send(number)
      const silent = Effect.suspend(() => {
        this.#onSilence()
        return fail(new NoAnswer({ node }))
      })
      return Deferred.await(answered).pipe(
        Effect.timeoutOrElse({ duration: deadline, orElse: () => silent }),
        Effect.flatMap((outcome) =>
          outcome instanceof RoomError ? Effect.fail(outcome) : Effect.succeed(outcome === "done")
        ),
        Effect.ensuring(Effect.sync(() => this.#open.delete(number)))
      )
    })
  }

  /** Takes the answer of the node that was asked, once. */
  answer(node: string, number: number, outcome: Outcome): void {
    const open = this.#open.get(number)
    if (open?.node === node) Deferred.doneUnsafe(open.answered, Exit.succeed(outcome))
  }
}

const fail = (reason: RoomError["reason"]): Effect.Effect<never, RoomError> => Effect.fail(new RoomError({ reason }))
