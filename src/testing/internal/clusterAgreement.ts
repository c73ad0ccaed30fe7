/**
 * Whether the nodes of a simulated cluster agree on who is there.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { BusHealth } from "../../cluster/EventBus.ts"
import { Cluster, type Node } from "../../cluster/Cluster.ts"
import type { ClusterNode } from "./clusterNode.ts"

interface View {
  readonly name: string
  readonly epoch: string
  readonly nodes: ReadonlyArray<Node>
  readonly health: BusHealth
}

const viewOf = (node: ClusterNode<Cluster>): View | undefined => {
  const look = Effect.gen(function* () {
    const { epoch, health, nodes } = yield* Cluster
    return { name: node.name, epoch: yield* epoch, nodes: yield* nodes, health: yield* health }
  })
  const exit = node.fork(look).pollUnsafe()
  return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
}

/** What the nodes that are up do not agree on yet. */
export const disagreement = (nodes: ReadonlyArray<ClusterNode<Cluster>>): string | undefined => {
  const waiting = nodes.find(({ status }) => status !== "up" && status !== "down")
  if (waiting !== undefined) return `node ${waiting.name} is ${waiting.status}`
  const views: Array<View> = []
  for (const node of nodes) {
    if (node.status !== "up") continue
    const view = viewOf(node)
    if (view === undefined) return `node ${node.name} does not say who is there`
    views.push(view)
  }
  for (const view of views) {
    if (view.health._tag !== "Up") return `the bus of node ${view.name} does not work: ${view.health.why}`
    const seen = view.nodes.filter(({ status }) => status === "up").map(({ epoch }) => epoch)
    for (const { epoch, name } of views) {
      if (!seen.includes(epoch)) return `node ${view.name} does not see node ${name}`
    }
    const strange = view.nodes.find(
      ({ epoch, status }) => status !== "down" && views.every((other) => other.epoch !== epoch)
    )
    if (strange !== undefined)
      return `node ${view.name} takes ${strange.name} (${strange.epoch}) to be up, which is gone`
    const stale = view.nodes.find(({ status, stale: isStale }) => status === "up" && isStale)
    if (stale !== undefined) return `node ${view.name} does not know what node ${stale.name} has said`
  }
  return undefined
}
