/**
 * How far what is known of other nodes can be relied on.
 */
import type { Peers } from "../../internal/peers.ts"

/** What the answer of a count says beside the number. */
export interface Standing {
  /** Milliseconds since which something may have happened that is not known here. */
  readonly age: number
  /** Nodes whose members are not all known. */
  readonly staleNodes: ReadonlyArray<string>
}

const current: Standing = { age: 0, staleNodes: [] }

/** Where the knowledge of others stands; with nobody else there is nothing that could be missing. */
export const standingOf = (peers: Peers | undefined): Standing => {
  const nodes = peers?.nodes() ?? []
  if (nodes.length === 0) return current
  const heard = nodes.filter(({ stale }) => !stale)
  return {
    age: heard.reduce((age, { heardAgo }) => Math.max(age, heardAgo), 0),
    staleNodes: nodes.filter(({ stale }) => stale).map(({ epoch }) => epoch)
  }
}
