/**
 * What a program says of its PostgreSQL, and what the driver makes of it.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"
import type { PostgresConfig } from "./driver.ts"
import { isTable } from "./large.ts"
import type { Address } from "./socket.ts"

/** Where PostgreSQL is, and how it is used. */
export interface PostgresOptions {
  /**
   * `postgres://host:port/database`, with `?sslmode=require` for TLS. With a user or a password in it, it must be
   * `Redacted`. Other options say what the URL leaves open, and win over it; without a URL they say it all, and the host
   * is `localhost`.
   */
  readonly url?: string | Redacted.Redacted | undefined
  /** `localhost` by default; the folder of a Unix socket when it begins with a slash. */
  readonly host?: string | undefined
  /** 5432 by default. */
  readonly port?: number | undefined
  /** That of the user by default. */
  readonly database?: string | undefined
  /** Who runs the program, by default. */
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  /** What TLS needs, such as `ca`; `{}` insists on TLS. Certificates are verified unless this says otherwise. */
  readonly tls?: ConnectionOptions | undefined
  /** Names the sessions in `pg_stat_activity`; `effect-rooms` by default. */
  readonly name?: string | undefined
  /**
   * The table for payloads above 8 kB, with its schema if need be; `effect_rooms_bus` by default. It is created where it
   * is not there; where that is not permitted, payloads above 8 kB are refused.
   */
  readonly table?: string | undefined
  /** Bytes of a payload, at most; 1 MiB by default, and 8 MiB at most. */
  readonly maxPayload?: number | undefined
  /** How long dialling and logging in may take before it is tried anew; 5 seconds by default. */
  readonly connectTimeout?: Duration.Input | undefined
}

const maxMaxPayload = 8 * 1024 * 1024

const encryptions: Record<string, Address["encryption"]> = {
  disable: "none",
  allow: "optional",
  prefer: "optional",
  require: "required",
  "verify-ca": "required",
  "verify-full": "required"
}

/** A URL may hold a password, so nothing of one is quoted. */
const parseUrl = (given: string | Redacted.Redacted | undefined): URL => {
  const text = given === undefined ? "postgres://" : Redacted.isRedacted(given) ? Redacted.value(given) : given
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) throw new TypeError("this is no URL of a PostgreSQL")
  if (!Redacted.isRedacted(given) && (url.username !== "" || url.password !== "")) {
    throw new TypeError("the URL of PostgreSQL names a user or a password: wrap it in Redacted.make")
  }
  return url
}

const decode = (text: string): string | undefined => {
  if (text === "") return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    throw new TypeError("the URL of PostgreSQL is not percent-encoded as it should be")
  }
}

/** Throws when the options cannot be right. */
export const configOf = (options: PostgresOptions): PostgresConfig => {
  const url = parseUrl(options.url)
  const query = url.searchParams
  const host = options.host ?? query.get("host") ?? decode(url.hostname)?.replace(/^\[(.*)\]$/, "$1") ?? "localhost"
  const port = options.port ?? Number(query.get("port") ?? (url.port === "" ? 5432 : url.port))
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RangeError("port must be from 1 to 65535")
  const { maxPayload = 1024 * 1024, name = "effect-rooms", table = "effect_rooms_bus", tls } = options
  const encryption = tls === undefined ? encryptions[query.get("sslmode") ?? "disable"] : "required"
  if (encryption === undefined) throw new TypeError(`sslmode must be one of ${Object.keys(encryptions).join(", ")}`)
  if (!isTable(table)) throw new TypeError(`table must be the name of a table, not "${table}"`)
  if (!Number.isSafeInteger(maxPayload) || maxPayload < 1 || maxPayload > maxMaxPayload) {
    throw new RangeError(`maxPayload must be a whole number from 1 to ${maxMaxPayload}, not ${maxPayload}`)
  }
  const connectMillis = Duration.toMillis(Duration.fromInputUnsafe(options.connectTimeout ?? "5 seconds"))
  if (!(connectMillis > 0 && connectMillis < 2 ** 31)) {
    throw new RangeError("connectTimeout must be longer than nothing and shorter than 24 days")
  }
  const password = decode(url.password)
  return {
    login: {
      address: { host, port, path: host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined, encryption, tls },
      username: options.username ?? query.get("user") ?? decode(url.username),
      password: options.password ?? (password === undefined ? undefined : Redacted.make(password)),
      database: options.database ?? query.get("dbname") ?? decode(url.pathname.slice(1)),
      name,
      startupOptions: query.get("options") ?? undefined,
      // As JSON a payload may be six times as long.
      maxMessage: maxPayload * 6 + 65_536
    },
    table,
    maxPayload,
    connectMillis
  }
}
