/**
 * What the driver makes of what a program says of its NATS.
 */
import type * as Nats from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type { NatsOptions } from "./options.ts"
import { isPrefix } from "./subject.ts"

/** What a driver has to know of its NATS. */
export interface NatsConfig {
  /** The client library, loaded by whoever uses this bus. */
  readonly nats: typeof Nats
  readonly servers: ReadonlyArray<string>
  /** Says who we are; reads secrets when it is called. */
  readonly authenticator: Array<Nats.Authenticator>
  readonly tls: Nats.TlsOptions | undefined
  readonly name: string
  /** The first token of every subject. */
  readonly prefix: string
  readonly echo: boolean
  /** For one server; an attempt may come to several. */
  readonly connectMillis: number
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

/** Variables of the environment that are not set are no texts, whatever their types say. */
const serversOf = (given: unknown): ReadonlyArray<string> => {
  const servers: ReadonlyArray<unknown> =
    typeof given === "string" ? given.split(",") : Array.isArray(given) ? given : []
  return servers.map((server) => (typeof server === "string" ? server.trim() : ""))
}

/** Throws when the options cannot be right; repeats no address that could hold a password. */
export const configOf = (nats: typeof Nats, options: NatsOptions): NatsConfig => {
  const { echo = true, name = "effect-rooms", prefix = "er1", servers: given, tls } = options
  const servers = serversOf(given)
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
