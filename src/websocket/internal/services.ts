/**
 * The services of a session: those of its request, held by what they have in common with all others.
 *
 * A request's context is a table of its own with everything in it. There is one for each connection, so a session keeps
 * what differs and shares the rest.
 */
import * as Context from "effect/Context"
import * as HttpServerRequest from "effect/http/HttpServerRequest"

/** Kept by Effect's server for the answer of a request, which has been given. */
const ofTheAnswer = "effect/http/HttpEffect/CurrentRequestState"

/** Makes the base that sessions share. */
export const shared = (context: Context.Context<never>): Context.Context<never> =>
  // Deep enough for what is added to it, so that none of it makes a copy of the table.
  Context.makeUnsafe(new Map(context.mapUnsafe), { maxDepth: 64 })

/** The services of one request on top of a base, with the request as it is kept. */
export const over = (
  base: Context.Context<never>,
  context: Context.Context<never>,
  request: HttpServerRequest.HttpServerRequest
): Context.Context<never> => {
  let services = base
  const known = base.mapUnsafe
  // Not a loop over its entries, each of which would be an array.
  context.mapUnsafe.forEach((given, key) => {
    const service: unknown = key === HttpServerRequest.HttpServerRequest.key ? request : given
    if (key !== ofTheAnswer && known.get(key) !== service) services = Context.addUnsafe(services, key, service)
  })
  return services
}
