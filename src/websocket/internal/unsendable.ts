/**
 * Says of a message that nobody gets where it was to go: the application's own code could not make a text of it.
 */
import * as Effect from "effect/Effect"
import { everybody, type Feed } from "./wires.ts"

/** Logs the failure with the route and, where the message was for a room or key, with that. */
export const logUnsendable = (error: unknown, route: string, feed?: Feed): Effect.Effect<void> => {
  const kind = feed && { kind: feed.kind }
  const room = feed === undefined || feed.room === everybody ? undefined : { room: feed.room }
  const failed = Effect.logError("a message was published that cannot be sent", error)
  return Effect.annotateLogs(failed, { route, ...kind, ...room })
}
