/**
 * How joining a room and publishing to it can fail.
 */
import * as Schema from "effect/Schema"

/** The room has as many members as it takes. */
export class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {
  override get message(): string {
    return `the room is full: it takes ${this.capacity} members`
  }
}

/** The room's handlers are behind by as many messages as its mailbox takes; try again. */
export class RoomBusy extends Schema.TaggedError<RoomBusy>()("RoomBusy", { mailboxCapacity: Schema.Int }) {
  override get message(): string {
    return `the room is busy: ${this.mailboxCapacity} messages wait for its handlers`
  }
}

/** The room's policy said no. */
export class NotAllowed extends Schema.TaggedError<NotAllowed>()("NotAllowed", {
  action: Schema.Literals(["join", "publish"])
}) {
  override get message(): string {
    return `not allowed to ${this.action}`
  }
}

/** The room was closed, or its body failed for good, while this was under way. */
export class RoomClosed extends Schema.TaggedError<RoomClosed>()("RoomClosed", { reason: Schema.String }) {
  override get message(): string {
    return `the room is closed: ${this.reason}`
  }
}

/** The member is in, or the server holds, as many rooms as the bounds take. */
export class TooManyRooms extends Schema.TaggedError<TooManyRooms>()("TooManyRooms", {
  of: Schema.Literals(["member", "server"])
}) {
  override get message(): string {
    return this.of === "member" ? "the member is in as many rooms as it may be" : "there are as many rooms as may be"
  }
}

/** Whoever was to join joins more often than it may; try again later. */
export class TooManyJoins extends Schema.TaggedError<TooManyJoins>()("TooManyJoins", {}) {
  override get message(): string {
    return "the member joins rooms too often"
  }
}

/** Whoever was to join has gone meanwhile; nothing of it stays behind. */
export class MemberGone extends Schema.TaggedError<MemberGone>()("MemberGone", {}) {
  override get message(): string {
    return "the member has gone"
  }
}

/** The cluster refused what this takes: the bus does not let this node hear the room, or another node could not do it. */
export class ClusterRefused extends Schema.TaggedError<ClusterRefused>()("ClusterRefused", { detail: Schema.String }) {
  override get message(): string {
    return `the cluster refused: ${this.detail}`
  }
}

/** Another node was asked and did not answer in time; whether it has done it is not known. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { node: Schema.String }) {
  override get message(): string {
    return `the node ${this.node} did not answer in time`
  }
}

/** Fails joining or publishing; `reason` says why. */
export class RoomError extends Schema.TaggedError<RoomError>()("RoomError", {
  reason: Schema.Union([
    RoomFull,
    RoomBusy,
    NotAllowed,
    RoomClosed,
    MemberGone,
    TooManyRooms,
    TooManyJoins,
    ClusterRefused,
    NoAnswer
  ])
}) {
  override get message(): string {
    return this.reason.message
  }
}
