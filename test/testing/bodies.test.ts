/**
 * Handlers that are wrong in one way are found: against a body of the model, and without one by what listeners see.
 */
import { assert, describe, it } from "@effect/vitest"
import { Rooms, Subscription } from "effect-rooms"
import type { RoomModel } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import { BoardApi, type BoardEvent, type BoardHandlers } from "../support/rooms.ts"
import { checked, inRoom, options, silent } from "./support.ts"

/** Says to the room what it is told. */
const sayAll = <A>(say: (line: string) => A) => ({
  onJoin: ({ data, id }: RoomModel.Member<string>) => say(`+${id} ${data}`),
  onLeave: ({ id }: RoomModel.Member<string>, reason: string) => say(`-${id} ${reason}`),
  onMessage: ({ member, message }: { readonly member: { readonly id: string }; readonly message: BoardEvent }) =>
    say(`${member.id}: ${message.data}`)
})

type Handlers = ReturnType<typeof sayAll<Effect.Effect<void>>>

/** Handlers that are wrong in one way. */
const wrongHandlers: Record<string, (handlers: Handlers) => BoardHandlers> = {
  "a join nobody is told of": (handlers) => ({ ...handlers, onJoin: undefined }),
  "a leave nobody is told of": (handlers) => ({ ...handlers, onLeave: undefined }),
  "another reason": ({ onLeave, ...handlers }) => ({ ...handlers, onLeave: (member) => onLeave(member, "elsewhere") }),
  "data of another": ({ onJoin, ...handlers }) => ({ ...handlers, onJoin: ({ id }) => onJoin({ id, data: "third" }) }),
  "a message that is told twice": ({ onMessage, ...handlers }) => ({
    ...handlers,
    onMessage: (request) => Effect.andThen(onMessage(request), onMessage(request))
  }),
  "a message that is sent on": (handlers) => ({ ...handlers, onMessage: undefined })
}

describe("the check of a foretold body sees", () => {
  for (const [name, change] of Object.entries(wrongHandlers)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const rooms = Rooms.make(BoardApi, options, (room) =>
          Effect.succeed(change(sayAll((line) => room.broadcast("said", line))))
        )
        const error = yield* checked(rooms, (room) => sayAll((line) => room.broadcast("said", line)))
        assert.match(error.observable, /^events that \w+ sent to an observer$/)
        assert.isAtMost(error.commands.length, 2, error.message)
      })
    )
  }
})

/** A subscription that hands out everything twice. */
const repeating = (subscription: Subscription.Subscription<BoardEvent>) => {
  const { envelopes } = subscription
  type Entry = Effect.Success<typeof envelopes.take>
  const again: Array<Entry> = []
  const take = Effect.suspend(() => {
    const entry = again.pop()
    if (entry !== undefined) return Effect.succeed(entry)
    return Effect.tap(envelopes.take, (fresh) => Effect.sync(() => void again.push(fresh)))
  })
  return {
    id: subscription.id,
    get pending() {
      return subscription.pending + again.length
    },
    envelopes: { take }
  }
}

describe("the check of a body that is not foretold sees", () => {
  it.effect("a broadcast of the server that is lost", () =>
    Effect.gen(function* () {
      const lost = inRoom(() => ({ broadcast: () => Effect.void }))
      const rooms = Effect.map(Rooms.make(BoardApi, options, silent), (right) => ({ ...right, ...lost(right) }))
      assert.match((yield* checked(rooms, undefined)).observable, /^events that \w+ did not send$/)
    })
  )

  it.effect("a subscription that cannot be left out, also of a member who is back", () =>
    Effect.gen(function* () {
      for (const who of ["ann", "ann-2"]) {
        const deaf = inRoom(({ subscribe }) => ({
          subscribe: (() =>
            Effect.flatMap(Subscription.CurrentReceiver, (receiver) =>
              Effect.provideService(
                subscribe(),
                Subscription.CurrentReceiver,
                receiver?.id === who ? undefined : receiver
              )
            )) as never
        }))
        const rooms = Effect.map(Rooms.make(BoardApi, options, silent), (right) => ({ ...right, ...deaf(right) }))
        const { observable } = yield* checked(rooms, undefined)
        assert.match(observable, new RegExp(`^events that \\w+ sent to ${who}$`))
      }
    })
  )

  it.effect("an event that comes twice", () =>
    Effect.gen(function* () {
      const twice = inRoom(({ subscribe }) => ({
        subscribe: (() => Effect.map(subscribe(), repeating)) as never
      }))
      const rooms = Effect.map(Rooms.make(BoardApi, options, silent), (right) => ({ ...right, ...twice(right) }))
      assert.match((yield* checked(rooms, undefined)).observable, /^position of an event of /)
    })
  )

  it.effect("more events at once than a listener can have waiting", () =>
    Effect.gen(function* () {
      const loud = Rooms.make(BoardApi, options, (room) =>
        Effect.succeed({ onJoin: () => Effect.repeat(room.broadcast("counted", 1), { times: 300 }) })
      )
      const { expected, observable } = yield* checked(loud, undefined)
      assert.match(observable, /^events that \w+ sent to an observer$/)
      assert.strictEqual(expected, "no gap")
    })
  )
})
