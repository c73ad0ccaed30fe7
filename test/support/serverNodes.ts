/**
 * Servers of several nodes without sockets and without a network: what one writes to another arrives in the same step.
 */
import { Ref, RoomApi, Rooms } from "effect-rooms"
import { Connections, Limits, RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { CurrentPeers } from "../../src/internal/peers.ts"
import { Budget } from "../../src/websocket/internal/budget.ts"
import { makeEncoder } from "../../src/websocket/internal/codec.ts"
import { Directory } from "../../src/websocket/internal/directory.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Peer } from "../../src/websocket/internal/peer.ts"
import * as Remote from "../../src/websocket/internal/remote.ts"
import { makeFarDecoder } from "../../src/websocket/internal/remoteCodec.ts"
import * as Session from "../../src/websocket/internal/rooms.ts"
import { Wires } from "../../src/websocket/internal/wires.ts"
import type { FakeNodes } from "./fakeNodes.ts"
import { FakeSocket, FakeWebSocket, HandTurn, readFrames } from "./outbound.ts"
import { FakeConnection } from "./rooms.ts"

export class User extends Ref.Entity<User>()("User") {}
export class Hall extends Ref.Entity<Hall>()("Hall") {}

const events = { said: Schema.String }
export const HallApi = RoomApi.make("hall", { key: Hall, events, member: Schema.String })
type HallRooms = Rooms.Rooms<Hall, typeof events, string>
export type HallOptions = Rooms.Options<Hall, typeof events, string>

/** What goes over a desk: words, and what is said in halls. */
export const Message = Schema.Union([
  Schema.String,
  Schema.Struct({ event: Schema.Literal("said"), data: Schema.String })
])
type Message = typeof Message.Type
export const Desk = WebSocketRoute.make("/desk", { incoming: Schema.Never, outgoing: Message })
export const Phone = WebSocketRoute.make("/phone", { incoming: Schema.Never, outgoing: Schema.String })

/** A client that has connected. */
export class Guest {
  readonly id: string
  readonly socket = new FakeSocket()
  readonly ws = new FakeWebSocket(this.socket, "")

  constructor(id: string) {
    this.id = id
  }

  /** What it was sent since the last time. */
  taken(): ReadonlyArray<unknown> {
    return readFrames(this.socket.taken()).map((text) => JSON.parse(text) as unknown)
  }

  gone(): void {
    this.ws.gone()
  }
}

export class ServerNode {
  readonly turn: HandTurn
  readonly directory: Directory
  readonly remote: Remote.Remote
  readonly halls: HallRooms
  readonly desks: Connections.Connections<Message, undefined, undefined>
  readonly phones: Connections.Connections<string, undefined, undefined>
  readonly everywhere: Connections.Everywhere
  readonly #flusher: Flusher
  readonly #epoch: string
  #connected = 0
  encoded = 0

  constructor(
    epoch: string,
    directory: Directory,
    remote: Remote.Remote,
    halls: HallRooms,
    paths: ReadonlyArray<string>
  ) {
    this.#epoch = epoch
    this.turn = new HandTurn()
    this.#flusher = new Flusher(this.turn)
    this.directory = directory
    this.remote = remote
    this.halls = halls
    this.#serve(Desk, paths)
    this.#serve(Phone, paths)
    const server = { directory, remote } as unknown as RoomsServer.RoomsServer["Service"]
    const found = <A>(effect: Effect.Effect<A, never, RoomsServer.RoomsServer>): A =>
      Effect.runSync(Effect.provideService(effect, RoomsServer.RoomsServer, server))
    this.desks = found(Connections.of(Desk))
    this.phones = found(Connections.of(Phone))
    this.everywhere = found(Connections.everywhere)
  }

  readonly #wires = new Map<object, Wires<never>>()

  #serve<Out>(route: WebSocketRoute.WebSocketRoute<never, Out, {}, {}, undefined>, paths: ReadonlyArray<string>): void {
    if (!paths.includes(route.path)) return
    const { outgoing } = route.options
    const plain = makeEncoder(outgoing)
    const encode = (message: Out) => {
      this.encoded++
      return plain(message)
    }
    const wires = new Wires<Out>({ flusher: this.#flusher, encode, onFailure: () => {}, onDelivered: () => {} })
    this.#wires.set(route, wires)
    this.directory.addRoute(route, encode, wires, { path: route.path, decode: makeFarDecoder(outgoing) })
  }

  connect(route: { readonly path: string }, user?: Ref.AnyRef): Guest {
    const guest = new Guest(`${this.#epoch}-c${++this.#connected}`)
    const peer = new Peer(guest.ws as unknown as WebSocket, guest.socket as unknown as Duplex, {
      limits: Limits.defaults,
      flusher: this.#flusher,
      budget: new Budget(Number.POSITIVE_INFINITY),
      isRepeat: () => false
    })
    const fake = new FakeConnection(guest.id)
    peer.listen({ onText: () => {}, onClose: () => fake.close() })
    const { onClose, quota } = fake
    const close = (code?: number, reason?: string) => peer.close(code, reason)
    const more = { principal: undefined, data: undefined, remoteAddress: undefined }
    const connection = { ...more, id: guest.id, user, close, onClose, quota }
    const own = new Session.Rooms<never>(connection, peer.outbox, this.#wires.get(route)!)
    const entry = { route, connection, peer, own }
    this.directory.add(entry)
    onClose(() => this.directory.remove(entry))
    onClose(this.directory.route(route)!.everybody.join(peer.outbox, guest.id))
    return guest
  }
}

/** A node with a server and halls, until the scope closes. */
export const serverNode = Effect.fnUntraced(function* (
  nodes: FakeNodes,
  epoch: string,
  options: { readonly halls?: HallOptions; readonly paths?: ReadonlyArray<string> } = {}
) {
  const peers = nodes.peers(epoch)
  const directory = new Directory()
  const remote = yield* Remote.make(peers, directory)
  const halls = yield* Effect.provideService(Rooms.make(HallApi, options.halls), CurrentPeers, peers)
  return new ServerNode(epoch, directory, remote!, halls, options.paths ?? ["/desk", "/phone"])
})
