/**
 * What one turn hands to a NATS server travels together and is answered together.
 *
 * Publishing in NATS is not answered, and neither is subscribing, unless the server minds. A `PING` after the commands
 * of a turn is: when its `PONG` is back the server has seen them all, and whatever it minded came before. This is one
 * flight; everything that boarded it shares the wait.
 */
import * as Deferred from "effect/Deferred"
import * as Exit from "effect/Exit"
import type { Turn } from "../../../internal/turn.ts"
import type { EventBusError } from "../../EventBusError.ts"

export interface Flight {
  readonly landed: Deferred.Deferred<void, EventBusError>
  /** Subjects nobody may publish to. */
  refused: Set<string> | undefined
  /** What else the server said while the flight was under way. */
  complaint: string | undefined
}

export class Flights {
  readonly #ping: () => Promise<void>
  readonly #turn: Turn
  readonly #underWay = new Set<Flight>()
  #boarding: Flight | undefined
  #over: EventBusError | undefined

  /** `ping` writes what the client has collected and a `PING`. */
  constructor(ping: () => Promise<void>, turn: Turn) {
    this.#ping = ping
    this.#turn = turn
  }

  /** Why nothing flies any more. */
  get over(): EventBusError | undefined {
    return this.#over
  }

  /** The flight of this turn. To be called before the client gets the command. */
  board(): Flight {
    if (this.#boarding !== undefined) return this.#boarding
    const flight: Flight = { landed: Deferred.makeUnsafe(), refused: undefined, complaint: undefined }
    this.#boarding = flight
    this.#underWay.add(flight)
    // The client writes in a microtask that it asks for with the first command. This one comes before it, so that all
    // goes out in one write.
    queueMicrotask(() => this.#depart(flight))
    return flight
  }

  /** The server minds publishing to a subject. Flights without it do not ask. */
  refuse(subject: string): void {
    for (const flight of this.#underWay) (flight.refused ??= new Set()).add(subject)
  }

  complain(complaint: string): void {
    for (const flight of this.#underWay) flight.complaint ??= complaint
  }

  /** Fails all that is under way. */
  end(error: EventBusError): void {
    this.#over ??= error
    for (const flight of this.#underWay) this.#land(flight, Exit.fail(error))
  }

  #depart(flight: Flight): void {
    this.#boarding = undefined
    if (this.#over !== undefined) return this.#land(flight, Exit.fail(this.#over))
    this.#ping().then(
      // Complaints reach us some microtasks after they were read: one that came with the answer is still on its way.
      () => this.#turn.atEnd(() => this.#land(flight, Exit.void)),
      // The connection is over; whoever notices says why.
      () => {}
    )
  }

  #land(flight: Flight, exit: Exit.Exit<void, EventBusError>): void {
    if (this.#underWay.delete(flight)) Deferred.doneUnsafe(flight.landed, exit)
  }
}
