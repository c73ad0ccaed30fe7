/**
 * The outbound path under test, from channels and rooms down to sockets in memory, driven with the commands of the naive
 * server beside it and compared with it.
 */
import { assert } from "@effect/vitest"
import { type Channels, Ref, RoomApi, type Rooms } from "effect-rooms"
import { Connections, RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { makeEncoder } from "../../src/websocket/internal/codec.ts"
import { Directory } from "../../src/websocket/internal/directory.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Wires } from "../../src/websocket/internal/wires.ts"
import { type Command, type Except, Line, lineOf, NaiveServer, names, negated, slots } from "./NaiveServer.ts"
import type { Wire } from "./NaiveServer.ts"
import { HandTurn } from "./outbound.ts"
import { Link, type Way } from "./OutboundLink.ts"

export class Place extends Ref.Entity<Place>()("Place") {}
export const LineRoom = RoomApi.make("line", { key: Place, events: { said: Line }, member: Schema.String })
type LineEvent = RoomApi.RoomEvent<(typeof LineRoom)["events"]>

const Route = WebSocketRoute.make("/lines", { incoming: Schema.Never, outgoing: Line })

const ofRoom = { plain: ({ data }: LineEvent) => data, negated: ({ data }: LineEvent) => negated(data) }
const ofKey = { plain: undefined, negated }

/** The outbound path, from channels and rooms down to the sockets. */
export class System {
  readonly turn = new HandTurn()
  readonly #flusher = new Flusher(this.turn)
  readonly #encode = makeEncoder(Line)
  readonly #wires: Wires<Line>
  readonly #directory = new Directory()
  readonly #everybody
  readonly #way: Way
  readonly naive = new NaiveServer()
  readonly links: Array<Link> = []
  /** Those that have gone in this turn. */
  readonly #past: Array<Link> = []
  readonly channel: Channels.Channels<Place, Line>
  readonly rooms: Rooms.Rooms<Place, (typeof LineRoom)["events"], string>
  failures = 0
  #connected = 0
  #sent = 0

  constructor(
    way: Way,
    channel: Channels.Channels<Place, Line>,
    rooms: Rooms.Rooms<Place, (typeof LineRoom)["events"], string>
  ) {
    this.#way = way
    this.channel = channel
    this.rooms = rooms
    this.#wires = new Wires<Line>({
      flusher: this.#flusher,
      encode: this.#encode,
      onFailure: () => void this.failures++,
      onDelivered: () => {}
    })
    this.#everybody = this.#directory.addRoute(Route, this.#encode, this.#wires)
    for (const slot of slots) this.#connect(slot)
  }

  /** In the order of a session. */
  #connect(slot: number): void {
    const naive = this.naive.connect(slot, `c${slot}-${++this.#connected}`)
    const link: Link = new Link(naive, this.#way, this.#flusher, this.#wires, () => this.naive.gone(naive))
    const { connection, peer } = link
    const entry = { route: Route, connection, peer, own: link.rooms }
    this.#directory.add(entry)
    connection.onClose(() => this.#directory.remove(entry))
    connection.onClose(this.#everybody.join(peer.outbox, connection.id))
    this.links[slot] = link
  }

  get #connections() {
    const server = { directory: this.#directory } as unknown as RoomsServer.RoomsServer["Service"]
    return Effect.runSync(Effect.provideService(Connections.of(Route), RoomsServer.RoomsServer, server))
  }

  #receivers(except: Except): ReadonlyArray<{ readonly id: string }> {
    if (except === "nobody") return [{ id: "nobody" }]
    return this.naive.at(except)
  }

  #join(link: Link, name: string, wire: Wire): void {
    const room = this.rooms.get(Place.ref.make(name))
    Effect.runSync(Scope.provide(link.rooms.join(room, "data", ofRoom[wire]), link.joins))
    this.naive.join(link.naive, name, wire)
  }

  #forward(link: Link, name: string, wire: Wire): void {
    const scope = Scope.makeUnsafe()
    Effect.runSync(Scope.provide(link.rooms.forward(this.channel, Place.ref.make(name), ofKey[wire]), scope))
    link.forwards.push({ scope, end: this.naive.forward(link.naive, name, wire) })
  }

  #publish(place: string, line: Line, some: Except): void {
    const [kind, name] = place.split(" ") as [string, string]
    const ref = Place.ref.make(name)
    const except = this.#receivers(some)
    Effect.runSync(
      kind === "key"
        ? this.channel.publish(ref, line, { except })
        : this.rooms.get(ref).broadcast("said", line, { except })
    )
    this.naive.publish(place, line, some)
  }

  #send({ naive, peer, connection }: Link, line: Line, how: "session" | "connection" | "user"): void {
    const to = this.#connections
    const ofUser = this.naive.connections.filter(({ slot }) => slot < 2 === naive.slot < 2)
    const reached =
      how === "session"
        ? peer.send(this.#encode(line))
        : how === "connection"
          ? Effect.runSync(to.toConnection(naive.id, line))
          : Effect.runSync(to.toUser(connection.user!, line))
    const expected = this.naive.send(how === "user" ? ofUser : [naive], line)
    if (!this.#way.slow) assert.strictEqual(Number(reached), expected, "how many it reached")
  }

  #gone(link: Link): void {
    link.ws.gone()
    // Fails, and leaves nothing.
    const late = link.rooms.join(this.rooms.get(Place.ref`toString`), "late", ofRoom.plain)
    const exit = Effect.runSyncExit(Scope.provide(late, link.joins))
    assert.include(JSON.stringify(exit), "MemberGone")
    Effect.runSync(Effect.scoped(link.rooms.forward(this.channel, Place.ref`toString`)))
    this.#compareRooms(link)
    for (const scope of [link.joins, ...link.forwards.map((forward) => forward.scope)]) {
      Effect.runSync(Scope.close(scope, Exit.void))
    }
    assert.strictEqual(link.peer.outbox.seatCount, 0)
    this.#past.push(link)
  }

  #compareRooms(link: Link): void {
    assert.deepStrictEqual(
      link.rooms.all.map(({ identifier }) => identifier),
      link.naive.places.map(({ name }) => name)
    )
  }

  run(command: Command): void {
    const link = "who" in command ? this.links[command.who]! : undefined!
    switch (command._tag) {
      case "Join":
        this.#join(link, command.name, command.wire)
        return this.#compareRooms(link)
      case "Leave": {
        const left = Effect.runSync(this.rooms.get(Place.ref.make(command.name)).leave(link.connection))
        assert.strictEqual(left, this.naive.leave(link.naive, command.name))
        return this.#compareRooms(link)
      }
      case "Forward":
        this.#forward(link, command.name, command.wire)
        return this.#compareRooms(link)
      case "Unforward": {
        const [forward] = link.forwards.splice(command.number, 1)
        if (forward === undefined) return
        Effect.runSync(Scope.close(forward.scope, Exit.void))
        forward.end()
        return this.#compareRooms(link)
      }
      case "Publish":
        for (let n = 0; n < command.times; n++) {
          this.#publish(command.place, lineOf(command.size, ++this.#sent), command.except)
        }
        return
      case "Everybody": {
        const line = lineOf(command.size, ++this.#sent)
        const except = this.#receivers(command.except)
        const reached = Effect.runSync(this.#connections.broadcast(line, { except }))
        return assert.strictEqual(reached, this.naive.everybody(line, command.except))
      }
      case "Send":
        if (command.size === "unspeakable") return
        return this.#send(link, lineOf(command.size, ++this.#sent), command.how)
      case "Close":
        link.peer.close(4321)
        link.compare()
        link.compareAll()
        link.naive.closing = true
        return
      case "HangUp":
        link.ws.hangUp()
        link.naive.closing = true
        link.naive.sent.length = 0
        return
      case "Gone":
        this.#gone(link)
        return this.#connect(command.who)
      case "EndTurn":
        this.turn.end()
        for (const past of this.#past.splice(0)) past.compare()
        return
      case "Take":
        return link.socket.take(command.bytes)
      case "Room":
        if (this.#way.slow) link.socket.room = command.bytes
    }
  }

  compare(): void {
    for (const link of this.links) link.compare()
  }

  /** After everybody has gone: nothing is left of anybody. */
  compareEnd(): void {
    for (const link of this.links) this.#gone(link)
    this.run({ _tag: "EndTurn" })
    assert.strictEqual(this.#everybody.size, 0)
    assert.strictEqual(Effect.runSync(this.channel.size), 0)
    assert.deepStrictEqual(Effect.runSync(this.rooms.list), [])
    for (const name of names) assert.strictEqual(Effect.runSync(this.channel.subscriberCount(Place.ref.make(name))), 0)
  }
}
