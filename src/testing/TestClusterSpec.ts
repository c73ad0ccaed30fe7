/**
 * What a user says about a simulated cluster, and what he gets: nodes, time and faults by hand, or drawn schedules.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Cluster } from "../cluster/Cluster.ts"
import type { EventBus } from "../cluster/EventBus.ts"
import type * as MemoryBus from "../cluster/MemoryBus.ts"
import type { Fault as AnyFault } from "./internal/clusterFaults.ts"
import type { TestClusterError } from "./TestClusterError.ts"

/** One node of a simulated cluster. It keeps its name when it starts again. */
export interface Node<R> {
  readonly name: string
  readonly status: "starting" | "up" | "frozen" | "stopping" | "down"
  /**
   * Runs an effect on the node and lets time go on until it is done; what it acquires lives as long as the node. Dies
   * when the node is down, or ends meanwhile, or a minute was not enough.
   */
  readonly run: <A, E>(effect: Effect.Effect<A, E, R | Scope.Scope>) => Effect.Effect<A, E>
  /** Begins an effect on the node and does not wait for it; it goes on while time passes. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E, R | Scope.Scope>) => Effect.Effect<Fiber.Fiber<A, E>>
  /** Starts the node again, as a new process with the same name. Dies when its layer fails. */
  readonly start: Effect.Effect<void>
  /** Stops it in an orderly way: its layer is closed. */
  readonly stop: Effect.Effect<void>
  /** Ends it at once: no finalizer runs, and nobody is told. */
  readonly crash: Effect.Effect<void>
  /** Holds it up for a while, with all its connections open, as SIGSTOP does or a long pause of the garbage collector. */
  readonly freeze: (duration: Duration.Input) => Effect.Effect<void>
  /** Sets its wall clock forward, or back where the duration is negative. */
  readonly jump: (duration: Duration.Input) => Effect.Effect<void>
  /** How many times it has started. */
  readonly starts: number
  /** How many timers it waits for now. */
  readonly timers: number
  /** What it has logged, at most the last 1,000 lines of each of its lives. */
  readonly log: ReadonlyArray<string>
}

/** What a cluster is made from. */
export interface Options<R, RIn = EventBus> {
  /** How many nodes, named `a`, `b`, `c` …, or their names; 3 by default. */
  readonly nodes?: number | ReadonlyArray<string> | undefined
  /**
   * What a node is made of, given its name: your layers over `Cluster.layer`, which has to be provided in a way that
   * leaves it visible (`Layer.provideMerge`). Built anew each time the node starts.
   */
  readonly layer: (node: string) => Layer.Layer<R | Cluster, unknown, RIn>
  /** What is wrong with the network; by default messages take 1 to 5 milliseconds, and answers 1 to 3. */
  readonly network?: MemoryBus.Options | undefined
  /** Draws everything that is left to chance; 0 by default. */
  readonly seed?: number | undefined
}

/** A simulated cluster. Time stands still but for its effects. */
export interface TestCluster<R> {
  readonly seed: number
  /** All nodes, also those that are down. */
  readonly nodes: ReadonlyArray<Node<R | Cluster>>
  /** The node of a name; throws where there is none. */
  readonly node: (name: string) => Node<R | Cluster>
  /** The network and the broker, to be made worse. What is done to them is seen when time goes on. */
  readonly network: MemoryBus.Network
  /** Milliseconds since the beginning. */
  readonly now: number
  /** Lets time go on. */
  readonly pass: (duration: Duration.Input) => Effect.Effect<void>
  /** Parts the nodes into groups that do not hear each other; who is in none is a group alone. */
  readonly split: (...groups: ReadonlyArray<ReadonlyArray<string>>) => Effect.Effect<void>
  /** Ends everything that is wrong with the network and the broker; not what was done to nodes. */
  readonly heal: Effect.Effect<void>
  /**
   * Waits until the nodes that are up agree on who is there, know what the others have said, and have told what was
   * lost: 4 seconds after a split was healed, 10 after a node crashed. Fails when they do not within half a minute.
   */
  readonly settle: Effect.Effect<void, TestClusterError>
  /** What all nodes have logged, in order of time. */
  readonly log: ReadonlyArray<string>
}

/**
 * Something that goes wrong in drawn schedules, and ends after a while: nodes `crash` and mostly start again, `stop` and
 * start again, `freeze`, their wall clocks `jump` an hour; the network is `split` in two, `cut` in one direction, `slow`,
 * or has `noise`: messages lost, doubled, overtaken; the broker stands still (`stall`), is gone and comes back with
 * nothing (`outage`), or loses connections (`disconnect`), where some nodes hear again later than they can publish.
 */
export type Fault = AnyFault

/** What a run of a schedule has to show for itself. */
export interface Run<R, S> {
  readonly cluster: TestCluster<R>
  /** What acts have noted so far. */
  readonly state: S
  /** What has gone wrong so far, as the schedule says it. */
  readonly faults: ReadonlyArray<string>
}

/** Something that is done on a node, with all that was drawn for it. */
export interface Deed<R, S> {
  /** What a schedule shows of it, such as what was drawn. */
  readonly shown?: Schema.Json | undefined
  /**
   * Does it, on a node that is up. Nobody waits for it, but it has to be done when the cluster has come to rest. What it
   * acquires lives as long as the node; its failure fails the check.
   */
  readonly run: (
    run: Run<R, S> & { readonly node: Node<R | Cluster> }
  ) => Effect.Effect<unknown, unknown, R | Cluster | Scope.Scope>
}

/** Draws what is to be done; `draw` answers numbers in [0, 1), and nothing else may be left to chance. */
export type Act<R, S> = (draw: () => number) => Deed<R, S>

/** What drawn schedules are made from, and what has to hold of them. */
export interface Spec<R, S, RIn = EventBus> {
  /** How many nodes, or from how many to how many; 2 to 4 by default. */
  readonly nodes?: number | { readonly min: number; readonly max: number } | undefined
  /** Makes what layers and acts note things in, anew for each run. */
  readonly state: () => S
  /** What a node is made of, as for `make`, given its name and the state of the run. */
  readonly layer: (node: string, state: S) => Layer.Layer<R | Cluster, unknown, RIn>
  readonly network?: MemoryBus.Options | undefined
  /** What nodes do, by name. */
  readonly acts: Readonly<Record<string, Act<R, S>>>
  /** How often acts are drawn, in comparison with others; 1 by default. */
  readonly weights?: Readonly<Record<string, number>> | undefined
  /** What may go wrong; everything by default. */
  readonly faults?: ReadonlyArray<Fault> | undefined
  /** What holds at every moment; asked after each act, and every half second. */
  readonly always?: ((run: Run<R, S>) => Effect.Effect<void, unknown>) | undefined
  /** What holds once everything is healed and the nodes have come to rest. */
  readonly atRest?: ((run: Run<R, S>) => Effect.Effect<void, unknown>) | undefined
}

/** How many schedules are tried, and which. */
export interface CheckOptions {
  /** 100 by default. */
  readonly runs?: number | undefined
  /**
   * The seed of the first schedule, those of the others follow; random by default. `SEED` in the environment stands
   * before it, and makes it one run.
   */
  readonly seed?: number | undefined
  /** Acts of a schedule; 40 by default. */
  readonly length?: number | undefined
  /** Runs to find a shorter schedule that fails; 500 by default. */
  readonly maxShrinks?: number | undefined
}
