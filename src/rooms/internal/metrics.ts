/**
 * Metrics of rooms; labelled by kind of room, never by room or member.
 */
import * as Metric from "effect/Metric"

/** Handlers and bodies of rooms that died, by kind of room. */
export const roomDefects = Metric.counter("effect_rooms_room_defects", {
  description: "bodies and handlers of rooms that died",
  incremental: true
})

/** Joins and publishes that were refused, by kind of room and reason. */
export const roomRefusals = Metric.counter("effect_rooms_room_refusals", {
  description: "joins and publishes that rooms refused",
  incremental: true
})

/** Members of rooms on this node, by kind of room. */
export const roomMembers = Metric.gauge("effect_rooms_room_members", { description: "members of rooms on this node" })

/** Rooms with members on this node, by kind of room. */
export const rooms = Metric.gauge("effect_rooms_rooms", { description: "rooms with members on this node" })

/** Jobs that wait for the handlers of rooms, by kind of room. */
export const mailboxDepth = Metric.gauge("effect_rooms_mailbox_depth", {
  description: "joins, leaves and messages that wait for the handlers of rooms"
})

/** Members of rooms on other nodes, as far as they are known here, by kind of room. */
export const membersElsewhere = Metric.gauge("effect_rooms_room_members_elsewhere", {
  description: "members of rooms on other nodes"
})

/** Members other nodes could not be told of wholly, or were told of in words not understood, by kind and reason. */
export const rosterFailures = Metric.counter("effect_rooms_roster_failures", {
  description: "members that could not be told to, or understood from, other nodes",
  incremental: true
})
