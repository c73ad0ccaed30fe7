/**
 * All clients of a run, by room, and what was sent and received in each.
 */
import { Client, type ClientEvents } from "./client.ts"
import { dialects } from "./dialects.ts"
import { startSpan } from "./cpu.ts"
import { Latencies } from "./latencies.ts"
import type { Open, Opened } from "./messages.ts"

export interface CrowdRoom {
  readonly name: string
  readonly members: Array<Client>
  sent: number
  received: number
  /** Whose turn it is to publish. */
  next: number
  /** Has received something since the last look. */
  touched: boolean
}

/** How many members tell the times of what they receive. */
const samplers = 32

export class Crowd {
  readonly options: Open
  readonly rooms: Array<CrowdRoom> = []
  readonly latencies = new Latencies()
  /** Why connections ended that nobody closed here. */
  readonly ended: Array<string> = []
  /** Members that do not read. They publish nothing, and what they miss is not lost. */
  readonly stalled = new Set<Client>()
  received = 0
  /** Rooms that have received something since the last look. */
  touched: Array<CrowdRoom> = []
  /** Called for every chunk of messages. */
  onMessages: (client: Client) => void = () => {}
  #onJoined: (client: Client | undefined) => void = () => {}

  constructor(options: Open) {
    this.options = options
  }

  get clients(): ReadonlyArray<Client> {
    return this.rooms.flatMap((room) => room.members)
  }

  /** Connects the clients, the next as soon as one has joined. */
  open(): Promise<Opened> {
    const { concurrency, dialect, far, members, port, rooms } = this.options
    for (let i = 0; i < rooms; i++) {
      this.rooms.push({ name: `r${i}`, members: [], sent: 0, received: 0, next: 0, touched: false })
    }
    const total = rooms * members
    const span = startSpan(this.options.serverPid, this.options.morePids)
    let started = 0
    let joined = 0
    let failed = 0
    return new Promise((resolve) => {
      const connect = () => {
        if (started === total) return
        const room = this.rooms[Math.floor(started++ / members)]!
        const near = far === undefined || room.members.length < far.near
        const client = new Client({
          port: near ? port : far.port,
          dialect: dialects[dialect],
          room: room.name,
          events: this.#eventsOf(room)
        })
        room.members.push(client)
      }
      this.#onJoined = (client) => {
        if (client === undefined) failed++
        else joined++
        if (joined + failed < total) return connect()
        this.#onJoined = () => {}
        resolve({ joined, ...span(), failures: this.ended.splice(0) })
      }
      for (let i = 0; i < concurrency; i++) connect()
    })
  }

  /** Makes some members, evenly spread, read the time of every n-th message. */
  sample(every: number): void {
    const { clients } = this
    const stride = Math.max(1, Math.floor(clients.length / samplers))
    // The last of each stretch: servers that write member by member reach the last member last.
    for (const [index, client] of clients.entries()) client.sampleEvery = index % stride === stride - 1 ? every : 0
  }

  /** Stops reading at some members of the first room, evenly spread; what is published later does not count them. */
  stall(count: number): void {
    const [room] = this.rooms
    const stride = Math.floor(room!.members.length / count)
    for (let i = count - 1; i >= 0; i--) {
      const [client] = room!.members.splice(i * stride, 1)
      client!.stall()
      this.stalled.add(client!)
    }
    room!.next = 0
  }

  /** Connects one more member of the first room, which stops reading as soon as it has joined. */
  addStalled(): void {
    const { dialect, port } = this.options
    const [room] = this.rooms
    const events: ClientEvents = { ...this.#eventsOf(room!), onJoined: (client) => client.stall() }
    this.stalled.add(new Client({ port, dialect: dialects[dialect], room: room!.name, events }))
  }

  reset(): void {
    for (const client of this.clients) client.reset()
    for (const client of this.stalled) client.reset()
  }

  #eventsOf(room: CrowdRoom): ClientEvents {
    return {
      onJoined: (client) => this.#onJoined(client),
      onMessages: (client, count) => {
        if (this.stalled.has(client)) return
        this.received += count
        room.received += count
        if (!room.touched) {
          room.touched = true
          this.touched.push(room)
        }
        this.onMessages(client)
      },
      onLatency: (latency) => this.latencies.add(latency),
      onEnd: (client, reason) => {
        if (this.stalled.has(client)) return
        this.ended.push(reason)
        this.#onJoined(undefined)
      }
    }
  }
}
