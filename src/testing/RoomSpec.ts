/**
 * What a user says about a kind of room so that it can be checked: small pools to generate commands from, the bounds and
 * policies that the server promises, and, if wanted, what the handlers do.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { PublishOptions } from "../channels/Channels.ts"
import type { Receiver } from "../channels/Subscription.ts"
import type { Ref } from "../Ref.ts"
import type { Member } from "../rooms/Member.ts"
import type { Events, RoomEvent } from "../rooms/RoomApi.ts"

/** A member as policies and bodies of the model see it. */
export interface ModelMember<out Data> {
  readonly id: string
  readonly data: Data
}

/** A room as the body of the model sees it: that of `Rooms.Body`, in plain functions. */
export interface ModelRoom<Ev extends Events, Data> {
  readonly name: string
  /** In the order of their joins. */
  readonly members: ReadonlyArray<ModelMember<Data>>
  readonly broadcast: <const Name extends keyof Ev & string>(
    event: Name,
    data: Ev[Name]["Type"],
    options?: PublishOptions
  ) => void
  readonly leave: (member: Receiver, reason?: string) => boolean
  readonly close: (reason: string) => void
}

/** What handlers do with what they are told, in plain functions. */
export interface ModelHandlers<Ev extends Events, Data> {
  readonly onJoin?: ((member: ModelMember<Data>) => void) | undefined
  readonly onLeave?: ((member: ModelMember<Data>, reason: string) => void) | undefined
  /** Without it, what members publish is broadcast to the others. */
  readonly onMessage?: ((request: { readonly member: Receiver; readonly message: RoomEvent<Ev> }) => void) | undefined
}

/** What the body of a room does: runs once for each life of a room, with its state in the closure. */
export type ModelBody<Ev extends Events, Data> = (room: ModelRoom<Ev, Data>) => ModelHandlers<Ev, Data>

/** What a policy of the model is asked about. */
export interface ModelRequest<Data> {
  readonly room: string
  /** The id of the connection, or of whatever else it is. */
  readonly member: string
  /** Who is in when it asks, in the order of their joins. */
  readonly members: ReadonlyArray<ModelMember<Data>>
}

/** A room as an invariant sees it, when everything is quiet. */
export interface View<E, Ev extends Events, Data> {
  readonly ref: Ref<E>
  readonly name: string
  readonly members: ReadonlyArray<Member<Data>>
  /** What somebody who has listened since the body of the room last ran was sent, the oldest first. */
  readonly events: ReadonlyArray<RoomEvent<Ev>>
}

/** Says what a kind of room promises, and what to try on it. */
export interface RoomSpec<E, Ev extends Events, Data, R = never> {
  /** Identifiers of the rooms; two by default. */
  readonly rooms?: ReadonlyArray<string> | undefined
  /**
   * Names of those who connect; three by default. Their first connections have these ids, later ones a number behind.
   * Each listens to every room while it is connected.
   */
  readonly members?: ReadonlyArray<string> | undefined
  /** What is known of members that join. */
  readonly data: ReadonlyArray<Data>
  /** What members publish; nothing by default. */
  readonly publishes?: ReadonlyArray<RoomEvent<Ev>> | undefined
  /** What the server broadcasts beside its handlers; nothing by default. */
  readonly broadcasts?: ReadonlyArray<RoomEvent<Ev>> | undefined
  /** Members a room takes; no bound by default. */
  readonly capacity?: number | undefined
  /** Rooms there may be, those that are empty and keep their actors included; no bound by default. */
  readonly maxRooms?: number | undefined
  /** How long an empty room keeps its actor; a minute by default. */
  readonly maxIdleTime?: Duration.Input | undefined
  /** Which joins the policy lets through; all by default. */
  readonly canJoin?: ((request: ModelRequest<Data> & { readonly data: Data }) => boolean) | undefined
  /** Which publishes the policy lets through; all by default. */
  readonly canPublish?: ((request: ModelRequest<Data> & { readonly message: RoomEvent<Ev> }) => boolean) | undefined
  /**
   * What the handlers do; `"none"` for rooms without handlers. By default there are handlers, which take nobody out, and
   * what they broadcast is not foretold: that every subscriber is sent the same of it is checked all the same.
   */
  readonly body?: ModelBody<Ev, Data> | "none" | undefined
  /** Holds of every room after every command; fails or dies where it does not. */
  readonly invariant?: ((room: View<E, Ev, Data>) => Effect.Effect<void, unknown, R>) | undefined
}

/** One thing to do to the rooms. What makes no sense does nothing, so that shrinking may delete any command. */
export type Command<Ev extends Events, Data> =
  | {
      readonly _tag: "Join"
      readonly room: string
      readonly member: string
      readonly data: Data
      readonly how: JoinHow
    }
  /** Gives back what the member's last join of the room that succeeded got, or the one before; whatever became of it. */
  | {
      readonly _tag: "Leave"
      readonly room: string
      readonly member: string
      readonly join: "last" | "before"
      readonly how: LeaveHow
    }
  /** The server takes a member out of a room. */
  | { readonly _tag: "Remove"; readonly room: string; readonly member: string }
  | { readonly _tag: "LeaveAll"; readonly member: string }
  /** The connection ends; with `again`, the member is back with another. */
  | { readonly _tag: "Disconnect"; readonly member: string; readonly ending: "clean" | "lost"; readonly again: boolean }
  | { readonly _tag: "Publish"; readonly room: string; readonly member: string; readonly message: RoomEvent<Ev> }
  | {
      readonly _tag: "Broadcast"
      readonly room: string
      readonly message: RoomEvent<Ev>
      readonly except: ReadonlyArray<string>
    }
  | { readonly _tag: "Close"; readonly room: string }
  | { readonly _tag: "Pass"; readonly millis: number }

/**
 * A way to join: as the connection, in a scope or until it is left; on behalf of the fiber's connection; by its id alone,
 * as somebody who never goes by itself; or as nobody, who gets an id of its own.
 */
export type JoinHow = "scope" | "open" | "current" | "id" | "nobody"

/** A way to give a membership back; `"scope"` is `"leave"` where it was not joined in a scope. */
export type LeaveHow = "leave" | "dispose" | "scope"
