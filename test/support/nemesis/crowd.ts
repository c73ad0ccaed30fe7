/**
 * All clients of the fault test.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { Client, type Surroundings } from "./client.ts"
import { makeDraw, shuffle } from "./draw.ts"

export interface CrowdOptions extends Omit<Surroundings, "draw" | "closed" | "codes"> {
  readonly clients: number
  /** Messages a client says in a second. */
  readonly rate: number
  readonly seed: number
}

/** Milliseconds. */
const tick = 20

export class Crowd implements AsyncDisposable {
  readonly clients: ReadonlyArray<Client>
  /** How many connections have ended with which code. */
  readonly codes = new Map<number, number>()
  readonly #rate: number
  #closed = false
  #lives: ReadonlyArray<Promise<void>> = []
  #talking: NodeJS.Timeout | undefined
  #due = 0
  #next = 0

  constructor(options: CrowdOptions) {
    this.#rate = options.rate
    const shared = { ...options, draw: makeDraw(options.seed), closed: () => this.#closed, codes: this.codes }
    this.clients = Array.from({ length: options.clients }, (_, index) => new Client(shared, index))
  }

  /** Everybody connects, a few at a time. */
  async come(): Promise<void> {
    const lives: Array<Promise<void>> = []
    for (const [index, client] of this.clients.entries()) {
      lives.push(client.live())
      if (index % 10 === 9) await sleep(10)
    }
    this.#lives = lives
  }

  /** Those who want to be in their rooms, and are not. */
  get absent(): ReadonlyArray<Client> {
    return this.clients.filter(({ isGone, isIn }) => !isIn && !isGone)
  }

  /** A share of the clients leaves for good, every other one without a word. */
  dismiss(share: number): void {
    const leaving = this.clients.slice(0, Math.ceil(this.clients.length * share))
    for (const [index, client] of leaving.entries()) client.leave(index % 2 === 0)
  }

  /** By room, the sessions of those who are in. */
  get sessions(): Readonly<Record<string, ReadonlyArray<string>>> {
    const sessions: Record<string, Array<string>> = {}
    for (const { isIn, rooms, session } of this.clients) {
      if (isIn) for (const room of rooms) (sessions[room] ??= []).push(session)
    }
    return sessions
  }

  userOf(session: string): string {
    return this.clients[Number(session.slice(1))]!.user
  }

  /** One after the other says something, as many a second as the rate asks for. */
  talk(): void {
    let last = performance.now()
    this.#talking = setInterval(() => {
      const now = performance.now()
      // After a pause of this process nothing is made up for.
      this.#due += Math.min(now - last, 5 * tick) * (this.#rate / 1_000) * this.clients.length
      last = now
      for (; this.#due >= 1; this.#due--) this.clients[this.#next++ % this.clients.length]!.say()
    }, tick)
  }

  beQuiet(): void {
    clearInterval(this.#talking)
  }

  /** A share of the clients, the same for the same seed. */
  some(share: number, seed: number): ReadonlyArray<Client> {
    return shuffle(makeDraw(seed), this.clients).slice(0, Math.ceil(this.clients.length * share))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.beQuiet()
    for (const client of this.clients) client.goHome()
    await Promise.all(this.#lives)
  }
}
