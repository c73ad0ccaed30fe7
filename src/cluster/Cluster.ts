/**
 * Makes this node one of many: channels, rooms and presence that are provided with it reach the other nodes.
 *
 * Application code does not change. This file says what a cluster is made from and puts its parts together; how messages
 * cross is `internal/links.ts`, who is there `internal/nodes.ts`, who is where `internal/replicas.ts`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { epochOf } from "../internal/epoch.ts"
import { CurrentPeers, type Peers } from "../internal/peers.ts"
import * as Turn from "../internal/turn.ts"
import { type BusHealth, EventBus } from "./EventBus.ts"
import { Control } from "./internal/control.ts"
import { Flights } from "./internal/flights.ts"
import { Links } from "./internal/links.ts"
import { Mails } from "./internal/mails.ts"
import { Nodes } from "./internal/nodes.ts"
import { Seal } from "./internal/packet.ts"
import { Refusals } from "./internal/refusals.ts"
import { Replicas } from "./internal/replicas.ts"
import { Self } from "./internal/self.ts"

/** One node of the cluster, as another sees it. */
export interface Node {
  /** Names this start of the node; nothing else ever has the same name. */
  readonly epoch: string
  readonly name: string
  /** `"leaving"` after its goodbye; `"down"` when it has not been heard for too long. */
  readonly status: "up" | "leaving" | "down"
  /** Whole milliseconds since it was last heard; 0 for this node. */
  readonly heardAgo: number
  /** Whole milliseconds since it started. */
  readonly uptime: number
  readonly isSelf: boolean
  /** What it has said of itself has not arrived wholly. */
  readonly stale: boolean
}

/** What a cluster is made from. */
export interface Options {
  /**
   * Tells applications from each other that share a bus: 1–32 letters, digits, `-` and `_`. Nodes of one namespace are
   * one cluster.
   */
  readonly namespace: string
  /** Names this node for people; random by default. Two nodes of one name are told apart, and logged. */
  readonly node?: string | undefined
  /**
   * Signs everything on the bus (HMAC-SHA-256); the same on all nodes. What is not signed with it is not taken.
   *
   * Needed where the bus leaves this machine, as whoever reaches it could speak for any node; `"unsigned"` says that
   * nobody else does.
   */
  readonly secret?: Redacted.Redacted | "unsigned" | undefined
  /** Time between two signs of life; 3 seconds by default. */
  readonly heartbeat?: Duration.Input | undefined
  /** How many of them may be missing until a node is down; 3 by default. */
  readonly missedHeartbeats?: number | undefined
}

/** The cluster, as this node sees it. Answers come from what this node knows, and never wait for another. */
export interface ClusterService {
  /** This node's name, for people. */
  readonly name: string
  /** Names this start of this node; it changes when the node slept so long that the others took it for gone. */
  readonly epoch: Effect.Effect<string>
  /** All nodes that are known, this one first. */
  readonly nodes: Effect.Effect<ReadonlyArray<Node>>
  /** Whether the bus works. */
  readonly health: Effect.Effect<BusHealth>
  /** What goes over the bus: names of linked channels, and how many keys this node hears. */
  readonly links: Effect.Effect<{ readonly channels: ReadonlyArray<string>; readonly keys: number }>
  /**
   * Says goodbye to the other nodes, which from then on do not wait for this one. Done by itself when the layer is
   * closed; to be called earlier where connections are closed before that.
   */
  readonly leave: Effect.Effect<void>
}

/** The cluster this node belongs to. */
export class Cluster extends Context.Service<Cluster, ClusterService>()("effect-rooms/cluster/Cluster") {}

const checkedNamespace = (namespace: string): string => {
  if (/^[A-Za-z0-9_-]{1,32}$/.test(namespace)) return namespace
  throw new RangeError(`a namespace is 1 to 32 letters, digits, "-" and "_", not ${JSON.stringify(namespace)}`)
}

const checkedMillis = (name: string, value: Duration.Input): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(value))
  if (millis >= 1 && Number.isFinite(millis)) return millis
  throw new RangeError(`${name} must be at least a millisecond`)
}

/** How long a node that starts waits to hear of the others, in milliseconds. */
const discovery = 100
/** When something of the application should have been built on the cluster. */
const settled = 5_000

/** The secret everything is signed with; nothing when it is not signed. */
const checkedSecret = ({ secret }: Options, bus: EventBus["Service"]): Redacted.Redacted | undefined => {
  if (secret === "unsigned") return undefined
  if (secret === undefined) {
    if (bus.isLocal === true) return undefined
    throw new Error(
      `what goes over this event bus (${bus.kind}) leaves this machine: give Cluster.layer a secret, as Redacted.make(…), or say secret: "unsigned"`
    )
  }
  if (!Redacted.isRedacted(secret)) throw new TypeError('the secret of a cluster is Redacted, or "unsigned"')
  if (Redacted.value(secret) === "") throw new RangeError("the secret of a cluster must not be empty")
  return secret
}

const make = Effect.fnUntraced(function* (options: Options) {
  const namespace = checkedNamespace(options.namespace)
  const heartbeat = checkedMillis("heartbeat", options.heartbeat ?? 3_000)
  const missed = options.missedHeartbeats ?? 3
  if (!Number.isSafeInteger(missed) || missed < 1) throw new RangeError("missedHeartbeats must be at least 1")
  const bus = yield* EventBus
  const secret = checkedSecret(options, bus)
  const turn = yield* Turn.make
  const random = yield* Random.Random
  const context = Context.omit(Scope.Scope)(yield* Effect.context<Scope.Scope>())
  const fork = yield* FiberSet.makeRuntime()
  const later = (millis: number, task: () => void) => {
    fork(Effect.andThen(Effect.sleep(millis), Effect.sync(task)))
  }
  const newEpoch = () => epochOf(random)
  const seal = new Seal(secret)
  const clock = yield* Clock.Clock
  const first = newEpoch()
  const self = new Self(options.node ?? `node-${first.slice(0, 6)}`, clock, newEpoch)
  const flights = new Flights(bus, context)
  const refusals = new Refusals({ namespace, self, context })
  const control = new Control({ bus, seal, turn, self, namespace, flights, refusals })
  const says = () => ({ version: replicas.version, listens: links.digest })
  const nodes: Nodes = new Nodes({ control, self, context, heartbeat, missed, says })
  const replicas: Replicas = new Replicas({ control, nodes, self, context, later })
  const links: Links = new Links({
    bus,
    control,
    nodes,
    self,
    seal,
    turn,
    flights,
    refusals,
    namespace,
    context,
    later
  })
  const mails = new Mails(control)
  // Closed last: what was said goes out before the bus goes.
  yield* Effect.addFinalizer(() => flights.landed)
  yield* control.start
  yield* links.start
  yield* nodes.start
  // What services have said of themselves as they ended, before the goodbye.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      replicas.flush()
      links.end()
      control.flush()
    })
  )
  // The others answer a first sign of life at once: who subscribes from now on knows whom to ask.
  yield* Effect.sleep(discovery)

  let isUsed = false
  const remind = Effect.suspend(() =>
    isUsed
      ? Effect.void
      : Effect.logWarning(
          "nothing is built on this cluster: provide Cluster.layer to the layers of channels, presence, rooms and the server, with Layer.provide"
        )
  )
  yield* Effect.forkScoped(Effect.andThen(Effect.sleep(settled), remind))
  const peers: Peers = {
    get epoch() {
      return self.epoch
    },
    link: (channel) => {
      isUsed = true
      return links.link(channel)
    },
    table: (name, onChange) => {
      isUsed = true
      return Effect.acquireRelease(
        Effect.sync(() => replicas.open(name, onChange)),
        (table) => Effect.sync(() => table.close())
      )
    },
    mail: (name, onLetter) => {
      isUsed = true
      return mails.open(name, onLetter)
    },
    later,
    nodes: () =>
      nodes.all
        .filter(({ status }) => status !== "down")
        .map(({ epoch, heardAt, status }) => ({
          epoch,
          heardAgo: self.now() - heardAt,
          stale: status === "leaving" || replicas.isBehind(epoch)
        })),
    leave: Effect.sync(() => nodes.leave())
  }
  const service: ClusterService = {
    name: self.name,
    epoch: Effect.sync(() => self.epoch),
    nodes: Effect.sync(() => [
      {
        epoch: self.epoch,
        name: self.name,
        status: "up",
        heardAgo: 0,
        uptime: Math.round(self.uptime),
        isSelf: true,
        stale: false
      },
      ...nodes.all.map(({ epoch, heardAt, name, startedAt, status }): Node => ({
        epoch,
        name,
        status,
        heardAgo: Math.round(self.now() - heardAt),
        uptime: Math.round(self.now() - startedAt),
        isSelf: false,
        stale: status !== "down" && (status === "leaving" || replicas.isBehind(epoch))
      }))
    ]),
    health: bus.health,
    links: Effect.sync(() => ({ channels: links.channels, keys: links.feeds })),
    leave: Effect.sync(() => nodes.leave())
  }
  return Context.add(Context.make(Cluster, service), CurrentPeers, peers)
})

/**
 * Joins a cluster over the `EventBus` it is given; whatever is built on this layer reaches the other nodes.
 *
 * It has to be provided to the layers of channels, presence, rooms and the server, or they are alone. Dies with a
 * `RangeError` when an option is out of bounds, and with a sentence when the bus leaves this machine and there is no
 * secret.
 *
 * @example
 * ```ts
 * import { Config, Effect, Layer } from "effect"
 * import { Cluster, RedisBus } from "effect-rooms/cluster"
 *
 * export const ClusterLive = Layer.unwrap(
 *   Effect.map(Config.Redacted("CLUSTER_SECRET"), (secret) => Cluster.layer({ namespace: "chat", secret }))
 * ).pipe(Layer.provide(RedisBus.layerConfig({ url: Config.Redacted("REDIS_URL") })))
 * ```
 */
export const layer = (options: Options): Layer.Layer<Cluster, never, EventBus> => Layer.effectContext(make(options))
