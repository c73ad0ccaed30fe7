/**
 * What the driver makes of what a program says of its Redis.
 */
import * as Redacted from "effect/Redacted"
import type * as Redis from "redis"
import { hostOf, isLoopback } from "../bus/loopback.ts"
import type { RedisOptions } from "./options.ts"

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

const noUrl = () => new TypeError("this is no URL of a Redis; it may hold a password, so it is not quoted")

/** A variable of the environment that is not set is no text, whatever its type says. */
const urlOf = ({ url }: RedisOptions): string => {
  const text: unknown = Redacted.isRedacted(url) ? Redacted.value(url) : url
  if (typeof text !== "string" || text === "") throw noUrl()
  if (!Redacted.isRedacted(url) && /^[a-z]+:\/\/[^/?#]*@/i.test(text)) {
    throw new TypeError("the URL of Redis names a user or a password: wrap it in Redacted.make")
  }
  return text
}

/** Whether the client can make something of the options. */
const isTaken = (redis: typeof Redis, options: Redis.RedisClientOptions): boolean => {
  try {
    redis.createClient(options).destroy()
    return true
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
  if (!isTaken(redis, client())) throw noUrl()
  return { redis, client, prefix, maxPayload, isLocal: isLoopback(hostOf(url)) }
}
