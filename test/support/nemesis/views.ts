/**
 * What nodes say of the cluster, and how it differs from what is so. Pure.
 */

/** What one node knows, as its `/view` answers. */
export interface View {
  /** Names of the nodes that are up, itself included. */
  readonly up: ReadonlyArray<string>
  /** Nodes of which not everything is known. */
  readonly stale: ReadonlyArray<string>
  readonly bus: string
  /** By room, the sessions of all members, and how many there are said to be. */
  readonly halls: Readonly<Record<string, ReadonlyArray<string>>>
  readonly counts: Readonly<Record<string, number>>
  /** By room, who is present: `user/device`, with a question mark while its connection is lost. */
  readonly present: Readonly<Record<string, ReadonlyArray<string>>>
}

/** Who is connected, and which nodes run. */
export interface Truth {
  readonly up: ReadonlyArray<string>
  /** By room, the sessions of those who are in. */
  readonly sessions: Readonly<Record<string, ReadonlyArray<string>>>
  /** By session, the user. */
  readonly userOf: (session: string) => string
}

const sorted = (names: ReadonlyArray<string>): string => names.toSorted().join(" ")

const missingFrom = (names: ReadonlyArray<string>, others: ReadonlyArray<string>): ReadonlyArray<string> => {
  const left = [...others]
  return names.filter((name) => {
    const at = left.indexOf(name)
    if (at < 0) return true
    left.splice(at, 1)
    return false
  })
}

const some = (names: ReadonlyArray<string>): string =>
  `${names.length} (${names.slice(0, 3).join(" ")}${names.length > 3 ? " …" : ""})`

const differ = (what: string, seen: ReadonlyArray<string>, real: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [ghosts, unknown] = [missingFrom(seen, real), missingFrom(real, seen)]
  if (ghosts.length === 0 && unknown.length === 0) return []
  return [`${what}: ${some(ghosts)} too many, ${some(unknown)} missing`]
}

/** What is wrong in a view; nothing when it is as it should be. */
export const differences = (view: View, { sessions, up, userOf }: Truth): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (view.bus !== "Up") found.push(`the bus is ${view.bus}`)
  if (view.stale.length > 0) found.push(`${view.stale.join(" ")} not known wholly`)
  if (sorted(view.up) !== sorted(up)) found.push(`up are ${sorted(view.up)}, not ${sorted(up)}`)
  for (const room of new Set([...Object.keys(sessions), ...Object.keys(view.halls), ...Object.keys(view.present)])) {
    const real = sessions[room] ?? []
    found.push(...differ(`members of ${room}`, view.halls[room] ?? [], real))
    if ((view.counts[room] ?? 0) !== real.length) found.push(`${view.counts[room] ?? 0} in ${room}, not ${real.length}`)
    const devices = real.map((session) => `${userOf(session)}/${session}`)
    found.push(...differ(`present in ${room}`, view.present[room] ?? [], devices))
  }
  return found
}
