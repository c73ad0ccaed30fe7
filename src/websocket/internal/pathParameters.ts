/**
 * Schemas for parameters a path does not have: each request would be refused, so it is said where the route is made.
 */

/** What may stand behind a name in a path of `HttpRouter`. */
const ends = "(-./?"

/** In front of a parameter; two colons are one in the path. */
const isEscaped = (before: string): boolean => /(?:^|[^:])(?:::)*:$/.test(before)

const has = (path: string, name: string): boolean => {
  if (name === "" || name === "*") return name === "*" && path.includes("*")
  const parts = path.split(`:${name}`)
  return parts.some(
    (rest, index) => index > 0 && !isEscaped(parts[index - 1]!) && (rest === "" || ends.includes(rest[0]!))
  )
}

/** As far as a person has to be told. */
const namesIn = (path: string): ReadonlyArray<string> => path.match(/(?<=:)[^:(\-./?*]+|\*/g) ?? []

const listed = (names: ReadonlyArray<string>, word: string): string =>
  names.length === 0 ? "none" : names.map((name) => JSON.stringify(name)).join(` ${word} `)

/** Throws a `TypeError` that says which schemas are for parameters the path does not have. */
export const checkParameters = (path: string, schemas: Readonly<Record<string, unknown>> | undefined): void => {
  const missing = Object.keys(schemas ?? {}).filter((name) => !has(path, name))
  if (missing.length === 0) return
  throw new TypeError(
    `the path ${path} has no parameter named ${listed(missing, "or")}; it has ${listed(namesIn(path), "and")}`
  )
}
