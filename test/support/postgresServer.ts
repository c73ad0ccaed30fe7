/**
 * A private PostgreSQL server. It refuses to run as root, so there it runs as `postgres` or `nobody`.
 */
import { chownSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { setTimeout } from "node:timers/promises"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type Broker, findBinary, missingBinary, startBroker, type User } from "./broker.ts"

const debian = "/usr/lib/postgresql"

const listFolder = (folder: string): ReadonlyArray<string> => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Where Debian keeps them, the newest first. */
const folders = [...listFolder(debian)]
  .toSorted((a, b) => Number(b) - Number(a))
  .map((version) => path.join(debian, version, "bin"))

const postgres = findBinary("postgres", folders)
const initdb = findBinary("initdb", folders)

/** Why tests with PostgreSQL cannot run here; `undefined` where they can. */
export const missing = missingBinary("postgres", postgres) ?? missingBinary("initdb", initdb)

const userOf = (name: string): User | undefined => {
  const match = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, "m").exec(readFileSync("/etc/passwd", "utf8"))
  return match === null ? undefined : { uid: Number(match[1]), gid: Number(match[2]) }
}

const user = process.getuid?.() === 0 ? (userOf("postgres") ?? userOf("nobody")) : undefined

/** The password of `postgres`, who may do everything. */
export const password = "canary-5d81e0"

/** A PostgreSQL server and its operator. */
export interface PostgresServer extends AsyncDisposable {
  readonly broker: Broker
  /** A session as `postgres`, for what takes several statements. */
  readonly session: Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope>
  /** Runs a statement as `postgres`; its rows are lists of columns. */
  readonly admin: (sql: string) => Promise<ReadonlyArray<ReadonlyArray<unknown>>>
}

/** The process that serves a folder, where it runs. The file it leaves when it is killed may name another by now. */
const processOf = (folder: string): number | undefined => {
  try {
    const pid = Number.parseInt(readFileSync(path.join(folder, "data", "postmaster.pid"), "utf8"))
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder) ? pid : undefined
  } catch {
    return undefined
  }
}

/** Stops a server at once, but does not kill it: that would leave its shared memory to the system for ever. */
const quit = async (folder: string): Promise<void> => {
  const pid = processOf(folder)
  if (pid === undefined) return
  process.kill(pid, "SIGQUIT")
  while (processOf(folder) === pid) await setTimeout(5)
}

/** Starts a server; with a certificate it offers TLS. */
export const startPostgres = async (tls?: { readonly cert: string; readonly key: string }): Promise<PostgresServer> => {
  let directory = ""
  const encrypted = (folder: string) =>
    tls === undefined ? [] : ["ssl=on", `ssl_cert_file=${folder}/cert.pem`, `ssl_key_file=${folder}/key.pem`]
  const broker = await startBroker({
    name: "postgres",
    user,
    prepare: (folder) => {
      directory = folder
      const file = path.join(folder, "password")
      writeFileSync(file, password, { mode: 0o644 })
      // It insists on a key that is its own and closed to others.
      for (const [name, text] of Object.entries(tls ?? {})) {
        const own = path.join(folder, `${name}.pem`)
        writeFileSync(own, text, { mode: 0o600 })
        if (user !== undefined) chownSync(own, user.uid, user.gid)
      }
      const auth = ["--username=postgres", "--auth=scram-sha-256", `--pwfile=${file}`]
      return [[initdb!, "--pgdata=data", ...auth, "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]]
    },
    command: (port, folder) => [
      postgres!,
      "-D",
      "data",
      "-p",
      String(port),
      "-k",
      folder,
      ...[
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "max_connections=40",
        "autovacuum=off",
        ...encrypted(folder)
      ].flatMap((it) => ["-c", it])
    ],
    ready: /database system is ready to accept connections/
  })
  const session = PgConnection.make({
    host: "127.0.0.1",
    port: broker.port,
    username: "postgres",
    database: "postgres",
    password: Redacted.make(password)
  })
  const admin: PostgresServer["admin"] = (sql) =>
    Effect.runPromise(Effect.scoped(Effect.flatMap(session, (connection) => connection.queryValues(sql, [], false))))
  return {
    broker,
    admin,
    session,
    [Symbol.asyncDispose]: async () => {
      await quit(directory)
      await broker[Symbol.asyncDispose]()
    }
  }
}
