/**
 * One room as its users see it: membership, events, and what the handlers of a live room are told.
 */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { PublishOptions, ReadError, SubscribeOptions } from "../channels/Channels.ts"
import type { Attach } from "../channels/Sink.ts"
import type { Receiver, Subscription } from "../channels/Subscription.ts"
import type { Ref } from "../Ref.ts"
import type { ClusterMember, Member } from "./Member.ts"
import type { Events, RoomApi, RoomEvent } from "./RoomApi.ts"
import type { RoomError } from "./RoomError.ts"

/** A place in a room; given back when its scope closes, when it is disposed, or when the member is gone. */
export interface Membership<E, Data> extends Disposable {
  readonly ref: Ref<E>
  readonly member: Member<Data>
  /** Gives the place back. False when it was no longer held; a later join of the same member is not touched. */
  readonly leave: () => boolean
  /**
   * Waits until the place is no longer held, and answers why; at once where that is so already.
   *
   * With the reason `onLeave` is told, or one it is not told: `"replaced"` where the member has joined again, which
   * holds the place from then on, `"its body failed"` where the room's handlers failed for good, `"the server stops"`.
   * What follows it runs after the step in which the place was lost.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { Room } from "effect-rooms"
   *
   * // Works until the member is out, also where somebody else takes it out.
   * export const whileIn = <E, Data>(membership: Room.Membership<E, Data>, work: Effect.Effect<void>) =>
   *   Effect.flatMap(
   *     Effect.raceFirst(Effect.as(work, "done"), membership.ended),
   *     (reason) => (reason === "removed" ? Effect.logInfo("taken out") : Effect.void)
   *   )
   * ```
   */
  readonly ended: Effect.Effect<string>
}

/** Options of a single publish on behalf of a member. */
export interface MemberOptions {
  /** Who it is; by default the connection on whose behalf the fiber works, or else a member with an id of its own. */
  readonly as?: Receiver | undefined
}

/** Options of a single join. */
export interface JoinOptions<Ev extends Events> extends MemberOptions {
  /**
   * For transports: attaches the member to the room's events in the step of the join, and detaches it in the step in
   * which the membership ends. It must not throw.
   */
  readonly attach?: ((attach: Attach<RoomEvent<Ev>>) => () => void) | undefined
}

/** What a policy is asked about. */
export interface JoinRequest<E, Data> {
  readonly ref: Ref<E>
  readonly member: Receiver
  readonly data: Data
}

/** What a policy is asked about, and what a handler is told. */
export interface PublishRequest<E, Ev extends Events> {
  readonly ref: Ref<E>
  readonly member: Receiver
  readonly message: RoomEvent<Ev>
}

/** Handlers of a live room, one at a time and in arrival order; one that dies is logged with the room, and counted. */
export interface Handlers<E, Ev extends Events, Data> {
  /**
   * A member has come. One that joins again while it is in has new data and no second place: this is not called, and
   * `members` has the new data from then on, as `onLeave` will.
   */
  readonly onJoin?: ((member: Member<Data>) => Effect.Effect<void>) | undefined
  /**
   * A member is out. The reason is
   *
   * - `"left"`: it gave its place back, or the scope it joined in closed;
   * - `"gone"`: its connection ended;
   * - `"removed"`, or what the caller said: it was taken out, by `leave` or `leaveAll` of the rooms or by that of
   *   `Connections`;
   * - what the caller of `close` said.
   */
  readonly onLeave?: ((member: Member<Data>, reason: string) => Effect.Effect<void>) | undefined
  /** What members publish. Without it, it is broadcast to the others. */
  readonly onMessage?: ((request: PublishRequest<E, Ev>) => Effect.Effect<void>) | undefined
}

/** How many members a room has on all nodes, as far as this one knows. */
export interface Count {
  /** A member of two nodes counts twice. */
  readonly members: number
  /** Wall time: what other nodes have told up to then is counted. Without a cluster it is now. */
  readonly asOf: DateTime.Utc
  /**
   * Nodes, named by their epochs as in `Cluster.nodes`, whose members are not all known: what they have told has not
   * arrived wholly, or they are leaving. Those of a node that is down are not counted.
   */
  readonly staleNodes: ReadonlyArray<string>
}

/** One room, whether it is live or not: asking for it creates nothing. */
export interface Room<E, Ev extends Events, Data> {
  readonly ref: Ref<E>
  /** The kind of room. */
  readonly api: RoomApi<E, Ev, Data>
  /** The identifier of the reference. */
  readonly name: string
  /**
   * Joins until the scope closes. Fails with `RoomError`: the policy refused, the room is full, busy or closed, the
   * member is gone or joins too much, or the cluster's bus refused; then nothing stays behind. A member is sent nothing
   * by itself: it subscribes, or joins through the `join` of its session.
   *
   * A member that joins again while it is in gets its new data and no second place: policies are asked, `onJoin` is not
   * called, and the membership it had so far has ended as `"replaced"`.
   */
  readonly join: (data: Data, options?: JoinOptions<Ev>) => Effect.Effect<Membership<E, Data>, RoomError, Scope.Scope>
  /** Joins until the caller leaves or disposes the membership; for code outside of scopes. */
  readonly open: (data: Data, options?: JoinOptions<Ev>) => Effect.Effect<Membership<E, Data>, RoomError>
  /**
   * Takes a member out, for a reason that `onLeave` and `Membership.ended` are told; `"removed"` by default. False when
   * it was not in.
   *
   * One of another node, as far as this one knows (see `everyone`), is taken out there a moment later: true then says
   * that its node was asked, once, which does nothing where the member has left by itself or the node is not reached. A
   * member of this and of other nodes is taken out here only. One that `everyone` has listed is taken out of the room
   * on its own node.
   */
  readonly leave: (member: Receiver | ClusterMember<unknown>, reason?: string) => Effect.Effect<boolean>
  /** The members on this node, in the order of their joins. */
  readonly members: Effect.Effect<ReadonlyArray<Member<Data>>>
  /** The number of members on this node. */
  readonly size: Effect.Effect<number>
  /**
   * The number of members on all nodes. Answers at once from what this node knows, and never waits for another; what
   * happens elsewhere is known here a moment later.
   */
  readonly count: Effect.Effect<Count>
  /**
   * The members on all nodes, those of this one first, each node's in the order of their joins; answers like `count`.
   * One whose data this node's schema cannot decode, or whose data has more than 16,384 characters in JSON, is counted
   * and not listed.
   */
  readonly everyone: Effect.Effect<ReadonlyArray<ClusterMember<Data>>>
  /**
   * Emits the count at once, and again when the number of members has changed: at most once per 100 milliseconds, and
   * only the latest to a slow reader. Every run follows anew; ends with the rooms.
   */
  readonly countChanges: Stream.Stream<Count>
  /** Publishes an event to every subscription of the room. Does not fail and asks no policy: it is the server's. */
  readonly broadcast: <const Name extends keyof Ev & string>(
    event: Name,
    data: Ev[Name]["Type"],
    options?: PublishOptions
  ) => Effect.Effect<void>
  /**
   * Publishes an event on behalf of a member: asks the policy, then hands it to `onMessage`, or without that
   * broadcasts it to the others. Returns when it was accepted, not when it was handled. Fails with `RoomError`; a room
   * with handlers that is not live is closed to it. Whoever publishes need not be in: a policy can ask for that.
   */
  readonly publish: <const Name extends keyof Ev & string>(
    event: Name,
    data: Ev[Name]["Type"],
    options?: MemberOptions
  ) => Effect.Effect<void, RoomError>
  /**
   * Subscribes to the events of the room, like `Channels.subscribe`; or, given a function, calls it with every event
   * until the returned function is called. A function that throws is logged and called with the next.
   */
  readonly subscribe: {
    (handler: (event: RoomEvent<Ev>) => void): () => void
    <const O extends SubscribeOptions<RoomEvent<Ev>>>(
      options?: O
    ): Effect.Effect<Subscription<RoomEvent<Ev>, ReadError<O>>, never, Scope.Scope>
  }
  /**
   * Takes every member of this node out, ends the actor when its mailbox is empty, and refuses joins until then.
   *
   * Other nodes are not touched: they have members and an actor of their own. To close a room on all of them, tell them
   * by a channel that each listens to.
   */
  readonly close: (reason: string) => Effect.Effect<void>
}
