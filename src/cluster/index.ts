/**
 * Many nodes: the cluster, and what its event bus can be. Brokers are `effect-rooms/cluster/redis`, `/nats` and
 * `/postgres`.
 */
export * as Cluster from "./Cluster.ts"
export * as EventBus from "./EventBus.ts"
export * as EventBusError from "./EventBusError.ts"
