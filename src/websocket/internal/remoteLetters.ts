/**
 * What the servers of a cluster say to each other about connections. Everything that comes is decoded by these schemas
 * before anybody looks at it.
 */
import * as Schema from "effect/Schema"
import { RoomError } from "../../rooms/RoomError.ts"

const text = (atMost: number) => Schema.String.check(Schema.isMaxLength(atMost))
const Id = text(256)
const Path = text(2048)
const Name = text(256)
const Number = Schema.Int

/** One connection, or all of one user. */
const To = Schema.Union([
  Schema.Struct({ connection: Id }),
  Schema.Struct({ user: Schema.Struct({ entity: Name, identifier: Name }) })
])
export type To = typeof To.Type

/** What became of a request: it was done, or the connection was not there, or not in, or why it failed. */
export const Outcome = Schema.Union([Schema.Literals(["done", "absent"]), RoomError])
export type Outcome = typeof Outcome.Type

const place = { connection: Id, path: Path, kind: Name, room: Name }

/** A letter from one server to another. Routes go by their paths, rooms by kind and identifier. */
export const Letter = Schema.Union([
  /** Sends a message, encoded by the route's schema, to connections of a route. */
  Schema.TaggedStruct("Send", { to: To, path: Path, text: Schema.String }),
  /** Sends a message to all connections of a route but some. */
  Schema.TaggedStruct("Broadcast", { path: Path, text: Schema.String, except: Schema.Array(Id) }),
  /** Closes connections, of one route or of whatever route. */
  Schema.TaggedStruct("Close", { to: To, path: Schema.optionalKey(Path), code: Number, reason: Schema.String }),
  /** Asks to let a connection into a room, with data by the schema of the kind of room. */
  Schema.TaggedStruct("Join", { number: Number, ...place, data: Schema.Unknown }),
  /** Asks to take a connection out of a room. */
  Schema.TaggedStruct("Leave", { number: Number, ...place }),
  Schema.TaggedStruct("Answer", { number: Number, outcome: Outcome })
])
export type Letter = typeof Letter.Type

const codec = Schema.toCodecJson(Letter)

export const decodeLetter = Schema.decodeUnknownExit(codec)

const encode = Schema.encodeUnknownSync(codec)

export const encodeLetter = (letter: Letter): Schema.Json => encode(letter)
