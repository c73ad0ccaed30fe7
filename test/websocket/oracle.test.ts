/**
 * The oracle of the outbound path: under generated schedules, each connection is written the bytes that a naive server
 * writes which sends every frame at once. Turns end when the schedule says so; sockets are in memory.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, type Connection, Ref, RoomApi, Rooms } from "effect-rooms"
import { Connections, Limits, RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { WebSocket } from "ws"
import type { Duplex } from "node:stream"
import { makeEncoder } from "../../src/websocket/internal/codec.ts"
import { Directory } from "../../src/websocket/internal/directory.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Peer } from "../../src/websocket/internal/peer.ts"
import * as Session from "../../src/websocket/internal/rooms.ts"
import { Wires } from "../../src/websocket/internal/wires.ts"
import { Command, type Except, Line, lineOf, NaiveServer, names, negated, slots } from "../support/NaiveServer.ts"
import type { NaiveConnection, Wire } from "../support/NaiveServer.ts"
import { FakeSocket, FakeWebSocket, HandTurn, readFrames } from "../support/outbound.ts"
import { FakeConnection } from "../support/rooms.ts"

class Place extends Ref.Entity<Place>()("Place") {}
class User extends Ref.Entity<User>()("User") {}
const LineRoom = RoomApi.make("line", { key: Place, events: { said: Line }, member: Schema.String })
type LineEvent = RoomApi.RoomEvent<(typeof LineRoom)["events"]>

const Route = WebSocketRoute.make("/lines", { incoming: Schema.Never, outgoing: Line })

/** How peers are written to, and how much they take. */
interface Way {
  readonly extensions: string
  readonly slow: boolean
}

const slowLimits = { outboxBytes: 400, outboxMessages: 4 }

const ofRoom = { plain: ({ data }: LineEvent) => data, negated: ({ data }: LineEvent) => negated(data) }
const ofKey = { plain: undefined, negated }

/** A connection of the system, beside the same connection of the naive server. */
class Link {
  readonly naive: NaiveConnection
  readonly way: Way
  readonly socket = new FakeSocket()
  readonly ws: FakeWebSocket
  readonly peer: Peer
  readonly connection: Connection.Connection
  readonly rooms: Session.Rooms<Line>
  readonly joins = Scope.makeUnsafe()
  readonly forwards: Array<{ readonly scope: Scope.Closeable; readonly end: () => void }> = []
  /** Where the frames end that were written and seen to be right. */
  readonly #ends: Array<number> = []
  #writesBefore = 0

  constructor(naive: NaiveConnection, way: Way, flusher: Flusher, wires: Wires<Line>, onGone: () => void) {
    this.naive = naive
    this.way = way
    this.ws = new FakeWebSocket(this.socket, way.extensions)
    if (way.slow) this.socket.room = 100
    const limits = { ...Limits.defaults, ...(way.slow ? slowLimits : { outboxBytes: 1e9, outboxMessages: 1e9 }) }
    this.peer = new Peer(this.ws as unknown as WebSocket, this.socket as unknown as Duplex, limits, flusher)
    const fake = new FakeConnection(naive.id)
    this.peer.listen({
      onText: () => {},
      onClose: () => {
        this.peer.outbox.end()
        fake.close()
        onGone()
      }
    })
    this.connection = {
      id: naive.id,
      principal: undefined,
      user: naive.slot < 2 ? User.ref`alice` : User.ref`bob`,
      data: undefined,
      remoteAddress: undefined,
      close: (code, reason) => this.peer.close(code, reason),
      onClose: fake.onClose,
      quota: fake.quota
    }
    this.rooms = new Session.Rooms(this.connection, this.peer.outbox, wires)
  }

  /** Whether it was cut for being slow. */
  get cut(): boolean {
    return this.ws.closes[0] === 4004
  }

  get #unsentMessages(): number {
    const taken = this.socket.written - this.socket.unsent
    return this.#ends.filter((end) => end > taken).length
  }

  /** What was written is what the naive server has written, as far as it goes. */
  compare(): void {
    const got = this.socket.taken()
    let at = 0
    while (at < got.length) {
      const frame = this.naive.sent.shift() ?? Buffer.alloc(0)
      const piece = got.subarray(at, at + frame.length)
      if (frame.length === 0 || !piece.equals(frame)) {
        const expected = Buffer.concat([frame, ...this.naive.sent])
        assert.deepStrictEqual(brief(got.subarray(at)), brief(expected), `connection ${this.naive.id}`)
        assert.fail(`connection ${this.naive.id} was written other bytes, or a frame in part`)
      }
      at += frame.length
      this.#ends.push((this.#ends.at(-1) ?? 0) + frame.length)
    }
    if (this.ws.closes.length > 1) assert.fail(`connection ${this.naive.id} was closed twice`)
    if (this.way.slow) this.#compareBounds()
  }

  /** Nothing waits for the end of the turn, once it was there. */
  compareAll(): void {
    if (this.naive.gone || this.naive.sent.length === 0) return
    assert.deepStrictEqual(brief(Buffer.concat(this.naive.sent)), [], `connection ${this.naive.id} was not written`)
  }

  #compareBounds(): void {
    const { outboxBytes, outboxMessages } = slowLimits
    const unsent = this.#unsentMessages
    if (unsent > outboxMessages) assert.fail(`${unsent} messages wait`)
    if (this.socket.unsent > outboxBytes && unsent > 1) assert.fail(`${this.socket.unsent} bytes wait`)
    if (!this.cut || this.naive.closing) return
    const next = this.naive.sent[0]?.length ?? 0
    const over = this.socket.unsent + next > outboxBytes || unsent === outboxMessages
    assert.isTrue(next > 0 && unsent > 0 && over, "it was cut because the next message would have been over a bound")
    this.naive.closing = true
    this.naive.sent.length = 0
  }

  /** Writes since the last time. */
  takeWrites(): number {
    const writes = this.socket.writes - this.#writesBefore
    this.#writesBefore = this.socket.writes
    return writes
  }
}

const brief = (bytes: Buffer): ReadonlyArray<string> => readFrames(bytes).map((text) => text.slice(0, 20))

/** The outbound path, from channels and rooms down to the sockets. */
class System {
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
    this.#directory.add({ route: Route, connection, sendText: (text) => peer.send(text) })
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
    assert.strictEqual(link.peer.outbox.seats.length, 0)
    this.#past.push(link)
  }

  #compareRooms(link: Link): void {
    assert.deepStrictEqual(
      Effect.runSync(link.rooms.all).map(({ identifier }) => identifier),
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
        const left = Effect.runSync(link.rooms.leave(this.rooms.get(Place.ref.make(command.name))))
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
        return this.#publish(command.place, lineOf(command.size, ++this.#sent), command.except)
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

const describeCommand = ({ _tag, ...fields }: Command): string => `${_tag} ${JSON.stringify(fields)}`

const check = (way: Way) =>
  Effect.fnUntraced(function* ({ commands }: { readonly commands: ReadonlyArray<Command> }) {
    const scope = yield* Scope.make()
    const channel = yield* Scope.provide(Channels.make({ key: Place, message: Line }), scope)
    const rooms = yield* Scope.provide(Rooms.make(LineRoom), scope)
    const system = new System(way, channel, rooms)
    /** In this turn nothing was so much that it did not wait for the end. */
    let calm = true

    const done: Array<string> = []
    const step = (name: string, action: () => void): void => {
      done.push(name)
      try {
        action()
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error)
        throw new Error(`${problem}\nafter\n  ${done.join("\n  ")}`, { cause: error })
      }
    }
    for (const command of [...commands, { _tag: "EndTurn" } as const]) {
      if ("size" in command && command.size === "large") calm = false
      step(describeCommand(command), () => {
        system.run(command)
        system.compare()
        if (command._tag !== "EndTurn") return
        for (const link of system.links) {
          link.compareAll()
          const writes = link.takeWrites()
          if (calm && !way.slow && way.extensions === "" && writes > 1) assert.fail(`${writes} writes in a turn`)
        }
        calm = true
      })
    }
    step("everybody goes", () => system.compareEnd())
    yield* Scope.close(scope, Exit.void)
  })

const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 60 })
const arbitrary = { runs: 1_000, size: 600, maxShrinks: 5_000, seed: "effect-rooms" }

describe("every connection is written what a server would write that sends every frame at once", () => {
  it.effect.prop("to the raw socket, with one write per turn", { commands }, check({ extensions: "", slow: false }), {
    arbitrary
  })
  it.effect.prop("through ws, which compresses", { commands }, check({ extensions: "permessage-deflate", slow: false }), {
    arbitrary
  })
  it.effect.prop(
    "up to the message that is over a bound of its outbox, with which it is closed once",
    { commands },
    check({ extensions: "", slow: true }),
    { arbitrary }
  )
})
