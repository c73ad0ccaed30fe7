/**
 * One session of PostgreSQL over a socket of ours: statements go out in the order in which they are asked for, several
 * at a time, each a transaction of its own.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { EventBusError } from "../../EventBusError.ts"
import { describeAnswer, toBusError, unreachable } from "./error.ts"
import * as PostgresSocket from "./socket.ts"

/** Who we are to the server, and where it is. */
export interface Login {
  readonly address: PostgresSocket.Address
  readonly username: string | undefined
  readonly password: Redacted.Redacted | undefined
  readonly database: string | undefined
  readonly name: string
  /** The server's options of the URL, such as `-c search_path=app`. */
  readonly startupOptions: string | undefined
  /** Bytes of an answer, at most. */
  readonly maxMessage: number
}

export interface Session {
  /** Runs a statement; its rows are lists of columns. */
  readonly query: (
    sql: string,
    parameters?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, EventBusError>
  /** Runs a statement that is not run again in these words. */
  readonly command: (sql: string) => Effect.Effect<void, EventBusError>
}

/**
 * Nothing here is kept, so no commit has to wait for a disk; and a session that only listens is not idle. What the
 * server does not know is left out.
 */
const settings = `SELECT set_config(name, CASE name WHEN 'synchronous_commit' THEN 'off' ELSE '0' END, false)
  FROM pg_settings WHERE name IN ('synchronous_commit', 'idle_session_timeout')`

/**
 * Logs in. `lost` is completed when the session is over, whoever ended it; `onNotification` is called as they come.
 * When the scope closes the client takes its leave and fails what waits for an answer, then the socket is destroyed.
 */
export const open = Effect.fnUntraced(function* (
  login: Login,
  lost: Deferred.Deferred<never, EventBusError>,
  onNotification?: (channel: string, text: string) => void
): Effect.fn.Return<Session, EventBusError, Scope.Scope> {
  const socket = yield* PostgresSocket.open(login.address)
  let why = "the connection was closed"
  socket.once("close", () => Deferred.doneUnsafe(lost, Exit.fail(unreachable(why))))
  if (onNotification !== undefined) {
    // `PgConnection.listen` takes one round trip per channel, one after the other, and a fiber to read each. What comes
    // on channels it does not know it leaves alone, so we read along.
    const parser = PgProtocol.makeParser()
    socket.on("data", (chunk: Buffer) => {
      try {
        parser.pushEach(chunk, (message) => {
          if (message._tag === "NotificationResponse") onNotification(message.channel, message.payload)
          else if (message._tag === "ErrorResponse" && message.fields.severity === "FATAL")
            why = describeAnswer(message.fields)
        })
      } catch {
        why = "the server does not speak its protocol"
        socket.destroy()
      }
    })
  }
  const connection = yield* PgConnection.make({
    host: login.address.host,
    username: login.username,
    password: login.password,
    database: login.database,
    applicationName: login.name,
    startupOptions: login.startupOptions,
    maxMessageSize: login.maxMessage,
    // Whoever connects has a limit for all of it.
    connectTimeout: Duration.infinity,
    multiplex: true,
    ssl: false,
    stream: () => socket
  }).pipe(Effect.mapError(toBusError))
  const query: Session["query"] = (sql, parameters) =>
    Effect.mapError(connection.queryValues(sql, parameters), toBusError)
  const command: Session["command"] = (sql) =>
    Effect.mapError(Effect.asVoid(connection.queryValues(sql, [], false)), toBusError)
  yield* command(settings)
  return { query, command }
})
