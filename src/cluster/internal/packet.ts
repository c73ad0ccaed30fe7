/**
 * What travels over the bus: a version, a signature, a header, and lines of text, none of which is parsed before the
 * signature has been checked.
 *
 * JSON has no line break of its own, so a packet of many messages is their texts, one to a line: the body of a message
 * is put there and taken out again without being parsed.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import * as Redacted from "effect/Redacted"

/** What is known of a packet before its lines are looked at. */
export interface Header {
  /** The incarnation of the node it comes from. */
  readonly from: string
  /** Channels: the line of messages it belongs to, and the position of its first message in that line. */
  readonly line?: number
  readonly first?: number
  /** Channels: the epoch of the channel it comes from. */
  readonly channel?: string
}

export interface Packet {
  readonly header: Header
  readonly lines: ReadonlyArray<string>
}

/** Why a packet was not taken. */
export type Malformed = "version" | "signature" | "malformed"

const version = "er1"
const unsigned = "-"

/** Signs packets, and knows those that are signed with the same secret. */
export class Seal {
  readonly #secret: Redacted.Redacted | undefined

  constructor(secret: Redacted.Redacted | undefined) {
    this.#secret = secret
  }

  /** A signature covers the topic, so that a packet is good on its own topic alone. */
  #sign(topic: string, content: string): string {
    if (this.#secret === undefined) return unsigned
    return createHmac("sha256", Redacted.value(this.#secret))
      .update(topic)
      .update("\n")
      .update(content)
      .digest("base64url")
  }

  #isSigned(topic: string, content: string, signature: string): boolean {
    if (this.#secret === undefined) return signature === unsigned
    const [expected, given] = [Buffer.from(this.#sign(topic, content)), Buffer.from(signature)]
    return expected.length === given.length && timingSafeEqual(expected, given)
  }

  pack(topic: string, header: Header, lines: ReadonlyArray<string>): string {
    const content = `${JSON.stringify(header)}\n${lines.join("\n")}`
    return `${version} ${this.#sign(topic, content)}\n${content}`
  }

  unpack(topic: string, payload: string): Packet | Malformed {
    const end = payload.indexOf("\n")
    const [given, signature, ...rest] = payload.slice(0, Math.max(0, end)).split(" ")
    if (given !== version || signature === undefined || rest.length > 0) return "version"
    const content = payload.slice(end + 1)
    if (!this.#isSigned(topic, content, signature)) return "signature"
    const [first = "", ...lines] = content.split("\n")
    const header = parseHeader(first)
    return header === undefined ? "malformed" : { header, lines }
  }
}

const isPosition = (value: unknown): value is number | undefined =>
  value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)
const isName = (value: unknown): value is string => typeof value === "string" && value.length > 0 && value.length <= 64

const parseHeader = (text: string): Header | undefined => {
  try {
    const { channel, first, from, line } = JSON.parse(text) as Record<string, unknown>
    if (!isName(from) || !isPosition(line) || !isPosition(first)) return undefined
    if (channel !== undefined && !isName(channel)) return undefined
    return {
      from,
      ...(line === undefined ? {} : { line }),
      ...(first === undefined ? {} : { first }),
      ...(channel === undefined ? {} : { channel })
    }
  } catch {
    return undefined
  }
}

/** Which messages follow in a packet for one node. */
export interface Group {
  readonly topic: string
  readonly line: number
  readonly first: number
  readonly channel: string
}

const groupMark = "@"

/** Stands in front of the messages of a topic, in a packet for one node. */
export const groupLine = ({ channel, first, line, topic }: Group): string =>
  `${groupMark}${line} ${first} ${channel} ${topic}`

/** The group a line begins; undefined for a message. */
export const fromGroupLine = (text: string): Group | undefined => {
  if (!text.startsWith(groupMark)) return undefined
  const [line, first, channel = "", ...topic] = text.slice(1).split(" ")
  const group = { topic: topic.join(" "), line: Number(line), first: Number(first), channel }
  const known = Number.isSafeInteger(group.line) && Number.isSafeInteger(group.first) && group.topic.length > 0
  return known ? group : undefined
}

/** One message of a channel as a line: its number within the channel, who is left out, and its body. */
export const toLine = (number: number, except: ReadonlyArray<string>, body: string): string =>
  except.length === 0 ? `${number.toString(36)}\t${body}` : `${number.toString(36)} ${JSON.stringify(except)}\t${body}`

export interface Line {
  readonly number: string
  readonly except: ReadonlyArray<string>
  readonly body: string
}

const nobody: ReadonlyArray<string> = []

export const fromLine = (line: string): Line | undefined => {
  const end = line.indexOf("\t")
  if (end < 1) return undefined
  const body = line.slice(end + 1)
  const space = line.indexOf(" ")
  if (space < 0 || space > end) return { number: line.slice(0, end), except: nobody, body }
  const except = exceptOf(line.slice(space + 1, end))
  return except && { number: line.slice(0, space), except, body }
}

const exceptOf = (text: string): ReadonlyArray<string> | undefined => {
  try {
    const except: unknown = JSON.parse(text)
    return Array.isArray(except) && except.every((id) => typeof id === "string") ? except : undefined
  } catch {
    return undefined
  }
}
