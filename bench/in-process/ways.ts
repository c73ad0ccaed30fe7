/**
 * Ways to publish to many readers in a process: Effect's `PubSub` by itself, and subscriptions of a channel.
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Channels, Ref, type Subscription } from "../../src/index.ts"

/** Starts readers that call `onMessage` for every message, and answers how to publish. */
export type Way = (
  subscribers: number,
  onMessage: () => void
) => Effect.Effect<(message: number) => Effect.Effect<unknown>, never, Scope.Scope>

/** Readers of a `PubSub` of the capacity channels have by default. */
const bare = (
  read: (subscription: PubSub.Subscription<number>, onMessage: () => void) => Effect.Effect<unknown>
): Way =>
  Effect.fnUntraced(function* (subscribers, onMessage) {
    const pubSub = yield* PubSub.sliding<number>(256)
    for (let i = 0; i < subscribers; i++) {
      yield* Effect.forkScoped(read(yield* PubSub.subscribe(pubSub), onMessage))
    }
    yield* Effect.yieldNow
    return (message) => PubSub.publish(pubSub, message)
  })

class Topic extends Ref.Entity<Topic>()("Topic") {}

const channel = (
  read: (subscription: Subscription.Subscription<number>, onMessage: () => void) => Effect.Effect<unknown, unknown>
): Way =>
  Effect.fnUntraced(function* (subscribers, onMessage) {
    const numbers = yield* Channels.make({ key: Topic, message: Schema.Int })
    const topic = Topic.ref`one`
    for (let i = 0; i < subscribers; i++) {
      yield* Effect.forkScoped(read(yield* numbers.subscribe(topic), onMessage))
    }
    yield* Effect.yieldNow
    return (message) => numbers.publish(topic, message)
  })

export const ways = {
  "PubSub, stream": bare((subscription, onMessage) =>
    Stream.runForEach(Stream.fromSubscription(subscription), () => Effect.sync(onMessage))
  ),
  "PubSub, take": bare((subscription, onMessage) => Effect.forever(Effect.map(PubSub.take(subscription), onMessage))),
  "PubSub, takeAll": bare((subscription, onMessage) =>
    Effect.forever(
      Effect.map(PubSub.takeAll(subscription), (messages) => {
        for (let i = 0; i < messages.length; i++) onMessage()
      })
    )
  ),
  "Subscription, stream": channel((subscription, onMessage) =>
    Stream.runForEach(subscription.stream, () => Effect.sync(onMessage))
  ),
  "Subscription, runForEach": channel((subscription, onMessage) =>
    subscription.runForEach(() => Effect.sync(onMessage))
  ),
  "Subscription, take": channel((subscription, onMessage) => Effect.forever(Effect.map(subscription.take, onMessage))),
  "Subscription, for await": channel((subscription, onMessage) =>
    Effect.promise(async () => {
      for await (const _ of subscription) onMessage()
    })
  )
} satisfies Record<string, Way>
