/**
 * Computers in one virtual time: which of them takes the next step, and when time goes on. The same for the same seed.
 *
 * Time passes only when no computer has anything left to do, so that a run takes as long as its steps. What waits for a
 * promise or a timer of the platform is not seen from here.
 */
import { Computer, type Surroundings } from "./clusterComputer.ts"
import { type Draw, drawFrom } from "./clusterDraw.ts"
import { type Timer, Timers } from "./clusterTimers.ts"

/** Turns without time passing after which the world is taken never to come to rest. */
const mostTurns = 1_000_000

export class World implements Surroundings {
  readonly draw: Draw
  readonly #timers = new Timers<Computer>()
  /** Those that have something to do. */
  readonly #busy: Array<Computer> = []
  readonly #outside: Computer
  /** Monotonic milliseconds since the world began. */
  now = 0

  constructor(draw: Draw) {
    this.draw = draw
    this.#outside = this.computer("outside")
  }

  /** Adds a computer, with chance of its own. */
  computer(name: string): Computer {
    return new Computer(name, this, drawFrom(Math.floor(this.draw() * 2 ** 31)))
  }

  /** Timers a computer waits for. */
  timers(of: Computer): number {
    return this.#timers.count(of)
  }

  sleep(timer: Timer<Computer>): void {
    this.#timers.push(timer)
  }

  /** Does something after some milliseconds, on no computer. */
  after(millis: number, task: () => void): void {
    this.#timers.push({ at: this.now + millis, owner: this.#outside, isOver: false, wake: task })
  }

  /** To be called when a computer has something to do. */
  wake(computer: Computer): void {
    if (!this.#busy.includes(computer)) this.#busy.push(computer)
  }

  /** Lets everything happen that happens without time passing. */
  settle(): void {
    for (let turns = 0; this.#busy.length > 0; turns++) {
      if (turns === mostTurns) throw new Error(`no rest within ${mostTurns} turns`)
      const index = this.#busy.length === 1 ? 0 : Math.floor(this.draw() * this.#busy.length)
      const computer = this.#busy[index]!
      if (!computer.turn()) this.#busy.splice(index, 1)
    }
  }

  /** Wakes the next that is due, and often what is due on the same computer, before that takes its next step. */
  #wakeNext(): void {
    const first = this.#timers.pop()!
    first.owner.due(first)
    if (this.draw() < 0.5) return
    for (let next = this.#timers.next; next?.owner === first.owner && next.at <= this.now;) {
      this.#timers.pop()
      next.owner.due(next)
      next = this.#timers.next
    }
  }

  /** Lets everything happen until that time, or until it is done. */
  runUntil(time: number, isDone: () => boolean = () => false): void {
    for (;;) {
      this.settle()
      if (isDone()) return
      const next = this.#timers.next
      if (next === undefined || next.at > time) break
      this.now = Math.max(this.now, next.at)
      this.#wakeNext()
    }
    this.now = Math.max(this.now, time)
  }
}
