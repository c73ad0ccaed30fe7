/**
 * One playground on many nodes: `BUS=redis://localhost:6379 npm start`, and once more with another `PORT`.
 *
 * `BUS` is `memory`, which is this process alone, or the address of a broker: `redis://`, `nats://`, `postgres://`.
 */
import { Config, Effect, Layer, Redacted } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Cluster, EventBus, NatsBus, PostgresBus, RedisBus } from "effect-rooms/cluster"
import { Boards } from "./board.ts"

const busOf = (address: Redacted.Redacted) => {
  const text = Redacted.value(address)
  if (text === "memory") return EventBus.layerNoop
  if (/^rediss?:/.test(text)) return RedisBus.layer({ url: address })
  if (/^(nats|tls):/.test(text)) return NatsBus.layer({ servers: text.replace(/^nats:\/\//, "") })
  if (/^postgres(ql)?:/.test(text)) return PostgresBus.layer({ url: address })
  // The address may have a password in it.
  throw new Error("BUS is memory, or begins with redis://, nats:// or postgres://")
}

const settings = Config.all({
  bus: Config.Redacted("BUS").pipe(Config.withDefault(Redacted.make("memory"))),
  secret: Config.option(Config.Redacted("CLUSTER_SECRET")),
  port: Config.Int("PORT").pipe(Config.withDefault(3000))
})

/** The bus, and this node's place in the cluster on it. */
export const ClusterServices = Layer.unwrap(
  Effect.map(settings, ({ bus, port, secret }) =>
    Cluster.layer({
      namespace: "playground",
      ...(port === 0 ? {} : { node: `playground-${port}` }),
      // Without a secret anybody who reaches the bus can speak for a node: fine on one's own machine alone.
      secret: secret._tag === "Some" ? secret.value : "unsigned"
    }).pipe(Layer.provideMerge(busOf(bus)))
  )
)

const show = Effect.gen(function* () {
  const { health, nodes } = yield* Cluster.Cluster
  const boards = yield* Boards
  const all = yield* nodes
  const nameOf = (epoch: string) => all.find((node) => node.epoch === epoch)?.name ?? epoch
  const rooms = yield* Effect.forEach(yield* boards.listAll, ({ members, ref }) =>
    Effect.map(boards.get(ref).everyone, (everyone) => ({
      board: ref.identifier,
      members,
      nodes: Object.fromEntries(
        Array.from(
          Map.groupBy(everyone, ({ node }) => nameOf(node)),
          ([name, some]) => [name, some.length]
        )
      )
    }))
  )
  return HttpServerResponse.jsonUnsafe({ bus: yield* health, nodes: all, rooms })
})

/** Who is there, which boards are looked at and from where, and whether the bus works. */
export const ClusterRoutes = HttpRouter.add("GET", "/cluster", show)
