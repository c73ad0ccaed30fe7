/**
 * A simulated network of nodes in one process, for tests: an event bus for each node, and every fault a broker, a network
 * or a node can have, to be switched on and off while it runs.
 *
 * The buses are the ones real brokers have, with a driver that passes messages in memory. Time is that of the `Clock`
 * and chance that of `Random`, so with `TestClock` and a seed a run is the same each time.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Turn from "../internal/turn.ts"
import { EventBus, type EventBusService } from "./EventBus.ts"
import * as Bus from "./internal/bus/bus.ts"
import { Broker, Machine } from "./internal/memory/broker.ts"
import { Deliveries } from "./internal/memory/deliveries.ts"
import * as MemoryDriver from "./internal/memory/driver.ts"
import { change, type FaultsInput, type Span as SpanOf } from "./internal/memory/faults.ts"

/** A time, or a range of which each use draws one. */
export type Span = SpanOf

/** What can be wrong with a network; what is left out stays as it is. */
export interface Faults extends FaultsInput {}

/** The times a bus keeps; those of every other bus by default. */
export interface BusOptions extends Bus.Options {}

/** What a network is made from. */
export interface Options extends Faults {
  /** Bytes of a payload, at most; 1 MiB by default. */
  readonly maxPayload?: number | undefined
  /** What buses say about their order; true by default, whatever is reordered. */
  readonly ordered?: boolean | undefined
  /** Messages under way, at most; 100,000 by default. What comes above is dropped, counted, and told to listeners. */
  readonly maxInFlight?: number | undefined
}

/** Counts of a network since it was made. */
export interface Counts {
  /** Payloads the broker took, without the probes buses send to themselves. */
  readonly published: number
  /** Messages under way now. */
  readonly inFlight: number
  /** Messages dropped because too many were under way. */
  readonly overflows: number
  /** Attempts to connect. */
  readonly dials: number
}

/** Names one node or, left out, means all of them. */
type Node = string | undefined

/**
 * A simulated network: nodes by name, and a broker between them. Needs no closing; what is under way ends by itself.
 *
 * A message belongs to what was the matter when it was published: a partition lets through what is under way. What is
 * said here about a node applies to every bus with its name.
 */
export interface Network {
  /** Makes the bus of a node that lives until the scope closes. Each call makes one, with a connection of its own. */
  readonly bus: (node: string, options?: BusOptions) => Effect.Effect<EventBusService, never, Scope.Scope>
  /** Provides the bus of a node; each call is a layer of its own, and each build a bus of its own. */
  readonly layer: (node: string, options?: BusOptions) => Layer.Layer<EventBus>

  /** Changes what is wrong with the network. Dies with a `RangeError` when that is not possible. */
  readonly set: (faults: Faults) => Effect.Effect<void>
  /** Loses what a node sends to another; the other way stays open. */
  readonly partition: (from: string, to: string) => Effect.Effect<void>
  /** Ends a partition, those from a node, or all. */
  readonly heal: (from?: Node, to?: Node) => Effect.Effect<void>
  /** Lets the broker refuse a topic: to whoever subscribes, or publishes, or both by default. */
  readonly refuse: (topic: string, verb?: "publish" | "subscribe") => Effect.Effect<void>
  /** Ends the refusal of a topic. */
  readonly allow: (topic: string) => Effect.Effect<void>
  /**
   * Lets the broker stand still, or what is between it and a node: nothing gets through, and nothing fails. Up to
   * `maxInFlight` messages wait.
   */
  readonly stall: (node?: Node) => Effect.Effect<void>
  /** Ends a stall; what waited goes on as far as its connection is still there. */
  readonly resume: (node?: Node) => Effect.Effect<void>
  /** Ends all connections, or those of a node, which may connect again at once. */
  readonly cut: (node?: Node) => Effect.Effect<void>
  /** Ends the broker: all connections are lost, what it knew is gone, and nobody can connect. */
  readonly crash: Effect.Effect<void>
  /** Starts the broker again. */
  readonly restart: Effect.Effect<void>
  /** Refuses so many attempts to connect. */
  readonly refuseDials: (attempts: number) => Effect.Effect<void>
  /** Ends the node as far as others can tell: its buses never say or hear anything again. A new bus may take its name. */
  readonly crashNode: (node: string) => Effect.Effect<void>
  /** Lets subscriptions of a node be live later than they would be, while it can publish; zero ends that. */
  readonly late: (node: string, by: Duration.Input) => Effect.Effect<void>

  /** Counts payloads the broker took for a topic. */
  readonly published: (topic: string) => Effect.Effect<number>
  readonly counts: Effect.Effect<Counts>
  /** Lists the topics the broker delivers to a node, without those of probes; each as often as it delivers them. */
  readonly subscribed: (node: string) => Effect.Effect<ReadonlyArray<string>>
}

const isProbe = (topic: string): boolean => topic.startsWith(Bus.probePrefix)

/**
 * Makes a network without faults, or with those given.
 *
 * Without latency messages arrive at the end of the turn in which they are published. Dies with a `RangeError` when an
 * option is not possible.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MemoryBus } from "effect-rooms/cluster"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemoryBus.make({ latency: { min: "1 millis", max: "20 millis" } })
 *   const a = yield* network.bus("a")
 *   const b = yield* network.bus("b")
 *   yield* b.subscribe("greetings", (event) => console.log(event))
 *   yield* network.partition("a", "b")
 *   yield* a.publish("greetings", "lost")
 *   yield* network.heal()
 *   yield* a.publish("greetings", "hello")
 *   yield* Effect.sleep("20 millis")
 * }).pipe(Effect.scoped)
 *
 * await Effect.runPromise(program)
 * ```
 */
export const make = Effect.fnUntraced(function* (options: Options = {}): Effect.fn.Return<Network> {
  const { maxInFlight = 100_000, maxPayload = 2 ** 20, ordered = true } = options
  for (const [name, value] of Object.entries({ maxInFlight, maxPayload })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} has to be a whole number from 1`)
  }
  const context = yield* Effect.context()
  const random = yield* Random.Random
  // What sleeps here is as many fibers as there are latencies at most, each for one of them.
  const fork = Effect.runForkWith(Context.omit(Scope.Scope)(context))
  const deliveries = new Deliveries({ clock: yield* Clock.Clock, turn: yield* Turn.make, fork })
  const broker = new Broker({ deliveries, random: () => random.nextDoubleUnsafe(), maxInFlight })
  broker.faults = change(broker.faults, options)
  const machines = new Set<Machine>()

  const bus: Network["bus"] = (node, busOptions) =>
    Effect.flatMap(
      Effect.acquireRelease(
        Effect.sync(() => {
          const machine = new Machine(node)
          machines.add(machine)
          return machine
        }),
        (machine) => Effect.sync(() => machines.delete(machine))
      ),
      (machine) => Bus.make(MemoryDriver.make(broker, machine, { maxPayload, ordered }), busOptions)
    )

  return {
    bus,
    layer: (node, busOptions) => Layer.effect(EventBus, bus(node, busOptions)),
    set: (faults) =>
      Effect.sync(() => {
        broker.faults = change(broker.faults, faults)
      }),
    partition: (from, to) => Effect.sync(() => broker.partition(from, to)),
    heal: (from, to) => Effect.sync(() => broker.heal(from, to)),
    refuse: (topic, verb) =>
      Effect.sync(() => broker.refuse(topic, verb === undefined ? ["publish", "subscribe"] : [verb])),
    allow: (topic) => Effect.sync(() => broker.allow(topic)),
    stall: (node) => Effect.sync(() => broker.stall(node)),
    resume: (node) => Effect.sync(() => broker.resume(node)),
    cut: (node) => Effect.sync(() => broker.cut(node)),
    crash: Effect.sync(() => broker.crash()),
    restart: Effect.sync(() => broker.restart()),
    refuseDials: (attempts) => Effect.sync(() => broker.refuseDials(attempts)),
    crashNode: (node) =>
      Effect.sync(() => {
        for (const machine of machines) if (machine.name === node) broker.crashMachine(machine)
      }),
    late: (node, by) =>
      Effect.sync(() => broker.late(node, Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(by))))),
    published: (topic) => Effect.sync(() => broker.published.get(topic) ?? 0),
    counts: Effect.sync(() => {
      let published = 0
      for (const [topic, count] of broker.published) if (!isProbe(topic)) published += count
      const { dials, inFlight, overflows } = broker
      return { published, inFlight, overflows, dials }
    }),
    subscribed: (node) =>
      Effect.sync(() =>
        Array.from(broker.connections).flatMap(({ machine, topics }) =>
          machine.name === node ? Array.from(topics).filter((topic) => !isProbe(topic)) : []
        )
      )
  }
})

/**
 * Provides a bus on a network of its own: who shares the layer shares the bus, and hears what the others publish.
 *
 * For one process that needs no broker. Nodes that are to be told apart, or to lose each other, are made by `make`.
 */
export const layer = (options?: Options): Layer.Layer<EventBus> =>
  Layer.effect(
    EventBus,
    Effect.flatMap(make(options), (network) => network.bus("memory"))
  )
