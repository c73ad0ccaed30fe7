/**
 * One node under test: a bus of its own, and listeners that keep what they hear.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { BusEvent, BusHealth, EventBusService } from "../../cluster/EventBusService.ts"
import type { EventBusError } from "../../cluster/EventBusError.ts"
import { type Difference, differs } from "./difference.ts"
import { answers, succeeds } from "./waiting.ts"

/** Keeps what arrives on a topic at a node. */
export class Listener {
  readonly observable: string
  readonly ordered: boolean
  readonly #scope: Scope.Closeable
  events: Array<BusEvent> = []

  constructor(node: string, topic: string, ordered: boolean, scope: Scope.Closeable) {
    this.observable = `what ${node} hears of ${JSON.stringify(topic)}`
    this.ordered = ordered
    this.#scope = scope
  }

  get payloads(): ReadonlyArray<string> {
    return this.events.flatMap((event) => (event._tag === "Message" ? [event.payload] : []))
  }

  /** Whether messages flow, as far as it was told. */
  get isLive(): boolean {
    const last = this.events.findLast((event) => event._tag === "Gap")
    return last === undefined || last.reason !== "unreachable"
  }

  get gaps(): number {
    return this.events.filter((event) => event._tag === "Gap").length
  }

  forget(): void {
    this.events = []
  }

  get stop(): Effect.Effect<void> {
    return Scope.close(this.#scope, Exit.void)
  }
}

/** What the bus fails with unasked is a difference. */
export class Node {
  readonly name: string
  readonly bus: EventBusService
  readonly #scope: Scope.Closeable
  readonly #answered: Duration.Duration

  constructor(name: string, bus: EventBusService, scope: Scope.Closeable, answered: Duration.Duration) {
    this.name = name
    this.bus = bus
    this.#scope = scope
    this.#answered = answered
  }

  get health(): Effect.Effect<BusHealth["_tag"]> {
    return Effect.map(this.bus.health, (health) => health._tag)
  }

  get close(): Effect.Effect<void, Difference> {
    return Effect.asVoid(answers(`closing ${this.name}`, Scope.close(this.#scope, Exit.void), this.#answered))
  }

  publish(topic: string, payload: string): Effect.Effect<void, Difference> {
    const observable = `publishing to ${JSON.stringify(topic)} at ${this.name}`
    return succeeds(observable, this.bus.publish(topic, payload), this.#answered)
  }

  /** Hands all over at once. */
  publishAll(topic: string, payloads: ReadonlyArray<string>): Effect.Effect<void, Difference> {
    return Effect.forEach(payloads, (payload) => this.publish(topic, payload), {
      concurrency: "unbounded",
      discard: true
    })
  }

  /** Listens until `stop`; what the bus answers is for the caller to judge. */
  tryListen(topic: string): Effect.Effect<readonly [Listener, Exit.Exit<void, EventBusError>], Difference> {
    return Effect.suspend(() => {
      const scope = Scope.forkUnsafe(this.#scope)
      const listener = new Listener(this.name, topic, this.bus.ordered, scope)
      const subscribe = this.bus.subscribe(topic, (event) => void listener.events.push(event))
      const observable = `subscribing to ${JSON.stringify(topic)} at ${this.name}`
      return Effect.map(answers(observable, Scope.provide(subscribe, scope), this.#answered), (exit) => [
        listener,
        exit
      ])
    })
  }

  listen(topic: string): Effect.Effect<Listener, Difference> {
    return Effect.flatMap(this.tryListen(topic), ([listener, exit]) =>
      Exit.isSuccess(exit)
        ? Effect.succeed(listener)
        : differs(`subscribing to ${JSON.stringify(topic)} at ${this.name}`, "success", "failure", exit.cause)
    )
  }
}
