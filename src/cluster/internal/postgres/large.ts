/**
 * The table for payloads that are too long for a notification.
 *
 * Whoever publishes writes the row and names it in the notification, in one transaction; whoever listens reads it when
 * the notification comes. Rows live for a minute and are deleted by those who write rows, whoever wrote them: a node
 * that died leaves nothing for long. The table is not logged, so after a crash of the server it is empty.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { BusRefused, EventBusError } from "../../EventBusError.ts"
import { refused } from "./error.ts"
import type { Session } from "./session.ts"

/** Milliseconds between two times of cleaning up. */
const cleanInterval = 20_000
/** Nodes that write no rows any more clean for so long, in milliseconds. */
const cleanFor = 120_000
/** Rows that are deleted in one statement, at most. */
const cleanBatch = 500
/** Characters one node may put into rows in a minute. */
const maxPerMinute = 256 * 1024 * 1024

const identifier = /^[A-Za-z_][A-Za-z0-9_$]{0,62}$/

/** Whether it names a table, with or without its schema. */
export const isTable = (name: string): boolean => {
  const parts = name.split(".")
  return parts.length <= 2 && parts.every((part) => identifier.test(part))
}

const quote = (table: string): string =>
  table
    .split(".")
    .map((part) => `"${part}"`)
    .join(".")

/** What another session that created it at the same moment leaves us with. */
const isThere = /\((23505|42P07|42710)\)$/

export class LargePayloads {
  readonly #session: Session
  readonly #table: string
  /** Why rows cannot be written. */
  #unusable: EventBusError | undefined
  #wroteAt = Number.NEGATIVE_INFINITY
  #minute = 0
  #inMinute = 0

  constructor(session: Session, table: string) {
    this.#session = session
    this.#table = quote(table)
  }

  /** Whether rows can be written and read. */
  get isUsable(): boolean {
    return this.#unusable === undefined
  }

  /** Creates the table where it is not there. Where that is refused the bus works without large payloads. */
  prepare(): Effect.Effect<void, EventBusError> {
    const { command, query } = this.#session
    const sql = `SELECT to_regclass($1) IS NOT NULL, ${["INSERT", "SELECT", "DELETE"]
      .map((privilege) => `has_table_privilege(to_regclass($1), '${privilege}')`)
      .join(" AND ")}`
    const exists = Effect.flatMap(query(sql, [this.#table]), ([row]) =>
      row?.[0] === true && row[1] !== true
        ? Effect.fail(refused(`no right to write, read and delete in ${this.#table}`))
        : Effect.succeed(row?.[0] === true)
    )
    const create = command(`CREATE UNLOGGED TABLE IF NOT EXISTS ${this.#table} (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), body text NOT NULL)`)
    return Effect.flatMap(exists, (there) => (there ? Effect.void : create)).pipe(
      Effect.catch((error) => {
        const { reason } = error
        if (reason._tag !== "BusRefused") return Effect.fail(error)
        if (isThere.test(reason.detail)) return Effect.void
        this.#unusable = new EventBusError({
          reason: new BusRefused({
            detail: `${reason.detail}, so there is no table ${this.#table} for payloads above 8 kB`
          })
        })
        return Effect.logWarning(this.#unusable.message)
      })
    )
  }

  /** Writes the payload into a row and notifies with its number, which is put behind the head. */
  publish(channel: string, head: string, body: string): Effect.Effect<void, EventBusError> {
    return Effect.flatMap(
      Clock.clockWith((clock) => clock.monotonicTimeNanos),
      (nanos) => {
        if (this.#unusable !== undefined) return Effect.fail(this.#unusable)
        const now = Number(nanos / 1_000_000n)
        const minute = Math.floor(now / 60_000)
        if (minute !== this.#minute) [this.#minute, this.#inMinute] = [minute, 0]
        if (this.#inMinute + body.length > maxPerMinute) {
          return Effect.fail(refused("more than 256 MiB of large payloads in a minute"))
        }
        this.#inMinute += body.length
        this.#wroteAt = now
        const sql = `WITH written AS (INSERT INTO ${this.#table} (body) VALUES ($3) RETURNING id)
        SELECT pg_notify($1, $2 || id) FROM written`
        return Effect.asVoid(this.#session.query(sql, [channel, head, body]))
      }
    )
  }

  /** The text of a row; `undefined` when it is not there any more. */
  read(id: string): Effect.Effect<string | undefined, EventBusError> {
    return Effect.map(this.#session.query(`SELECT body FROM ${this.#table} WHERE id = $1`, [id]), (rows) => {
      const body = rows[0]?.[0]
      return typeof body === "string" ? body : undefined
    })
  }

  /** Deletes rows of more than a minute, for ever. */
  clean(): Effect.Effect<never, EventBusError> {
    const sql = `WITH gone AS (DELETE FROM ${this.#table} WHERE id IN (SELECT id FROM ${this.#table}
      WHERE created_at < now() - interval '1 minute' ORDER BY id LIMIT ${cleanBatch}) RETURNING 1) SELECT count(*)::int FROM gone`
    const cleanAll: Effect.Effect<void, EventBusError> = Effect.flatMap(this.#session.query(sql), (rows) =>
      rows[0]?.[0] === cleanBatch ? cleanAll : Effect.void
    )
    const cleanSome = Effect.flatMap(
      Clock.clockWith((clock) => clock.monotonicTimeNanos),
      (nanos) =>
        this.#unusable === undefined && Number(nanos / 1_000_000n) - this.#wroteAt < cleanFor ? cleanAll : Effect.void
    )
    return Effect.forever(Effect.andThen(Effect.sleep(cleanInterval), cleanSome))
  }
}
