/**
 * The services of a session: those of its request, held by what they have in common with all others.
 *
 * A request's context is a table of its own with everything in it. There is one for each connection, so a session keeps
 * what differs and shares the rest.
 */
import * as Context from "effect/Context"

/** Kept by Effect's server for the answer of a request, which has been given. */
const ofTheAnswer = "effect/http/HttpEffect/CurrentRequestState"

/** Makes the base that sessions share. */
export const shared = (context: Context.Context<never>): Context.Context<never> =>
  // Deep enough for what is added to it, so that none of it makes a copy of the table.
  Context.makeUnsafe(new Map(context.mapUnsafe), { maxDepth: 64 })

/** The services of one request on top of a base. */
export const over = (base: Context.Context<never>, request: Context.Context<never>): Context.Context<never> => {
  let services = base
  for (const [key, service] of request.mapUnsafe) {
    if (key !== ofTheAnswer && base.mapUnsafe.get(key) !== service) services = Context.addUnsafe(services, key, service)
  }
  return services
}
