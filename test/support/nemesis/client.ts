/**
 * One client of the fault test: it talks, writes down what it hears, and comes back when it loses its connection.
 */
import type { Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { WebSocket } from "ws"
import { type Draw, pick, shuffle } from "./draw.ts"
import type { Connection, History } from "./history.ts"
import type { NodeProcess } from "./nodeProcess.ts"
import { feedsOf, type FromClient, type FromNode, roomName } from "./protocol.ts"

/** What all clients share. */
export interface Surroundings {
  readonly history: History
  readonly nodes: ReadonlyArray<NodeProcess>
  readonly rooms: number
  readonly draw: Draw
  /** Whether everybody goes home. */
  readonly closed: () => boolean
  /** How many connections have ended with which code. */
  readonly codes: Map<number, number>
  readonly onProblem: (problem: string) => void
}

/**
 * Milliseconds a handshake may take, and entering the rooms after it: longer than a node is frozen, since one that finds
 * the client gone must not find first that it wants to come in.
 */
const handshake = 2_000
const entering = 10_000
/** Milliseconds until the first new attempt, at random; doubled with each failure up to the last. */
const firstWait = 100
const lastWait = 2_000
/** Rooms of one client, and devices of one user. */
const roomsEach = 2
const devicesEach = 3

/** How connections may end while things go wrong: nobody has closed them properly, or the node has stopped. */
const expectedCodes: ReadonlySet<number> = new Set([1006, 1012])

/** How a connection ended. */
interface Ended {
  readonly entered: boolean
  readonly code: number
  readonly reason: string
}

export class Client {
  readonly session: string
  readonly user: string
  readonly rooms: ReadonlyArray<string>
  readonly #shared: Surroundings
  readonly #home: NodeProcess
  /** It has left, and does not come back. */
  isGone = false
  #connections = 0
  #socket: WebSocket | undefined
  #connection: Connection | undefined

  constructor(shared: Surroundings, index: number) {
    this.#shared = shared
    this.session = `s${index}`
    this.user = `u${Math.floor(index / devicesEach)}`
    this.#home = shared.nodes[index % shared.nodes.length]!
    const names = Array.from({ length: shared.rooms }, (_, room) => roomName(room))
    this.rooms = shuffle(shared.draw, names).slice(0, roomsEach)
  }

  /** Whether it is in its rooms. */
  get isIn(): boolean {
    return this.#connection?.enteredAt !== undefined
  }

  /** Connects, and again, until the crowd goes home. */
  async live(): Promise<void> {
    const { closed, draw } = this.#shared
    let [failures, before]: [number, NodeProcess | undefined] = [0, undefined]
    while (!closed() && !this.isGone) {
      const node: NodeProcess | undefined = before === undefined ? this.#home : this.#another(before)
      if (node?.life === undefined) {
        before ??= this.#home
        await sleep(50)
        continue
      }
      const { code, entered, reason } = await this.#connect(node)
      before = node
      failures = entered ? 0 : failures + 1
      if (closed() || this.isGone) return
      const told = /^retryInMs=(\d+)$/.exec(reason)?.[1]
      await sleep(
        code === 1012 && told !== undefined ? Number(told) : draw() * Math.min(lastWait, firstWait * 2 ** failures)
      )
    }
  }

  /** Another node that runs, or the same where there is no other. */
  #another(before: NodeProcess): NodeProcess | undefined {
    const running = this.#shared.nodes.filter(({ life }) => life !== undefined)
    const others = running.filter((node) => node !== before)
    return pick(this.#shared.draw, others.length > 0 ? others : running)
  }

  #connect(node: NodeProcess): Promise<Ended> {
    const { codes, history, onProblem } = this.#shared
    const id = `${this.session}.${++this.#connections}`
    const query = new URLSearchParams({ id, session: this.session, user: this.user, rooms: this.rooms.join(",") })
    const connection = history.connect(id, node.life!.id, this.rooms.flatMap(feedsOf), performance.now())
    const socket = new WebSocket(`ws://127.0.0.1:${node.port}/connect?${query}`, {
      handshakeTimeout: handshake,
      perMessageDeflate: false
    })
    this.#socket = socket
    this.#connection = connection
    const impatience = setTimeout(() => {
      if (connection.enteredAt === undefined) socket.terminate()
    }, entering)
    let [isOpen, error] = [false, ""]
    // What follows every error is `close`.
    socket.on("error", (cause) => (error = cause.message))
    socket.on("open", () => {
      isOpen = true
      send(socket, { type: "enter" })
    })
    socket.on("message", (data) => this.#hear(connection, JSON.parse((data as Buffer).toString()) as FromNode))
    return new Promise((resolve) => {
      socket.once("close", (code, reason) => {
        clearTimeout(impatience)
        connection.closedAt = performance.now()
        this.#socket = undefined
        this.#connection = undefined
        if (isOpen && !this.#shared.closed()) {
          codes.set(code, (codes.get(code) ?? 0) + 1)
          if (!expectedCodes.has(code) && !this.isGone) {
            onProblem(`${id} on ${connection.life} was closed with ${code} ${String(reason)} ${error}`)
          }
        }
        resolve({ entered: connection.enteredAt !== undefined, code, reason: String(reason) })
      })
    })
  }

  #hear(connection: Connection, message: FromNode): void {
    const { history, onProblem } = this.#shared
    switch (message.type) {
      case "entered":
        connection.enteredAt = performance.now()
        return
      case "said":
        return history.hear(connection, message.feed, { by: message.by, seq: message.seq })
      case "gap":
        return history.hear(connection, message.feed, { missed: message.missed, reason: message.reason })
      case "acked": {
        const publish = history.find(connection.id, message.feed, message.seq)
        if (publish === undefined) onProblem(`${connection.id} is told of ${message.feed} #${message.seq}, never said`)
        else publish.reached = message.reached
        return
      }
      default:
        onProblem(`${connection.id} was answered ${JSON.stringify(message)}`)
    }
  }

  /** Says something, most of the time to the same feed; now and then several things at once. */
  say(): void {
    const { draw, history } = this.#shared
    const [connection, socket] = [this.#connection, this.#socket]
    if (connection?.enteredAt === undefined || socket?.readyState !== WebSocket.OPEN) return
    const room = draw() < 0.7 ? this.rooms[0]! : pick(draw, this.rooms)
    const kind = draw() < 0.7 ? "line" : "hall"
    const [line, hall] = feedsOf(room)
    for (let left = draw() < 0.2 ? 3 : 1; left > 0; left--) {
      const { seq } = history.publish(connection.id, kind === "line" ? line : hall, performance.now())
      send(socket, { type: "say", kind, room, seq })
    }
  }

  /**
   * Cuts the connection off with a TCP reset, if it is in its rooms: else a node could let it in after it has gone, and
   * nobody knows which of two connections is the later one.
   */
  reset(): void {
    const socket = this.#socket
    if (this.isIn && socket?.readyState === WebSocket.OPEN) rawSocketOf(socket).resetAndDestroy()
  }

  /** Reads nothing for a while. */
  async stall(millis: number): Promise<void> {
    const socket = this.#socket
    if (socket?.readyState !== WebSocket.OPEN) return
    socket.pause()
    await sleep(millis)
    socket.resume()
  }

  /** Leaves for good; politely, or as one whose machine is switched off. */
  leave(politely: boolean): void {
    this.isGone = true
    if (politely) this.#socket?.close(1000)
    else this.reset()
  }

  goHome(): void {
    this.#socket?.terminate()
  }
}

const send = (socket: WebSocket, message: FromClient): void => socket.send(JSON.stringify(message))

/** The TCP socket under a `ws` client, which its types do not show. */
const rawSocketOf = (socket: WebSocket): Socket => (socket as unknown as { readonly _socket: Socket })._socket
