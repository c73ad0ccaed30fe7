/**
 * The face of one room: what users do with it, in terms of its kind and its channel.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Channels } from "../../channels/Channels.ts"
import { CurrentReceiver, type Receiver } from "../../channels/Subscription.ts"
import type { Ref } from "../../Ref.ts"
import type { Handlers, JoinOptions, JoinRequest, MemberOptions, Membership, PublishRequest, Room } from "../Room.ts"
import type { Events, RoomEvent } from "../RoomApi.ts"
import { NotAllowed, type RoomError, TooManyJoins, TooManyRooms } from "../RoomError.ts"
import type { Kind } from "./kind.ts"
import { toMember } from "./members.ts"

export interface RoomParts<E, Ev extends Events, Data> {
  readonly kind: Kind<Data, Handlers<E, Ev, Data>>
  readonly channel: Channels<E, RoomEvent<Ev>>
  readonly canJoin: (request: JoinRequest<E, Data>) => Effect.Effect<boolean>
  readonly canPublish: (request: PublishRequest<E, Ev>) => Effect.Effect<boolean>
  /** Members up to which members may publish. */
  readonly openPublishUpTo: number
  /** Names a member that is no connection. */
  readonly nextId: () => string
  /** What functions that subscribe are called in, and log to. */
  readonly context: Context.Context<never>
}

export const makeRoom = <E, Ev extends Events, Data>(parts: RoomParts<E, Ev, Data>, ref: Ref<E>): Room<E, Ev, Data> => {
  const { channel, kind } = parts
  const { identifier } = ref
  const { members } = kind

  const whoever = (options: MemberOptions | undefined): Effect.Effect<Receiver> =>
    options?.as === undefined
      ? Effect.map(CurrentReceiver, (receiver) => receiver ?? { id: parts.nextId() })
      : Effect.succeed(options.as)

  /** Joins in a scope of its own, which goes with the membership: one that lives on collects nothing of those that ended. */
  const joinIn = (place: Scope.Closeable, data: Data, options: JoinOptions<Ev> | undefined) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const member = yield* whoever(options)
        const granted = member.quota?.join() ?? "granted"
        if (granted === "tooOften") return yield* kind.refuse(new TooManyJoins({}))
        if (granted === "tooMany") return yield* kind.refuse(new TooManyRooms({ of: "member" }))
        const { quota } = member
        if (quota !== undefined)
          yield* Scope.addFinalizer(
            place,
            Effect.sync(() => quota.leave())
          )
        const allowed = yield* restore(parts.canJoin({ ref, member, data }))
        if (!allowed) return yield* kind.refuse(new NotAllowed({ action: "join" }))
        const attachMember = options?.attach
        const attach = attachMember && (yield* Scope.provide(restore(channel.reserve(ref)), place))
        const joined = yield* kind.join(
          identifier,
          member,
          data,
          attachMember && (() => attachMember(attach!)),
          restore
        )
        const leave = () => members.leave(identifier, member.id, "left", joined.generation)
        yield* Scope.addFinalizer(place, Effect.sync(leave))
        members.onEnd(identifier, joined, () => Effect.runSync(Scope.close(place, Exit.void)))
        const membership: Membership<E, Data> = { ref, member: toMember(joined), leave, [Symbol.dispose]: leave }
        return membership
      }).pipe(Effect.onError((cause) => Scope.close(place, Exit.failCause(cause))))
    )

  const callWith = (handler: (event: RoomEvent<Ev>) => void): (() => void) => {
    const call = (event: RoomEvent<Ev>) =>
      Effect.ignoreCause(
        Effect.sync(() => handler(event)),
        { log: "Error", message: "a room's subscriber threw" }
      )
    const read = Effect.flatMap(channel.subscribe(ref), ({ stream }) => Stream.runForEach(stream, call))
    const fiber = Effect.runForkWith(parts.context)(Effect.scoped(read))
    return () => {
      Effect.runFork(Fiber.interrupt(fiber))
    }
  }

  const publish = (message: RoomEvent<Ev>, options: MemberOptions | undefined): Effect.Effect<void, RoomError> =>
    Effect.gen(function* () {
      const member = yield* whoever(options)
      const request = { ref, member, message }
      const allowed = members.size(identifier) <= parts.openPublishUpTo && (yield* parts.canPublish(request))
      if (!allowed) return yield* kind.refuse(new NotAllowed({ action: "publish" }))
      // What goes out because of it is the member's doing, whichever fiber does it.
      const onBehalf = Effect.provideService(CurrentReceiver, member)
      const broadcast = onBehalf(channel.publish(ref, message, { except: member }))
      const handled = yield* kind.tell(identifier, (handlers) =>
        handlers.onMessage === undefined
          ? broadcast
          : onBehalf(
              kind.span(
                "onMessage",
                Effect.suspend(() => handlers.onMessage!(request))
              )
            )
      )
      if (!handled) yield* broadcast
    })

  const toEvent = (event: string, data: unknown) => ({ event, data }) as RoomEvent<Ev>
  return {
    ref,
    name: identifier,
    join: (data, options) =>
      Effect.flatMap(Effect.scope, (scope) =>
        kind.span(
          "join",
          Effect.suspend(() => joinIn(Scope.forkUnsafe(scope), data, options))
        )
      ),
    open: (data, options) =>
      kind.span(
        "join",
        Effect.suspend(() => joinIn(Scope.makeUnsafe(), data, options))
      ),
    leave: (member) => Effect.sync(() => members.leave(identifier, member.id, "left")),
    members: Effect.sync(() => members.of(identifier)),
    size: Effect.sync(() => members.size(identifier)),
    broadcast: (event, data, options) => channel.publish(ref, toEvent(event, data), options),
    publish: (event, data, options) => kind.span("publish", publish(toEvent(event, data), options)),
    subscribe: ((options?: unknown) =>
      Predicate.isFunction(options)
        ? callWith(options as (event: RoomEvent<Ev>) => void)
        : channel.subscribe(ref, options as {})) as Room<E, Ev, Data>["subscribe"],
    close: (reason) => Effect.sync(() => kind.close(identifier, reason))
  }
}
