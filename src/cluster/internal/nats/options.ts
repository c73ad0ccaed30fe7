/**
 * What a program says of its NATS, and what the driver makes of it.
 */
import type * as Nats from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type { NatsConfig } from "./dial.ts"
import { isPrefix } from "./subject.ts"

/** Where NATS is, and how it is used. */
export interface NatsOptions {
  /** `host:port` or `nats://host:port`, several for a cluster, also as one text with commas; no credentials. */
  readonly servers: string | ReadonlyArray<string>
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly token?: Redacted.Redacted | undefined
  /** What is in a `.creds` file: a JWT and the seed of its key. */
  readonly credentials?: Redacted.Redacted | undefined
  /** The seed of an NKey. */
  readonly seed?: Redacted.Redacted | undefined
  /** What TLS needs, such as `ca`; `{}` insists on TLS. A server that demands TLS gets it in any case. */
  readonly tls?: Nats.TlsOptions | undefined
  /** Names the connection in what NATS shows of it; `effect-rooms` by default. */
  readonly name?: string | undefined
  /**
   * The first token of all subjects; `er1` by default. A node needs permission to publish and to subscribe to `er1.>`.
   */
  readonly prefix?: string | undefined
  /**
   * Whether NATS sends a node what it published itself; true by default. Without it the bus cannot test by messages to
   * itself whether it still hears, and goes by what it can publish.
   */
  readonly echo?: boolean | undefined
  /** How long dialling one server and logging in may take together; 2 seconds by default, so that others are tried. */
  readonly connectTimeout?: Duration.Input | undefined
}

const bytesOf = (secret: Redacted.Redacted) => () => new TextEncoder().encode(Redacted.value(secret))

const authenticators = (nats: typeof Nats, options: NatsOptions): Array<Nats.Authenticator> => {
  const { credentials, password, seed, token, username } = options
  const passwordOf = password && (() => Redacted.value(password))
  return [
    ...(username === undefined ? [] : [nats.usernamePasswordAuthenticator(username, passwordOf)]),
    ...(token === undefined ? [] : [nats.tokenAuthenticator(() => Redacted.value(token))]),
    ...(credentials === undefined ? [] : [nats.credsAuthenticator(bytesOf(credentials))]),
    ...(seed === undefined ? [] : [nats.nkeyAuthenticator(bytesOf(seed))])
  ]
}

/** Throws when the options cannot be right; repeats no address that could hold a password. */
export const configOf = (nats: typeof Nats, options: NatsOptions): NatsConfig => {
  const { echo = true, name = "effect-rooms", prefix = "er1", servers: given, tls } = options
  const servers = (typeof given === "string" ? given.split(",") : given).map((server) => server.trim())
  if (servers.length === 0 || servers.includes("")) throw new TypeError("servers must name at least one server of NATS")
  if (servers.some((server) => server.includes("@"))) {
    throw new TypeError(
      "an address of a NATS server has credentials in it: give them as username and password, or token"
    )
  }
  if (!isPrefix(prefix)) throw new TypeError(`prefix must be 1 to 64 letters, digits, "_" or "-", not "${prefix}"`)
  const connectMillis = Duration.toMillis(Duration.fromInputUnsafe(options.connectTimeout ?? "2 seconds"))
  if (!(connectMillis > 0 && connectMillis < 2 ** 31)) {
    throw new RangeError("connectTimeout must be longer than nothing and shorter than 24 days")
  }
  return { nats, servers, authenticator: authenticators(nats, options), tls, name, prefix, echo, connectMillis }
}
