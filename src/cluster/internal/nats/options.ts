/**
 * What a program says of its NATS. Part of the public declarations, so nothing here names the client, which is optional.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/** What TLS needs, in PEM: texts, or paths of files. */
export interface NatsTlsOptions {
  readonly ca?: string
  readonly caFile?: string
  readonly cert?: string
  readonly certFile?: string
  readonly key?: string
  readonly keyFile?: string
  /** TLS from the first byte, for a server with `handshake_first`. */
  readonly handshakeFirst?: boolean
}

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
  readonly tls?: NatsTlsOptions | undefined
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
