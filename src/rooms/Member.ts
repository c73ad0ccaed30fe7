/**
 * A member of a room, as others see it.
 */
import type * as DateTime from "effect/DateTime"

/** One member of one room. */
export interface Member<out Data> {
  /** The id of the connection, or whatever else joined. */
  readonly id: string
  readonly data: Data
  /** Wall time, for display. A member that joins again keeps it. */
  readonly joinedAt: DateTime.Utc
}

/** One member of one room on whatever node. */
export interface ClusterMember<out Data> extends Member<Data> {
  /** The node that has it, named by its epoch as in `Cluster.nodes`; `"local"` without a cluster. */
  readonly node: string
}
