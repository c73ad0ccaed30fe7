/**
 * Devices that are held: by a scope, and on behalf of a receiver, whichever ends first.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Ending, Receiver } from "../../channels/Subscription.ts"
import type { PresenceError } from "../PresenceError.ts"
import * as State from "../PresenceState.ts"
import type { Rooms } from "./rooms.ts"

/** Below the generation of every device: who holds as this one holds nothing. */
const nobodys = 0

/** Who held a device that was taken over on another node is gone: it does not come back. */
export const letGo = <U, M>(rooms: Rooms<U, M>, room: string, holder: State.Holder): void => {
  if (rooms.isAlone) return
  rooms.change(room, [holder.user], (state) => State.letGo(state, holder))
}

/**
 * Lets a device appear until the scope closes or the receiver is gone; done in one step.
 *
 * Who is gone already is not let in, and takes nothing over: by then the device may belong to a later connection. The
 * device has a scope of its own, so that one that lives on collects nothing of receivers that are gone.
 */
export const hold = <U, M>(
  rooms: Rooms<U, M>,
  room: string,
  input: Omit<State.Appearance<U, M>, "generation">,
  receiver: Receiver | undefined
): Effect.Effect<State.Holder, PresenceError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (parent) =>
    Effect.suspend(() => {
      const named = { user: input.user.identifier, device: input.device }
      const place = Scope.forkUnsafe(parent)
      const discard = Scope.close(place, Exit.void)
      let holder: State.Holder = { ...named, generation: nobodys }
      const end = (ending: Ending) => {
        const isDone = rooms.change(room, [holder.user], (state) =>
          ending === "lost" ? State.drop(state, holder, rooms.now()) : State.release(state, holder, rooms.memory)
        )
        if (!isDone) letGo(rooms, room, holder)
      }
      let gone = false
      const unlink = receiver?.onClose?.((ending) => {
        gone = true
        end(ending)
        Effect.runSync(discard)
      })
      if (gone) return Effect.succeed(holder)
      const appeared = rooms.appear(room, input, State.hold)
      if (Result.isFailure(appeared)) {
        unlink?.()
        return Effect.andThen(discard, Effect.fail(appeared.failure))
      }
      holder = { ...named, generation: appeared.success }
      const release = Effect.sync(() => {
        unlink?.()
        end("clean")
      })
      return Effect.as(Scope.addFinalizer(place, release), holder)
    })
  ).pipe(Effect.uninterruptible)
