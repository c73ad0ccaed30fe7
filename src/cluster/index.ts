/**
 * Many nodes: the cluster, and what its event bus can be. A broker's client is loaded when its bus is made, by those who
 * use that bus; each bus is a module of its own as well, such as `effect-rooms/cluster/redis`.
 */
export * as BusTopics from "./BusTopics.ts"
export * as Cluster from "./Cluster.ts"
export * as EventBus from "./EventBus.ts"
export * as EventBusError from "./EventBusError.ts"
export * as MemoryBus from "./MemoryBus.ts"
export * as NatsBus from "./NatsBus.ts"
export * as PostgresBus from "./PostgresBus.ts"
export * as RedisBus from "./RedisBus.ts"
