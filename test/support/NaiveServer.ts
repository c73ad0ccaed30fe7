/**
 * A server that writes every frame at once, to one member after the other, in plain arrays: what each connection is to
 * receive. And the commands it is driven with.
 *
 * Commands that make no sense (leaving a room nobody is in) change nothing, so that shrinking may delete any command.
 */
import * as Schema from "effect/Schema"
import { wsFrame } from "./outbound.ts"

/** Identifiers that the rule allows and that an index made of an object would get wrong. */
export const names = ["toString", "valueOf"] as const
/** Rooms are joined, keys of a channel are forwarded. */
export const places = ["room toString", "room valueOf", "key toString", "key valueOf"] as const
/** The first two connections are one user's. */
export const slots = [0, 1, 2] as const

const who = Schema.Literals(slots)
const anyName = Schema.Literals(names)
const wire = Schema.Literals(["plain", "plain", "negated"])
const size = Schema.Literals(["small", "small", "medium", "wide", "large", "unspeakable"])
const except = Schema.Literals(["none", "none", "0", "1", "2", "01", "nobody"])

export const Command = Schema.TaggedUnion({
  Join: { who, name: anyName, wire },
  Leave: { who, name: anyName },
  Forward: { who, name: anyName, wire },
  Unforward: { who, number: Schema.Literals([0, 1, 2]) },
  Publish: { place: Schema.Literals(places), size, except, times: Schema.Literals([1, 1, 2, 4]) },
  /** To all connections of the route. */
  Everybody: { size, except },
  Send: { who, size, how: Schema.Literals(["session", "connection", "user"]) },
  Close: { who },
  /** The client begins to close: what was sent to it in this turn may be lost. */
  HangUp: { who },
  /** The socket closes; the next connection takes the number. */
  Gone: { who },
  EndTurn: {},
  /** The peer takes some of what waits, or has room for some that comes. */
  Take: { who, bytes: Schema.Literals([10, 60, 500, 50_000]) },
  Room: { who, bytes: Schema.Literals([0, 30, 300]) }
})
export type Command = typeof Command.Type
export type Wire = "plain" | "negated"
export type Except = (typeof Command.Type & { readonly _tag: "Everybody" })["except"]

/** What is sent. */
export const Line = Schema.Struct({ n: Schema.Int, pad: Schema.String })
export type Line = typeof Line.Type

export const negated = ({ n, pad }: Line): Line => ({ n: -n, pad })

const pads = {
  small: () => "",
  // Around the length at which the header grows.
  medium: (n: number) => "x".repeat(100 + (n % 40)),
  wide: (n: number) => "é".repeat(n % 80),
  // Two of them are more than a batch holds.
  large: () => "x".repeat(40_000)
}

/** The n-th line; one that is unspeakable does not fit the schema. */
export const lineOf = (kind: keyof typeof pads | "unspeakable", n: number): Line =>
  kind === "unspeakable" ? { n: n + 0.5, pad: "" } : { n, pad: pads[kind](n) }

const frameOf = ({ n, pad }: Line): Buffer | undefined =>
  Number.isInteger(n) ? wsFrame(JSON.stringify({ n, pad })) : undefined

interface Place {
  readonly name: string
  readonly place: string
  readonly wire: Wire
}

/** One connection, as the naive server knows it. */
export class NaiveConnection {
  readonly id: string
  readonly slot: number
  /** Frames it was sent, and that nobody has compared yet. */
  readonly sent: Array<Buffer> = []
  /** Where it is, in the order in which that began. */
  places: ReadonlyArray<Place> = []
  closing = false
  gone = false

  constructor(slot: number, id: string) {
    this.slot = slot
    this.id = id
  }

  write(frame: Buffer): boolean {
    if (this.closing || this.gone) return false
    this.sent.push(frame)
    return true
  }
}

export class NaiveServer {
  readonly connections: Array<NaiveConnection> = []
  /** By place and wire, the members; wires in the order in which they were first needed. */
  readonly #members = new Map(
    places.map((place) => [place as string, new Map<Wire, Array<[NaiveConnection, Place]>>()])
  )

  connect(slot: number, id: string): NaiveConnection {
    const connection = new NaiveConnection(slot, id)
    this.connections[slot] = connection
    return connection
  }

  /** Those that are there, in the order of their slots. */
  at(some: Except): ReadonlyArray<NaiveConnection> {
    return this.connections.filter(({ slot }) => some.includes(String(slot)))
  }

  #enter(connection: NaiveConnection, place: Place): void {
    connection.places = [...connection.places, place]
    const wires = this.#members.get(place.place)!
    wires.set(place.wire, [...(wires.get(place.wire) ?? []), [connection, place]])
  }

  #exit(connection: NaiveConnection, place: Place): void {
    connection.places = connection.places.filter((other) => other !== place)
    const wires = this.#members.get(place.place)!
    const others = wires.get(place.wire)!.filter(([, other]) => other !== place)
    if (others.length > 0) wires.set(place.wire, others)
    else wires.delete(place.wire)
  }

  join(connection: NaiveConnection, name: string, as: Wire): void {
    this.leave(connection, name)
    this.#enter(connection, { name, place: `room ${name}`, wire: as })
  }

  leave(connection: NaiveConnection, name: string): boolean {
    const joined = connection.places.find(({ place }) => place === `room ${name}`)
    if (joined !== undefined) this.#exit(connection, joined)
    return joined !== undefined
  }

  forward(connection: NaiveConnection, name: string, as: Wire): () => void {
    const place = { name, place: `key ${name}`, wire: as }
    this.#enter(connection, place)
    return () => connection.places.includes(place) && this.#exit(connection, place)
  }

  publish(place: string, line: Line, some: Except): void {
    const left = this.at(some)
    for (const [as, members] of this.#members.get(place)!) {
      const frame = frameOf(as === "negated" ? negated(line) : line)
      if (frame === undefined) continue
      // One that is there more than once is sent it once.
      const reached = new Set(members.map(([connection]) => connection))
      for (const connection of reached) if (!left.includes(connection)) connection.write(frame)
    }
  }

  /** Answers to how many, those who are closing included. */
  everybody(line: Line, some: Except): number {
    const frame = frameOf(line)
    if (frame === undefined) return 0
    const left = this.at(some)
    const others = this.connections.filter((connection) => !left.includes(connection))
    for (const connection of others) connection.write(frame)
    return others.length
  }

  send(connections: ReadonlyArray<NaiveConnection>, line: Line): number {
    return connections.filter((connection) => connection.write(frameOf(line)!)).length
  }

  gone(connection: NaiveConnection): void {
    for (const place of connection.places) this.#exit(connection, place)
    connection.gone = true
  }
}
