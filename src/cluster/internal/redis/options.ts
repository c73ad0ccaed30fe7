/**
 * What a program says of its Redis. Part of the public declarations, so nothing here names the client, which is optional.
 */
import type * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"

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
