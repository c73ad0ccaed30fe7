/**
 * The names of the parameters in a path, read as `HttpRouter` reads them: a schema under another name would refuse every
 * request.
 */

/** The router takes one that is optional, at the end of a path, as two paths. */
const optional = /(\/:[^/()]*?)\?(\/?)/

/** The place behind the parenthesis that closes the one at a place. */
const behindParenthesis = (path: string, start: number): number => {
  let depth = 0
  for (let at = start; at < path.length; at++) {
    if (path[at] === "\\") at++
    else if (path[at] === "(") depth++
    else if (path[at] === ")" && --depth === 0) return at + 1
  }
  return path.length
}

const endOfName = (path: string, start: number): number => {
  let at = start
  while (at < path.length && !"(-./".includes(path[at]!)) at++
  return at
}

/** Reads a segment from its first parameter on, where a star is a star; answers where it ends. */
const readSegment = (path: string, start: number, names: Array<string>): number => {
  let at = start
  while (at < path.length && path[at] !== "/") {
    if (path[at] !== ":") at++
    else if (path[at + 1] === ":" && at > start) at += 2
    else {
      const end = endOfName(path, at + 1)
      names.push(path.slice(at + 1, end))
      at = path[end] === "(" ? behindParenthesis(path, end) : end
    }
  }
  return at
}

/** The names of a path's parameters, in their order; a wildcard is called `*`. */
export const parametersOf = (path: string): ReadonlyArray<string> => {
  const names: Array<string> = []
  const whole = path.replace(optional, "$1$2")
  let at = 0
  while (at < whole.length) {
    if (whole.startsWith("::", at)) at += 2
    else if (whole[at] === ":") at = readSegment(whole, at, names)
    else if (whole[at++] === "*") names.push("*")
  }
  return names
}

const listed = (names: ReadonlyArray<string>, word: string): string =>
  names.length === 0 ? "none" : names.map((name) => JSON.stringify(name)).join(` ${word} `)

/** Throws a `TypeError` that says which schemas are for parameters the path does not have. */
export const checkParameters = (path: string, schemas: Readonly<Record<string, unknown>> | undefined): void => {
  const names = parametersOf(path)
  const missing = Object.keys(schemas ?? {}).filter((name) => !names.includes(name))
  if (missing.length === 0) return
  throw new TypeError(
    `the path ${path} has no parameter named ${listed(missing, "or")}; it has ${listed(names, "and")}`
  )
}
