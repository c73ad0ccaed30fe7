/**
 * What a notification says: a letter, a number, a colon, and the rest.
 *
 * PostgreSQL makes one of equal notifications in a transaction; the number counts what a connection publishes, so no
 * two are equal. It takes no zero bytes: such a payload travels as JSON. What is too long travels as the number of a
 * row.
 */

/** Bytes of a notification, at most: it has to be shorter than 8,000. */
export const maxNotification = 7_999

/** Bytes of a payload that fits into a notification whatever its number is. */
export const maxInline = maxNotification - 16

/** How the payload is carried: as it is or as JSON, here or in a row of the table. */
type Letter = "t" | "j" | "T" | "J"

export interface Outgoing {
  /** The notification, or where the payload goes into a row, what stands before the row's number. */
  readonly head: string
  /** What goes into a row. */
  readonly row: string | undefined
}

export type Incoming =
  | { readonly _tag: "Payload"; readonly payload: string }
  | { readonly _tag: "Row"; readonly id: string; readonly isJson: boolean }

const fits = (text: string): boolean =>
  text.length * 3 <= maxNotification || (text.length <= maxNotification && Buffer.byteLength(text) <= maxNotification)

const headOf = (letter: Letter, number: number): string => `${letter}${number.toString(36)}:`

export const encode = (payload: string, number: number): Outgoing => {
  const isJson = payload.includes("\0")
  const text = isJson ? JSON.stringify(payload) : payload
  const whole = headOf(isJson ? "j" : "t", number) + text
  return fits(whole) ? { head: whole, row: undefined } : { head: headOf(isJson ? "J" : "T", number), row: text }
}

const form = /^([tjTJ])[0-9a-z]+:/

/** What was written by nobody of us is a payload as it stands: whoever reads it will say that it is none. */
export const decode = (notification: string): Incoming => {
  const match = form.exec(notification)
  if (match === null) return { _tag: "Payload", payload: notification }
  const rest = notification.slice(match[0].length)
  const letter = match[1] as Letter
  if (letter === "T" || letter === "J") return { _tag: "Row", id: rest, isJson: letter === "J" }
  return { _tag: "Payload", payload: letter === "j" ? payloadOf(rest, true) : rest }
}

/** The payload of a text that was carried as it is or as JSON. */
export const payloadOf = (text: string, isJson: boolean): string => {
  if (!isJson) return text
  try {
    const payload: unknown = JSON.parse(text)
    return typeof payload === "string" ? payload : text
  } catch {
    return text
  }
}
