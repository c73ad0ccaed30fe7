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
