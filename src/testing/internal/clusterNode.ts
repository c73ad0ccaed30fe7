/**
 * One node of a simulated cluster: starts, ends in several ways, and starts again, on a new computer each time.
 *
 * What is begun here goes on while the world runs; whoever wants to wait for it lets it run.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { EventBus } from "../../cluster/EventBus.ts"
import type * as MemoryBus from "../../cluster/MemoryBus.ts"
import type { Computer } from "./clusterComputer.ts"
import type { World } from "./clusterWorld.ts"

export interface NodeOptions<R> {
  readonly name: string
  readonly world: World
  readonly network: MemoryBus.Network
  readonly layer: Layer.Layer<R, unknown, EventBus>
  /** The services of whoever made the cluster. */
  readonly services: Context.Context<never>
}

/** One start of a node, until it ends. */
interface Life<R> {
  readonly computer: Computer
  readonly scope: Scope.Closeable
  /** What effects on the node are given, once it is there. */
  context: Context.Context<R | Scope.Scope> | undefined
  isLeaving: boolean
}

export class ClusterNode<R> {
  readonly #options: NodeOptions<R>
  #life: Life<R> | undefined
  /** How many times it has started. */
  starts = 0
  /** What the lives before the present one have logged. */
  #logged: ReadonlyArray<string> = []

  constructor(options: NodeOptions<R>) {
    this.#options = options
  }

  get name(): string {
    return this.#options.name
  }

  get status(): "starting" | "up" | "frozen" | "stopping" | "down" {
    if (this.#life === undefined) return "down"
    if (this.#life.computer.state === "frozen") return "frozen"
    if (this.#life.isLeaving) return "stopping"
    return this.#life.context === undefined ? "starting" : "up"
  }

  get timers(): number {
    return this.#life?.computer.timers ?? 0
  }

  get log(): ReadonlyArray<string> {
    return [...this.#logged, ...(this.#life?.computer.log ?? [])]
  }

  /** Starts it, unless it is there; dies when its layer fails. */
  start(): Fiber.Fiber<void> {
    const { layer, name, network, services, world } = this.#options
    if (this.#life !== undefined) return Effect.runFork(Effect.void)
    this.starts++
    const computer = world.computer(name)
    const scope = Scope.makeUnsafe()
    const life: Life<R> = { computer, scope, context: undefined, isLeaving: false }
    this.#life = life
    const given = Context.merge(services, computer.context)
    // A broker may still answer who has ended.
    const connect = Effect.flatMap(network.bus(name), (bus) =>
      computer.state === "off" ? Effect.never : Effect.succeed(bus)
    )
    const build = Layer.buildWithMemoMap(
      Layer.provide(layer, Layer.effect(EventBus, connect)),
      Layer.makeMemoMapUnsafe(),
      scope
    )
    return Effect.runForkWith(given)(
      Effect.orDie(
        Effect.map(build, (built) => {
          life.context = Context.merge(Context.merge(given, built), Context.make(Scope.Scope, scope))
        })
      )
    )
  }

  /** Forks an effect on the node, in the scope of its life. */
  fork<A, E>(effect: Effect.Effect<A, E, R | Scope.Scope>): Fiber.Fiber<A, E> {
    const context = this.#life?.context
    if (context === undefined) throw new Error(`node ${this.name} is ${this.status}`)
    return Effect.runForkWith(context)(effect)
  }

  /** Stops it in an orderly way. */
  stop(): Fiber.Fiber<void> {
    const life = this.#life
    if (life?.context === undefined || this.status !== "up") return Effect.runFork(Effect.void)
    life.isLeaving = true
    return Effect.runForkWith(life.context)(
      Effect.onExit(Scope.close(life.scope, Exit.void), (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) life.computer.note(`stopping failed: ${Cause.pretty(exit.cause)}`)
          this.#end(life)
        })
      )
    )
  }

  /** Ends it at once: no finalizer runs, nothing is said. */
  crash(): Effect.Effect<void> {
    const { name, network } = this.#options
    if (this.#life !== undefined) this.#end(this.#life)
    return Effect.andThen(network.crashNode(name), network.resume(name))
  }

  #end(life: Life<R>): void {
    if (this.#life !== life) return
    this.#logged = this.log
    this.#life = undefined
    life.computer.cutOff()
  }

  /** Holds it up for some milliseconds with all its connections open, as SIGSTOP does. */
  freeze(millis: number): Effect.Effect<void> {
    const computer = this.#life?.computer
    if (computer === undefined || computer.state !== "running") return Effect.void
    const { name, network, world } = this.#options
    computer.freeze()
    world.after(millis, () => this.#thaw(computer))
    return network.stall(name)
  }

  /** Lets it go on if it is held up. */
  thaw(): void {
    if (this.#life !== undefined) this.#thaw(this.#life.computer)
  }

  #thaw(computer: Computer): void {
    if (computer.state !== "frozen") return
    const { name, network, world } = this.#options
    // What has arrived and what is due are seen in either order.
    const isTimeFirst = world.draw() < 0.5
    if (isTimeFirst) computer.thaw()
    Effect.runSync(network.resume(name))
    computer.thaw()
  }

  /** Sets its wall clock forward or back. */
  jump(millis: number): void {
    if (this.#life !== undefined) this.#life.computer.skew += millis
  }
}
