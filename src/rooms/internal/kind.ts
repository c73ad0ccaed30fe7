/**
 * All rooms of one kind on this node: members, actors, and the steps of joining and publishing.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import type { Receiver } from "../../channels/Subscription.ts"
import { MemberGone, RoomBusy, RoomClosed, RoomError, RoomFull, TooManyRooms } from "../RoomError.ts"
import { Actor, type Part } from "./actor.ts"
import { Level } from "../../internal/tally.ts"
import type { Turn } from "../../internal/turn.ts"
import { Held, Members, toMember } from "./members.ts"
import * as metrics from "./metrics.ts"
import type { ClusterMember, Member } from "../Member.ts"
import type { Roster } from "./roster.ts"

/** What the handlers of a room are told, whatever else they know. */
export interface MemberHandlers<Data> {
  readonly onJoin?: ((member: Member<Data>) => Effect.Effect<void>) | undefined
  readonly onLeave?: ((member: Member<Data>, reason: string) => Effect.Effect<void>) | undefined
}

export interface KindOptions<Data, H> {
  readonly name: string
  readonly roster: Roster<Data>
  readonly capacity: number
  readonly maxRooms: number
  readonly mailboxCapacity: number
  readonly maxIdleTime: Duration.Duration
  readonly defectRetryPolicy: Schedule.Schedule<unknown>
  /** The body of the room with this identifier; undefined for rooms without handlers. */
  readonly body: ((identifier: string) => Effect.Effect<H, never, Scope.Scope>) | undefined
  readonly clock: Clock.Clock
  readonly turn: Turn
  readonly context: Context.Context<never>
}

const stopping = "the server stops"

const sentences: Readonly<Record<Part, string>> = {
  body: "the body of ROOM failed",
  handler: "a handler of ROOM died",
  finalizer: "a finalizer of ROOM died"
}

export class Kind<Data, H extends MemberHandlers<Data>> {
  readonly #options: KindOptions<Data, H>
  readonly #actors = new Map<string, Actor<H>>()
  readonly #attributes: { readonly kind: string }
  readonly members: Members<Data>
  readonly #mailboxes: Level
  #closed = false

  constructor(options: KindOptions<Data, H>) {
    const { roster } = options
    this.#options = options
    this.#attributes = { kind: options.name }
    const gauge = (metric: Metric.Gauge<number>) => {
      const labelled = Metric.withAttributes(metric, this.#attributes)
      let value = 0
      return (change: number) => labelled.updateUnsafe((value += change), options.context)
    }
    const memberships = gauge(metrics.roomMembers)
    const rooms = gauge(metrics.rooms)
    const mailboxes = Metric.withAttributes(metrics.mailboxDepth, this.#attributes)
    this.#mailboxes = new Level(mailboxes, options.context, options.turn)
    this.members = new Members<Data>({
      onJoined: (identifier, joined) => {
        roster.joined(identifier, joined)
        memberships(1)
        if (this.members.size(identifier) === 1) rooms(1)
        this.#actors
          .get(identifier)
          ?.offer((handlers) => this.#handling("onJoin", handlers.onJoin && (() => handlers.onJoin!(toMember(joined)))))
      },
      onJoinedAgain: (identifier, joined) => roster.joined(identifier, joined),
      onLeft: (identifier, left, reason) => {
        roster.left(identifier, left.member)
        memberships(-1)
        if (this.members.size(identifier) === 0) rooms(-1)
        this.#actors
          .get(identifier)
          ?.offer((handlers) =>
            this.#handling("onLeave", handlers.onLeave && (() => handlers.onLeave!(toMember(left), reason)))
          )
      }
    })
  }

  get actorCount(): number {
    return this.#actors.size
  }

  /** Whether one more room would be too many; those that are empty and keep their actors count. */
  #takesNoMore(identifier: string): boolean {
    if (this.members.size(identifier) > 0 || this.#actors.has(identifier)) return false
    return Math.max(this.members.roomCount, this.#actors.size) >= this.#options.maxRooms
  }

  /**
   * Traces what is done in or with a room, by kind and never by name; where somebody traces, since a span costs more
   * than most of what is traced.
   */
  span<A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber) =>
      fiber.cache.tracer === undefined
        ? effect
        : Effect.withSpan(effect, `Rooms.${name}`, { attributes: this.#attributes, captureStackTrace: false })
    )
  }

  /** A handler that throws before it returns an effect has died within its span. */
  #handling(name: string, handle: (() => Effect.Effect<void>) | undefined): Effect.Effect<void> {
    return handle === undefined ? Effect.void : this.span(name, Effect.suspend(handle))
  }

  /** Fails with a reason, and counts it. */
  refuse(reason: RoomError["reason"]): Effect.Effect<never, RoomError> {
    const refusals = Metric.withAttributes(metrics.roomRefusals, { ...this.#attributes, reason: reason._tag })
    return Effect.andThen(Metric.update(refusals, 1), Effect.fail(new RoomError({ reason })))
  }

  /** The actor of a room once its body has run, started if there is none; undefined for rooms without handlers. */
  actor(identifier: string): Effect.Effect<Actor<H> | undefined, RoomError> {
    return Effect.withFiber((fiber) => {
      if (this.#closed) return this.refuse(new RoomClosed({ reason: stopping }))
      if (this.#options.body === undefined) return Effect.undefined
      const current = this.#actors.get(identifier)
      if (current?.isRunBy(fiber) === true) this.#refuseOwn(identifier, current)
      // A body begins when everything the one before it acquired has been released.
      if (current?.idled === true) return Effect.andThen(current.over, this.actor(identifier))
      if (this.#takesNoMore(identifier)) return this.refuse(new TooManyRooms({ of: "server" }))
      const actor = current ?? this.#start(identifier, this.#options.body(identifier))
      if (actor.ended) return this.refuse(new RoomClosed({ reason: actor.reason }))
      return Effect.flatMap(actor.ready, (ready) => {
        if (ready) return Effect.succeed(actor)
        return actor.idled ? this.actor(identifier) : this.refuse(new RoomClosed({ reason: actor.reason }))
      })
    })
  }

  /** Throws where the fiber of an actor would wait for itself. */
  #refuseOwn(identifier: string, actor: Actor<H>): void {
    if (actor.idled) {
      const why = "which begins again only when its finalizers have run"
      throw new Error(`a finalizer of ${this.#nameOf(identifier)} joins its own room, ${why}`)
    }
    if (actor.isReady) return
    const why = "whose joins wait for it: let a handler do that"
    throw new Error(`the body of ${this.#nameOf(identifier)} joins its own room, ${why}`)
  }

  /** A room as logs name it. */
  #nameOf(identifier: string): string {
    return `room ${identifier} of kind ${this.#options.name}`
  }

  #start(identifier: string, body: Effect.Effect<H, never, Scope.Scope>): Actor<H> {
    const { context, defectRetryPolicy, mailboxCapacity, maxIdleTime } = this.#options
    const defects = Metric.withAttributes(metrics.roomDefects, this.#attributes)
    const actor: Actor<H> = new Actor<H>(
      {
        body,
        mailboxCapacity,
        maxIdleTime,
        defectRetryPolicy,
        onWaiting: (change) => this.#mailboxes.add(change),
        isIdle: () => this.members.size(identifier) === 0,
        onDefect: (part, cause) =>
          Effect.andThen(
            Metric.update(defects, 1),
            Effect.logError(
              sentences[part].replace("ROOM", () => this.#nameOf(identifier)),
              cause
            )
          ),
        onEnd: () => {
          this.#actors.delete(identifier)
          // Nobody is in any more, unless the body failed for good.
          this.#takeOut(identifier, actor.reason)
        },
        scheduler: Context.get(context, Scheduler.Scheduler)
      },
      // Known before it runs, since its body may ask for the room.
      (run) => Effect.runForkWith(context)(Effect.andThen(Effect.yieldNow, run))
    )
    this.#actors.set(identifier, actor)
    return actor
  }

  /** Whether rooms have no handlers, so that nothing has to be waited for when somebody joins. */
  get isPlain(): boolean {
    return this.#options.body === undefined
  }

  /**
   * Takes a place in a room, in one step with every check. The membership ends with the member, in the very step in
   * which it goes.
   */
  join(
    identifier: string,
    member: Receiver,
    data: Data,
    attach: (() => () => void) | undefined,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<Held<Data>, RoomError> {
    return Effect.flatMap(restore(this.actor(identifier)), (actor) => {
      // It may have ended while we were told that it is ready.
      if (actor?.idled === true) return this.join(identifier, member, data, attach, restore)
      if (actor?.ended === true) return this.refuse(new RoomClosed({ reason: actor.reason }))
      if (actor?.busy === true) {
        return this.refuse(new RoomBusy({ mailboxCapacity: this.#options.mailboxCapacity }))
      }
      const joined = this.enter(identifier, member, data, attach)
      return joined instanceof Held ? Effect.succeed(joined) : this.refuse(joined)
    })
  }

  /** The step of the join, for a room that is live or has no handlers; answers why there is no place for the member. */
  enter(
    identifier: string,
    member: Receiver,
    data: Data,
    attach: (() => () => void) | undefined
  ): Held<Data> | RoomError["reason"] {
    if (this.#closed) return new RoomClosed({ reason: stopping })
    const { capacity, clock } = this.#options
    if (this.#takesNoMore(identifier)) return new TooManyRooms({ of: "server" })
    const joined = this.members.join(identifier, member, data, clock.currentTimeMillisUnsafe(), capacity, attach)
    if (joined === "full") return new RoomFull({ capacity })
    return joined === "gone" ? new MemberGone({}) : joined
  }

  /** Takes a member out of a room: one of this node, or else one that others are known to have. */
  leave(identifier: string, member: Receiver | ClusterMember<unknown>, reason: string): boolean {
    const { roster } = this.#options
    const node = "node" in member ? member.node : undefined
    const isHere = node === undefined || roster.isHere(node)
    return (
      (isHere && this.members.leave(identifier, member.id, reason)) || roster.leave(identifier, member.id, reason, node)
    )
  }

  /** Gives the handlers of a live room a turn; false where the kind has none. */
  tell(identifier: string, job: (handlers: H) => Effect.Effect<void>): Effect.Effect<boolean, RoomError> {
    return Effect.suspend(() => {
      if (this.#options.body === undefined) return Effect.succeed(false)
      const actor = this.#actors.get(identifier)
      // What handlers are there to look at must not pass them by because they are not there.
      if (actor === undefined || actor.idled) return this.refuse(new RoomClosed({ reason: "nobody is in it" }))
      if (actor.ended) return this.refuse(new RoomClosed({ reason: actor.reason }))
      if (actor.busy) return this.refuse(new RoomBusy({ mailboxCapacity: this.#options.mailboxCapacity }))
      actor.offer(job)
      return Effect.succeed(true)
    })
  }

  /** Takes everybody out; the actor ends when its mailbox is empty. */
  close(identifier: string, reason: string): void {
    this.#takeOut(identifier, reason)
    this.#actors.get(identifier)?.end(reason)
  }

  #takeOut(identifier: string, reason: string): void {
    for (const { id } of this.members.of(identifier)) this.members.leave(identifier, id, reason)
  }

  /** No room takes anybody any more. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.#closed = true
    const actors = Array.from(this.#actors.values())
    for (const [identifier] of this.members.rooms) this.#takeOut(identifier, stopping)
    return Effect.forEach(actors, (actor) => actor.stop(stopping), { concurrency: "unbounded", discard: true })
  })
}
