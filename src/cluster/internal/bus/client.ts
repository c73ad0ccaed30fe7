/**
 * Loads the client of a broker when its bus is made: it is an optional package, installed by those who use that bus.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"

/** Whether it is this package that is not there, and not something else it needs. */
const isMissing = (name: string, error: unknown): boolean =>
  error instanceof Error &&
  Predicate.hasProperty(error, "code") &&
  error.code === "ERR_MODULE_NOT_FOUND" &&
  [`'${name}'`, `"${name}"`, `'${name}/`].some((quoted) => error.message.includes(quoted))

/** Imports what needs the package. Dies when that cannot be; where the package is missing, with how to install it. */
export const load = <A>(bus: string, name: string, importing: () => Promise<A>): Effect.Effect<A> =>
  Effect.catchDefect(Effect.promise(importing), (cause) =>
    Effect.die(
      isMissing(name, cause)
        ? new Error(`${bus} needs the package ${name}, which is not installed: npm install ${name}`, { cause })
        : cause
    )
  )
