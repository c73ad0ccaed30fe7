/**
 * The face of one room: what users do with it, in terms of its kind and its channel.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import type { Channels } from "../../channels/Channels.ts"
import { CurrentReceiver, type Quota, type Receiver } from "../../channels/Subscription.ts"
import type { Attach, Attachable } from "../../channels/Sink.ts"
import type { Ref } from "../../Ref.ts"
import type { Handlers, JoinOptions, JoinRequest, MemberOptions, Membership, PublishRequest, Room } from "../Room.ts"
import type { Events, RoomApi, RoomEvent } from "../RoomApi.ts"
import { NotAllowed, type RoomError, TooManyJoins, TooManyRooms } from "../RoomError.ts"
import type { Kind } from "./kind.ts"
import { Held } from "./members.ts"
import { Place } from "./place.ts"
import type { Roster } from "./roster.ts"

export interface RoomParts<E, Ev extends Events, Data> {
  readonly api: RoomApi<E, Ev, Data>
  readonly kind: Kind<Data, Handlers<E, Ev, Data>>
  readonly roster: Roster<Data>
  readonly channel: Channels<E, RoomEvent<Ev>>
  /** Of the channel; fails where the cluster's bus refuses. */
  readonly reserve: Attachable<E, RoomEvent<Ev>, RoomError>["reserve"]
  /** Nobody is asked where there is none. */
  readonly canJoin: ((request: JoinRequest<E, Data>) => Effect.Effect<boolean>) | undefined
  readonly canPublish: (request: PublishRequest<E, Ev>) => Effect.Effect<boolean>
  /** Members up to which members may publish. */
  readonly openPublishUpTo: number
  /** Names a member that is no connection. */
  readonly nextId: () => string
  /** What functions that subscribe are called in, and log to. */
  readonly context: Context.Context<never>
}

/** Closes a scope in this very step, as far as what it holds can be released in one. */
const closeNow = (scope: Scope.Closeable): void => {
  const rest = Scope.closeUnsafe(scope, Exit.void)
  if (rest !== undefined && !Exit.isExit(rest)) Effect.runFork(rest)
}

/** Asks for a place in one more room; why there is none. */
const overQuota = (quota: Quota | undefined): RoomError["reason"] | undefined => {
  switch (quota?.join()) {
    case "tooOften":
      return new TooManyJoins({})
    case "tooMany":
      return new TooManyRooms({ of: "member" })
    default:
      return undefined
  }
}

const toEvent = <Ev extends Events>(event: string, data: unknown) => ({ event, data }) as RoomEvent<Ev>

/** A room asked for. It holds nothing, and there may be many: what it offers is made when it is used. */
class Face<E, Ev extends Events, Data> implements Room<E, Ev, Data> {
  readonly #parts: RoomParts<E, Ev, Data>
  readonly ref: Ref<E>

  constructor(parts: RoomParts<E, Ev, Data>, ref: Ref<E>) {
    this.#parts = parts
    this.ref = ref
  }

  get api(): RoomApi<E, Ev, Data> {
    return this.#parts.api
  }

  get name(): string {
    return this.ref.identifier
  }

  get join(): Room<E, Ev, Data>["join"] {
    return (data, options) =>
      this.#span(
        "join",
        Effect.withFiber((fiber) => {
          const scope = Context.getUnsafe(fiber.context, Scope.Scope)
          return this.#joinNow(fiber, scope, data, options) ?? this.#joinIn(Scope.forkUnsafe(scope), data, options)
        })
      )
  }

  get open(): Room<E, Ev, Data>["open"] {
    return (data, options) =>
      this.#span(
        "join",
        Effect.withFiber(
          (fiber) => this.#joinNow(fiber, undefined, data, options) ?? this.#joinIn(Scope.makeUnsafe(), data, options)
        )
      )
  }

  get leave(): Room<E, Ev, Data>["leave"] {
    return (member, reason = "removed") => Effect.sync(() => this.#parts.kind.leave(this.name, member, reason))
  }

  get members(): Room<E, Ev, Data>["members"] {
    return Effect.sync(() => this.#parts.kind.members.of(this.name))
  }

  get size(): Room<E, Ev, Data>["size"] {
    return Effect.sync(() => this.#parts.kind.members.size(this.name))
  }

  get count(): Room<E, Ev, Data>["count"] {
    return Effect.sync(() => this.#parts.roster.count(this.name))
  }

  get everyone(): Room<E, Ev, Data>["everyone"] {
    return Effect.sync(() => this.#parts.roster.everyone(this.name))
  }

  get countChanges(): Room<E, Ev, Data>["countChanges"] {
    return this.#parts.roster.countChanges(this.name)
  }

  get broadcast(): Room<E, Ev, Data>["broadcast"] {
    return (event, data, options) => this.#parts.channel.publish(this.ref, toEvent(event, data), options)
  }

  get publish(): Room<E, Ev, Data>["publish"] {
    return (event, data, options) => this.#span("publish", this.#publish(toEvent(event, data), options))
  }

  get subscribe(): Room<E, Ev, Data>["subscribe"] {
    const subscribe = (options?: unknown) =>
      Predicate.isFunction(options)
        ? this.#callWith(options as (event: RoomEvent<Ev>) => void)
        : this.#parts.channel.subscribe(this.ref, options as {})
    return subscribe as Room<E, Ev, Data>["subscribe"]
  }

  get close(): Room<E, Ev, Data>["close"] {
    return (reason) => Effect.sync(() => this.#parts.kind.close(this.name, reason))
  }

  #span<A, Err, R>(name: string, effect: Effect.Effect<A, Err, R>): Effect.Effect<A, Err, R> {
    return this.#parts.kind.span(name, effect)
  }

  #whoever(fiber: Fiber.Fiber<unknown, unknown>, options: MemberOptions | undefined): Receiver {
    return options?.as ?? fiber.getRef(CurrentReceiver) ?? { id: this.#parts.nextId() }
  }

  /**
   * Joins in this very step, where nobody has to be asked and nothing waited for; `undefined` where it is not that
   * simple. Does what `#joinIn` does, without the steps and the places to wait of that.
   */
  #joinNow(
    fiber: Fiber.Fiber<unknown, unknown>,
    scope: Scope.Scope | undefined,
    data: Data,
    options: JoinOptions<Ev> | undefined
  ): Effect.Effect<Membership<E, Data>, RoomError> | undefined {
    const { canJoin, channel, kind } = this.#parts
    if (canJoin !== undefined || !kind.isPlain || scope?.state._tag === "Closed") return undefined
    const attachMember = options?.attach
    let attach: (() => () => void) | undefined
    if (attachMember !== undefined) {
      const reserved: unknown = channel.reserve(this.ref)
      if (!Exit.isExit(reserved) || !Exit.isSuccess(reserved)) return undefined
      attach = () => attachMember(reserved.value as Attach<RoomEvent<Ev>>)
    }
    const member = this.#whoever(fiber, options)
    const { quota } = member
    const over = overQuota(quota)
    if (over !== undefined) return kind.refuse(over)
    const joined = kind.enter(this.name, member, data, attach)
    if (!(joined instanceof Held)) {
      quota?.leave()
      return kind.refuse(joined)
    }
    const place = new Place(this.ref, joined, kind.members)
    if (scope === undefined) {
      if (quota !== undefined) kind.members.onEnd(joined, quota.leave)
    } else {
      // A scope of its own, so that one that lives on collects nothing of the memberships that have ended.
      const own = Scope.forkUnsafe(scope)
      const finalizer = () => {
        place.leave()
        return Effect.void
      }
      own.state = { _tag: "Open", finalizerKey: own, finalizer, finalizers: undefined }
      kind.members.onEnd(joined, () => {
        quota?.leave()
        closeNow(own)
      })
    }
    return Effect.succeed(place)
  }

  /**
   * Joins in a scope of its own, which goes with the membership: one that lives on collects nothing of those that
   * ended. What is asked for first is given back last.
   */
  #joinIn(place: Scope.Closeable, data: Data, options: JoinOptions<Ev> | undefined) {
    return Effect.uninterruptibleMask((restore) =>
      Effect.onError(
        Effect.withFiber((fiber) => this.#take(place, this.#whoever(fiber, options), data, options?.attach, restore)),
        (cause) => Scope.close(place, Exit.failCause(cause))
      )
    )
  }

  #take(
    place: Scope.Closeable,
    member: Receiver,
    data: Data,
    attachMember: JoinOptions<Ev>["attach"],
    restore: <A, Err>(effect: Effect.Effect<A, Err>) => Effect.Effect<A, Err>
  ): Effect.Effect<Membership<E, Data>, RoomError> {
    const { ref } = this
    const { canJoin, kind, reserve } = this.#parts
    const { quota } = member
    const over = overQuota(quota)
    if (over !== undefined) return kind.refuse(over)
    let leave: (() => boolean) | undefined
    let closed = false
    const release = Scope.addFinalizerExit(place, () => {
      closed = true
      leave?.()
      quota?.leave()
      return Effect.void
    })
    const enter = (attach?: Attach<RoomEvent<Ev>>) =>
      Effect.map(
        kind.join(this.name, member, data, attach && attachMember && (() => attachMember(attach)), restore),
        (joined): Membership<E, Data> => {
          const held = new Place(ref, joined, kind.members)
          leave = held.leave
          kind.members.onEnd(joined, () => closeNow(place))
          // The scope may have closed while the join was under way.
          if (closed) held.leave()
          return held
        }
      )
    const reserved =
      attachMember === undefined ? enter() : Effect.flatMap(restore(Scope.provide(reserve(ref), place)), enter)
    const allowed =
      canJoin === undefined
        ? reserved
        : Effect.flatMap(restore(canJoin({ ref, member, data })), (yes) =>
            yes ? reserved : kind.refuse(new NotAllowed({ action: "join" }))
          )
    return Effect.andThen(release, allowed)
  }

  #callWith(handler: (event: RoomEvent<Ev>) => void): () => void {
    const call = (event: RoomEvent<Ev>) =>
      Effect.ignoreCause(
        Effect.sync(() => handler(event)),
        { log: "Error", message: "a room's subscriber threw" }
      )
    const read = Effect.flatMap(this.#parts.channel.subscribe(this.ref), (events) => events.runForEach(call))
    const fiber = Effect.runForkWith(this.#parts.context)(Effect.scoped(read))
    return () => {
      Effect.runFork(Fiber.interrupt(fiber))
    }
  }

  #publish(message: RoomEvent<Ev>, options: MemberOptions | undefined): Effect.Effect<void, RoomError> {
    const { canPublish, channel, kind, openPublishUpTo } = this.#parts
    return Effect.withFiber((fiber) => {
      const member = this.#whoever(fiber, options)
      const request = { ref: this.ref, member, message }
      // What goes out because of it is the member's doing, whichever fiber does it.
      const onBehalf = Effect.provideService(CurrentReceiver, member)
      const broadcast = onBehalf(channel.publish(this.ref, message, { except: member }))
      const handle = kind.tell(this.name, (handlers) =>
        handlers.onMessage === undefined
          ? broadcast
          : onBehalf(
              this.#span(
                "onMessage",
                Effect.suspend(() => handlers.onMessage!(request))
              )
            )
      )
      const published = Effect.flatMap(handle, (handled) => (handled ? Effect.void : broadcast))
      const refused = Effect.suspend(() => kind.refuse(new NotAllowed({ action: "publish" })))
      if (kind.members.size(this.name) > openPublishUpTo) return refused
      return Effect.flatMap(canPublish(request), (yes) => (yes ? published : refused))
    })
  }
}

/** The face of one room. */
export const makeRoom = <E, Ev extends Events, Data>(parts: RoomParts<E, Ev, Data>, ref: Ref<E>): Room<E, Ev, Data> =>
  new Face(parts, ref)
