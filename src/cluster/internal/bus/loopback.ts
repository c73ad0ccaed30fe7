/**
 * Which addresses are those of this machine.
 */

const names: ReadonlySet<string> = new Set(["localhost", "::1", "[::1]"])

/** Whether what is sent to a host, or a Unix socket, stays on this machine. Names other than `localhost` are not looked up. */
export const isLoopback = (host: string): boolean =>
  names.has(host.toLowerCase()) || /^127(\.\d{1,3}){3}$/.test(host) || host.startsWith("/")

/** The host of `host:port` or a URL. */
export const hostOf = (address: string): string => {
  if (address.startsWith("unix:")) return "/"
  const text = address.includes("://") ? address : `tcp://${address}`
  return URL.canParse(text) ? new URL(text).hostname : ""
}
