/**
 * Which pages may open a WebSocket. Browsers send cookies with every WebSocket handshake and let any page open one, so
 * the server has to look at the `Origin` header itself.
 */

/** The origins a server accepts. */
export interface OriginPolicy {
  /**
   * Origins such as `"https://chat.example"`, compared as a whole: scheme, host and port. `"same-origin"` accepts a page
   * that was loaded from the host and port the WebSocket is opened on. The default is `["same-origin"]`. A handshake
   * from another gets 403 and is logged with its origin.
   */
  readonly origins?: ReadonlyArray<string> | undefined
  /** Accepts handshakes without an `Origin` header: every client that is no browser. False by default. */
  readonly allowNonBrowsers?: boolean | undefined
}

/** `scheme://host[:port]`, as browsers write it: lower case and without the scheme's default port. */
const normalise = (origin: string): string | undefined => {
  if (!URL.canParse(origin)) return undefined
  const url = new URL(origin)
  return url.origin === "null" || url.origin !== origin.toLowerCase() ? undefined : url.origin
}

const sameOrigin = (origin: string, host: string | undefined): boolean => {
  if (host === undefined) return false
  // Which scheme the browser used is not known behind a proxy that ends TLS; the host and port are what counts.
  return ["http", "https"].some((scheme) => normalise(origin) === hostOrigin(scheme, host))
}

const hostOrigin = (scheme: string, host: string): string | undefined =>
  URL.canParse(`${scheme}://${host}`) ? new URL(`${scheme}://${host}`).origin : undefined

/** Compiles a policy. Throws a `TypeError` for an entry that is no origin, so that a typo is found at start. */
export const compile = (policy: OriginPolicy): ((origin: string | undefined, host: string | undefined) => boolean) => {
  const entries = policy.origins ?? ["same-origin"]
  const allowed = new Set<string>()
  for (const entry of entries) {
    if (entry === "same-origin") continue
    const origin = entry.includes("*") ? undefined : normalise(entry)
    if (origin === undefined) throw new TypeError(`not an origin (scheme://host[:port], nothing else): ${entry}`)
    allowed.add(origin)
  }
  const same = entries.includes("same-origin")
  return (origin, host) => {
    if (origin === undefined) return policy.allowNonBrowsers === true
    const normalised = normalise(origin)
    if (normalised === undefined) return false
    return allowed.has(normalised) || (same && sameOrigin(normalised, host))
  }
}
