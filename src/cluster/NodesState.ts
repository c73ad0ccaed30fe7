/**
 * Who belongs to the cluster, as one node sees it: a value, and what changes it. Monotonic milliseconds of this node only.
 *
 * A node is an incarnation, named by its epoch. One that is not heard for `downAfter` is down, and up again when it is
 * heard; one that said goodbye is leaving until then, and is not heard again.
 */

export interface NodeState {
  readonly epoch: string
  /** For people. */
  readonly name: string
  readonly status: "up" | "leaving" | "down"
  readonly heardAt: number
  /** When it started, by the clock of this node. */
  readonly startedAt: number
}

export type NodesState = ReadonlyMap<string, NodeState>

/** What became of a node. */
export type NodeEvent =
  /** Heard for the first time, or again after it was down. */
  | { readonly _tag: "Up"; readonly node: NodeState; readonly returned: boolean }
  | { readonly _tag: "Leaving"; readonly node: NodeState }
  | { readonly _tag: "Down"; readonly node: NodeState }
  /** It has been down for so long that it will not return. */
  | { readonly _tag: "Forgotten"; readonly node: NodeState }
  /** Another node that is up has the same name. */
  | { readonly _tag: "NameTaken"; readonly node: NodeState; readonly other: NodeState }

export type Changed = readonly [state: NodesState, events: ReadonlyArray<NodeEvent>]

/** How long things take, in milliseconds. */
export interface Ages {
  /** Without a sign of life a node is down after this. */
  readonly downAfter: number
  /** A node whose name another one has taken is down after this: it was started again. */
  readonly replacedAfter: number
  /** A node that is down is remembered for so long, so that it is known when it returns. */
  readonly forgetAfter: number
}

/** Nobody else is there. */
export const empty: NodesState = new Map()

const nothing: ReadonlyArray<NodeEvent> = []

const namesakes = (state: NodesState, { epoch, name }: NodeState): ReadonlyArray<NodeState> =>
  Array.from(state.values()).filter((other) => other.name === name && other.epoch !== epoch && other.status === "up")

/** A heartbeat: the node says since when it is up. */
export const heard = (state: NodesState, epoch: string, name: string, uptime: number, now: number): Changed => {
  const before = state.get(epoch)
  if (before?.status === "leaving") return [state, nothing]
  const node: NodeState = { epoch, name, status: "up", heardAt: now, startedAt: before?.startedAt ?? now - uptime }
  const next = new Map(state).set(epoch, node)
  // An older one of this name that was heard after this one started lives as well.
  const rival = namesakes(state, node).find((other) => before?.status === "up" && other.heardAt > before.heardAt)
  const events: Array<NodeEvent> = []
  if (before?.status !== "up") events.push({ _tag: "Up", node, returned: before !== undefined })
  if (rival !== undefined) events.push({ _tag: "NameTaken", node, other: rival })
  return [next, events]
}

/**
 * This node hears again after a time in which it could hear nobody: whoever is not down has at least so long to say that
 * it is there.
 */
export const hearAgain = (state: NodesState, now: number, ages: Ages, atLeast: number): NodesState => {
  const heardAt = now - Math.max(0, ages.downAfter - atLeast)
  return new Map(
    Array.from(state, ([epoch, node]) => [
      epoch,
      node.status === "down" || node.heardAt >= heardAt ? node : { ...node, heardAt }
    ])
  )
}

/** The node says that it was another incarnation before: that one is gone, without a doubt. */
export const reborn = (state: NodesState, former: string, name: string): Changed => {
  const before = state.get(former)
  if (before === undefined || before.status === "down" || before.name !== name) return [state, nothing]
  const node: NodeState = { ...before, status: "down" }
  return [new Map(state).set(former, node), [{ _tag: "Down", node }]]
}

/** Any other sign of life of a node that is known and not down. */
export const seen = (state: NodesState, epoch: string, now: number): NodesState => {
  const before = state.get(epoch)
  return before !== undefined && before.status !== "down"
    ? new Map(state).set(epoch, { ...before, heardAt: now })
    : state
}

/** The node has said goodbye. */
export const left = (state: NodesState, epoch: string, now: number): Changed => {
  const before = state.get(epoch)
  if (before?.status !== "up") return [state, nothing]
  const node: NodeState = { ...before, status: "leaving", heardAt: now }
  return [new Map(state).set(epoch, node), [{ _tag: "Leaving", node }]]
}

/** Finds out who has not been heard for too long; where this node hears nobody since some time, that begins then. */
export const expire = (state: NodesState, now: number, ages: Ages, deafSince = Number.NEGATIVE_INFINITY): Changed => {
  const next = new Map(state)
  const events: Array<NodeEvent> = []
  for (const node of state.values()) {
    const silent = now - Math.max(node.heardAt, deafSince)
    if (node.status === "down") {
      if (silent < ages.forgetAfter) continue
      next.delete(node.epoch)
      events.push({ _tag: "Forgotten", node })
      continue
    }
    const replaced = namesakes(state, node).some((other) => other.startedAt > node.startedAt)
    if (silent < (replaced ? ages.replacedAfter : ages.downAfter)) continue
    const down: NodeState = { ...node, status: "down" }
    next.set(node.epoch, down)
    events.push({ _tag: "Down", node: down })
  }
  return events.length === 0 ? [state, nothing] : [next, events]
}

/** The nodes that are up, apart from this one. */
export const up = (state: NodesState): ReadonlyArray<NodeState> =>
  Array.from(state.values()).filter(({ status }) => status === "up")
