/**
 * What failures of Redis and of the way to it mean for the bus.
 *
 * Details say what an operator needs and quote nothing that can hold a secret: a server that does not know a command
 * repeats its arguments, a password among them, and messages of the network hold addresses.
 */
import type * as Redis from "redis"
import { BusRefused, BusUnreachable, EventBusError } from "../../EventBusError.ts"

/** Answers that stay the same however often one asks. All others, such as `LOADING`, pass. */
const refusals = new Set(["NOPERM", "NOAUTH", "WRONGPASS", "NOPROTO", "DENIED", "ERR"])

/** The client says it of its own queue. */
const tooManyCommands = "The queue is full"

/** An answer without a code of its own that passes. */
const tooManyClients = "ERR max number of clients reached"

export const unreachable = (detail: string): EventBusError =>
  new EventBusError({ reason: new BusUnreachable({ detail }) })

const refused = (detail: string): EventBusError => new EventBusError({ reason: new BusRefused({ detail }) })

/** The code of an answer; of a general one also its words, up to the first that may be quoted from what was sent. */
const describeReply = ({ message }: Error): string => {
  const code = /^[A-Z]+/.exec(message)?.[0] ?? "an error"
  return code === "ERR" ? /^[A-Za-z ]+/.exec(message)![0].trim() : code
}

const describeFailure = (error: unknown): string => {
  if (!(error instanceof Error)) return "unknown"
  const { code } = error as NodeJS.ErrnoException
  return typeof code === "string" ? code : error.constructor.name
}

/** The failure of a command or of a connection as one of the bus. */
export const toBusError = ({ ErrorReply }: Pick<typeof Redis, "ErrorReply">, error: unknown): EventBusError => {
  if (error instanceof Error && error.message === tooManyCommands) return unreachable("too much waits for Redis")
  if (!(error instanceof ErrorReply)) return unreachable(`no connection to Redis (${describeFailure(error)})`)
  const described = describeReply(error)
  const isRefusal = refusals.has(described.split(" ", 1)[0]!) && described !== tooManyClients
  return (isRefusal ? refused : unreachable)(`Redis answered ${described}`)
}
