/**
 * What one node has received of the messages another node publishes to one topic: positions, and what is missing.
 *
 * A publisher numbers the messages of a topic from one on, in a line; a later line has a greater number. Nobody is owed
 * what was published before it listened: `owedFrom` is the first position that is. Pure.
 */

export interface LineState {
  readonly line: number
  /** Position of the last message that was taken, or given up. */
  readonly last: number
  readonly owedFrom: number
}

/** What to do with a message that arrived. */
export type Arrival =
  | { readonly _tag: "Deliver"; readonly state: LineState; readonly missed: number }
  /** It was here before, or was given up and told as missing. */
  | { readonly _tag: "Late" }

/** How many positions between two, both excluded, are owed. */
const owedBetween = (last: number, next: number, owedFrom: number): number =>
  Math.max(0, next - Math.max(last + 1, owedFrom))

/** Takes the message at a position. Whoever knows nothing of the line is owed nothing before it. */
export const arrive = (state: LineState | undefined, line: number, position: number): Arrival => {
  if (state === undefined) {
    return { _tag: "Deliver", state: { line, last: position, owedFrom: position }, missed: 0 }
  }
  if (line < state.line || (line === state.line && position <= state.last)) return { _tag: "Late" }
  const [last, owedFrom] = line === state.line ? [state.last, state.owedFrom] : [0, 1]
  return {
    _tag: "Deliver",
    state: { line, last: position, owedFrom },
    missed: owedBetween(last, position, owedFrom)
  }
}

/** Hears that everything up to a position has been published, and gives up what has not arrived. */
export const giveUp = (
  state: LineState | undefined,
  line: number,
  position: number
): { readonly state: LineState; readonly missed: number } => {
  if (state === undefined) return { state: { line, last: position, owedFrom: position + 1 }, missed: 0 }
  if (line < state.line || (line === state.line && position <= state.last)) return { state, missed: 0 }
  const [last, owedFrom] = line === state.line ? [state.last, state.owedFrom] : [0, 1]
  return {
    state: { line, last: position, owedFrom },
    missed: owedBetween(last, position + 1, owedFrom)
  }
}

/** Hears, before listening has begun, where a line stands: what is behind that position is not owed. */
export const begin = (state: LineState | undefined, line: number, position: number): LineState => {
  // What is on its way still is not owed, nor what somebody has recorded and sends again.
  if (state === undefined || line > state.line) return { line, last: position, owedFrom: position + 1 }
  return line < state.line ? state : { ...state, owedFrom: Math.max(state.owedFrom, position + 1) }
}
