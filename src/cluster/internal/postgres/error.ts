/**
 * What failures of PostgreSQL and of the way to it mean for the bus.
 *
 * Details name codes, and repeat the server's words unless they are about who we are.
 */
import type { SqlError } from "effect/sql/SqlError"
import { BusRefused, BusUnreachable, EventBusError } from "../../EventBusError.ts"

/**
 * Classes of SQLSTATE that stay the same however often one asks: what is not supported, data it cannot store, a server
 * that only reads, who we are, no such database, names and permissions.
 */
const refusals = new Set(["0A", "22", "25", "28", "3D", "3F", "42"])

export const refused = (detail: string): EventBusError =>
  new EventBusError({ reason: new BusRefused({ detail: `PostgreSQL: ${detail}` }) })

export const unreachable = (detail: string): EventBusError =>
  new EventBusError({ reason: new BusUnreachable({ detail: `PostgreSQL: ${detail}` }) })

/** The fields of an answer that matter here. */
interface Answer {
  readonly code?: string | undefined
  readonly message?: string | undefined
}

const isAnswer = (cause: unknown): cause is Answer =>
  cause instanceof Error && "severity" in cause && "code" in cause && typeof cause.code === "string"

/** What the server answered. */
export const describeAnswer = ({ code = "", message = "" }: Answer): string =>
  code.startsWith("28") ? `it does not accept the credentials (${code})` : `${message} (${code})`

/** The code of the system's error. */
export const describeFailure = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

/** The failure of a statement or of a connection as one of the bus. */
export const toBusError = ({ reason }: SqlError): EventBusError => {
  const { _tag, cause, message } = reason
  if (isAnswer(cause)) {
    return (refusals.has(cause.code?.slice(0, 2) ?? "") ? refused : unreachable)(describeAnswer(cause))
  }
  // The client's own words, which name nothing that it was given.
  const detail = describeFailure(cause) ?? message?.replace("PgConnection: ", "") ?? _tag
  return (_tag === "AuthenticationError" ? refused : unreachable)(detail)
}
