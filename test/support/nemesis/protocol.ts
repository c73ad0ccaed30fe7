/**
 * What the nodes of the fault test and their clients say to each other.
 */

/** Rooms of the test by number. */
export const roomName = (index: number): string => `room-${index}`

/** The two feeds of a room: what is published to its channel, and the events of its hall. */
export const feedsOf = (room: string): readonly [line: string, hall: string] => [`line/${room}`, `hall/${room}`]

export type FromClient =
  /** Lets it into the rooms it has named. */
  | { readonly type: "enter" }
  /** Says something to a feed. */
  | { readonly type: "say"; readonly kind: "line" | "hall"; readonly room: string; readonly seq: number }

export type FromNode =
  /** The connection is in all of its rooms. */
  | { readonly type: "entered" }
  | { readonly type: "said"; readonly feed: string; readonly by: string; readonly seq: number }
  | {
      readonly type: "acked"
      readonly feed: string
      readonly seq: number
      readonly reached: "everyone" | "local-only" | "here"
    }
  | { readonly type: "gap"; readonly feed: string; readonly missed: number; readonly reason: "slow" | "network" }
  | { readonly type: "error"; readonly code: string; readonly message: string }

/** What a node needs to know, in its environment. */
export interface NodeSettings {
  readonly NODE_NAME: string
  /** The address of the broker. */
  readonly BUS: string
  readonly CLUSTER_SECRET: string
  /** How many rooms there are. */
  readonly ROOMS: string
}
