/**
 * What a program says of its Redis, and what the driver makes of it.
 */
import * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"
import type * as Redis from "redis"
import { hostOf, isLoopback } from "../bus/loopback.ts"

/** Where Redis is, and how it is used. */
export interface RedisOptions {
  /**
   * `redis://host:port/database`, `rediss://` for TLS, `unix:///path/of/socket`. With a user or a password in it, it
   * must be `Redacted`.
   */
  readonly url: string | Redacted.Redacted
  /** The user of Redis, unless the URL names one. */
  readonly username?: string | undefined
  /** The password, unless the URL has one. Here it is not percent-encoded. */
  readonly password?: Redacted.Redacted | undefined
  /** What TLS needs besides a `rediss:` URL, such as `ca`, or `key` and `cert` of a client. */
  readonly tls?: ConnectionOptions | undefined
  /**
   * Stands before the topic in the name of each channel; empty by default. With `app:` a node needs no more of Redis
   * than `ACL SETUSER node resetchannels &app:* +publish +subscribe +unsubscribe`.
   */
  readonly prefix?: string | undefined
  /**
   * Bytes of a payload, at most; 1 MiB by default. Redis takes 512 MB, but its defaults disconnect a subscriber that is
   * 32 MB behind, or 8 MB for a minute.
   */
  readonly maxPayload?: number | undefined
}

/** What a driver has to know of its Redis. */
export interface RedisConfig {
  /** The client library, loaded by those who use this bus only: it is an optional dependency. */
  readonly redis: typeof Redis
  /** Options for one client, made anew for each: the client writes into them. */
  readonly client: () => Redis.RedisClientOptions
  readonly prefix: string
  /** Bytes. */
  readonly maxPayload: number
  /** Redis runs on this machine. */
  readonly isLocal: boolean
}

const urlOf = ({ url }: RedisOptions): string => {
  if (Redacted.isRedacted(url)) return Redacted.value(url)
  if (/^[a-z]+:\/\/[^/?#]*@/i.test(url)) {
    throw new TypeError("the URL of Redis names a user or a password: wrap it in Redacted.make")
  }
  return url
}

/** Whether the client can make something of the options. Without a URL it would connect to this host. */
const isTaken = (redis: typeof Redis, options: Redis.RedisClientOptions): boolean => {
  try {
    redis.createClient(options).destroy()
    return options.url !== ""
  } catch {
    return false
  }
}

/** Throws when the options cannot be right, in words that hold nothing secret; the client's own may. */
export const configOf = (redis: typeof Redis, options: RedisOptions): RedisConfig => {
  const { maxPayload = 1024 * 1024, password, prefix = "", tls, username } = options
  const url = urlOf(options)
  if (!Number.isSafeInteger(maxPayload) || maxPayload < 1) {
    throw new RangeError(`maxPayload must be a whole number of at least 1, not ${maxPayload}`)
  }
  if (tls !== undefined && !url.startsWith("rediss:")) {
    throw new TypeError("options of TLS need a URL that begins with rediss:")
  }
  const client = (): Redis.RedisClientOptions => ({
    url,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Redacted.value(password) }),
    ...(tls !== undefined && { socket: { ...tls, tls: true } })
  })
  if (!isTaken(redis, client())) {
    throw new TypeError("this is no URL of a Redis; it may hold a password, so it is not quoted")
  }
  return { redis, client, prefix, maxPayload, isLocal: isLoopback(hostOf(url)) }
}
