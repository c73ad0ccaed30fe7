import { assert, describe, it } from "@effect/vitest"
import { Rooms } from "effect-rooms"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { general } from "../support/channels.ts"
import { BoardApi, FakeConnection } from "../support/rooms.ts"

/** Joins, publishes and leaves; done when the handlers have heard of all of it. */
const traffic = Effect.gen(function* () {
  const left = yield* Deferred.make<void>()
  const rooms = yield* Rooms.make(BoardApi, {}, () =>
    Effect.succeed({
      onJoin: () => Effect.void,
      onMessage: () => Effect.void,
      onLeave: () => Effect.asVoid(Deferred.succeed(left, undefined))
    })
  )
  const member = new FakeConnection("alice")
  const room = rooms.get(general)
  const { leave } = yield* room.open("data", { as: member })
  yield* room.publish("said", "hello", { as: member })
  leave()
  yield* Deferred.await(left)
}).pipe(Effect.scoped)

describe("spans", () => {
  it.effect("join, publish and each handler are traced, by kind of room and never by name", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.provideService(traffic, Tracer.Tracer, tracer)
      assert.sameMembers(
        spans.map(({ name }) => name),
        ["Rooms.join", "Rooms.publish", "Rooms.onJoin", "Rooms.onMessage", "Rooms.onLeave"]
      )
      for (const { attributes } of spans) assert.deepStrictEqual(Array.from(attributes), [["kind", "board"]])
    })
  )
})
