/**
 * Where a bus is put to the test: nodes on one broker, and what they and their listeners should come to.
 *
 * Nothing sleeps for long enough to be right, but for `quiet`: what was not heard until then was not sent.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { EventBusError } from "../../cluster/EventBusError.ts"
import type { BusHealth, EventBusService } from "../../cluster/EventBusService.ts"
import { type Listener, Node } from "./busNode.ts"
import type { Difference } from "./difference.ts"
import { answers, eventually, fails, sameList, succeeds } from "./waiting.ts"

/** What the kit does to a broker. */
export interface BenchFaults {
  readonly kill: Effect.Effect<void>
  readonly restart: Effect.Effect<void>
  readonly stall: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  readonly cut: Effect.Effect<void>
  readonly refuseDials: (attempts: number) => Effect.Effect<void>
  readonly refuse: Effect.Effect<string>
  readonly allow: Effect.Effect<void>
}

export interface BenchBounds {
  readonly delivered: Duration.Duration
  readonly answered: Duration.Duration
  readonly noticed: Duration.Duration
  readonly recovered: Duration.Duration
  readonly quiet: Duration.Duration
}

export interface BenchOptions {
  readonly build: (name: string) => Effect.Effect<EventBusService, unknown, Scope.Scope>
  readonly faults: BenchFaults
  readonly bounds: BenchBounds
  /** Keeps the topics of this run apart from those of others on the same broker. */
  readonly tag: string
  readonly scope: Scope.Scope
}

export class Bench {
  readonly #options: BenchOptions
  readonly bounds: BenchBounds
  readonly faults: BenchFaults
  #nodes = 0

  constructor(options: BenchOptions) {
    this.#options = options
    this.bounds = options.bounds
    this.faults = options.faults
  }

  topic(name: string): string {
    return `${this.#options.tag}:${name}`
  }

  /** A node that may not have a broker. */
  readonly bareNode: Effect.Effect<Node, Difference> = Effect.suspend(() => {
    const name = String.fromCodePoint(97 + this.#nodes++)
    const scope = Scope.forkUnsafe(this.#options.scope)
    const build = Scope.provide(this.#options.build(`${this.#options.tag}-${name}`), scope)
    return Effect.map(
      this.succeeds(`making the node ${name}`, build),
      (bus) => new Node(name, bus, scope, this.bounds.answered)
    )
  })

  /** A node that works. */
  readonly node: Effect.Effect<Node, Difference> = Effect.tap(
    Effect.suspend(() => this.bareNode),
    (node) => this.up([node])
  )

  get pair(): Effect.Effect<readonly [Node, Node], Difference> {
    return Effect.all([this.node, this.node])
  }

  eventually(
    observable: string,
    expected: unknown,
    actual: () => unknown,
    within: Duration.Duration
  ): Effect.Effect<void, Difference> {
    return eventually(observable, expected, Effect.sync(actual), within)
  }

  /** The health of a node as it is told to change, from now on. */
  watch(node: Node): Effect.Effect<ReadonlyArray<BusHealth>> {
    const changes: Array<BusHealth> = []
    const run = Stream.runForEach(node.bus.healthChanges, (health) => Effect.sync(() => changes.push(health)))
    return Effect.as(Effect.forkIn(run, this.#options.scope), changes)
  }

  health(
    nodes: ReadonlyArray<Node>,
    expected: BusHealth["_tag"],
    within: Duration.Duration
  ): Effect.Effect<void, Difference> {
    return Effect.forEach(nodes, (node) => eventually(`health of ${node.name}`, expected, node.health, within), {
      concurrency: "unbounded",
      discard: true
    })
  }

  up(nodes: ReadonlyArray<Node>): Effect.Effect<void, Difference> {
    return this.health(nodes, "Up", this.bounds.recovered)
  }

  degraded(nodes: ReadonlyArray<Node>): Effect.Effect<void, Difference> {
    return this.health(nodes, "Degraded", this.bounds.noticed)
  }

  /** Every one of them has been told that messages may be missing. */
  told(listeners: ReadonlyArray<Listener>, within = this.bounds.noticed): Effect.Effect<void, Difference> {
    return this.#each(listeners, "a Gap", (listener) => (listener.gaps > 0 ? "a Gap" : "no Gap"), within)
  }

  /** Every one of them has been told that messages flow again. */
  live(listeners: ReadonlyArray<Listener>, within = this.bounds.recovered): Effect.Effect<void, Difference> {
    return this.#each(
      listeners,
      "told to be live again",
      (listener) => (listener.gaps > 0 && listener.isLive ? "told to be live again" : listener.events),
      within
    )
  }

  #each(
    listeners: ReadonlyArray<Listener>,
    expected: string,
    actual: (listener: Listener) => unknown,
    within: Duration.Duration
  ): Effect.Effect<void, Difference> {
    return Effect.forEach(
      listeners,
      (listener) => this.eventually(listener.observable, expected, () => actual(listener), within),
      { concurrency: "unbounded", discard: true }
    )
  }

  /** Each hears these messages, in this order where the bus keeps one, and then nothing more. */
  readonly hear = Effect.fnUntraced(function* (
    this: Bench,
    ...expectations: ReadonlyArray<readonly [Listener, ReadonlyArray<string>]>
  ): Effect.fn.Return<void, Difference> {
    const { delivered, quiet } = this.bounds
    const enough = () => expectations.every(([listener, expected]) => listener.payloads.length >= expected.length)
    yield* Effect.ignore(this.eventually("arrival", true, enough, delivered))
    yield* Effect.sleep(quiet)
    for (const [listener, expected] of expectations) {
      const arrange = (payloads: ReadonlyArray<string>) => (listener.ordered ? payloads : payloads.toSorted())
      yield* sameList(listener.observable, arrange(expected), arrange(listener.payloads))
    }
  })

  answers<A, E>(observable: string, effect: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>, Difference> {
    return answers(observable, effect, this.bounds.answered)
  }

  succeeds<A, E>(observable: string, effect: Effect.Effect<A, E>): Effect.Effect<A, Difference> {
    return succeeds(observable, effect, this.bounds.answered)
  }

  fails<A>(
    observable: string,
    effect: Effect.Effect<A, EventBusError>,
    reason: EventBusError["reason"]["_tag"]
  ): Effect.Effect<EventBusError["reason"], Difference> {
    return fails(observable, effect, reason, this.bounds.answered)
  }
}
