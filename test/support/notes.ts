/**
 * What is logged, with its annotations, for tests of what a log line says of its place.
 */
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import * as Logger from "effect/Logger"
import * as References from "effect/References"

export interface Note {
  readonly level: LogLevel.LogLevel
  readonly message: unknown
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A log from a level on, to be provided as a service, and what is in it. */
export const makeNotes = (from: LogLevel.LogLevel = "Debug") => {
  const notes: Array<Note> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    notes.push({ level: logLevel, message, annotations: fiber.getRef(References.CurrentLogAnnotations) })
  })
  const layer = Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, from))
  /** The notes that begin with a text. */
  const of = (start: string): ReadonlyArray<Note> =>
    notes.filter(({ message }) => String(Array.isArray(message) ? message[0] : message).startsWith(start))
  return { notes, layer, of }
}
