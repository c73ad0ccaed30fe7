/**
 * Whether one connection works, judged by probes that come back; pure, times are milliseconds.
 *
 * A probe goes out every `interval`. The connection is given up when none has come back for `patience`, however many
 * are under way. Where the bus takes no probes nobody can tell: such a connection is kept, and never called up.
 */
export interface Liveness {
  /** When a probe last came back, or one could for the first time. */
  readonly answeredAt: number
  readonly probeAt: number
  /** Why the bus takes no probes. */
  readonly refused: string | undefined
}

export interface Pace {
  readonly interval: number
  readonly patience: number
}

/** A connection that is there. Where nothing comes back, a probe that is taken counts as one that came back. */
export const initial = (now: number): Liveness => ({ answeredAt: now, probeAt: now, refused: undefined })

/** A probe has come back, or can come back from now on. */
export const answered = (state: Liveness, now: number): Liveness => ({ ...state, answeredAt: now, refused: undefined })

export const refused = (state: Liveness, why: string): Liveness => ({ ...state, refused: why })

/** What is to be done now, and after how many milliseconds to look again. */
export const step = (
  state: Liveness,
  now: number,
  { interval, patience }: Pace
): readonly [next: Liveness, todo: "giveUp" | "probe" | "nothing", wait: number] => {
  const left = state.refused === undefined ? state.answeredAt + patience - now : Number.POSITIVE_INFINITY
  if (left <= 0) return [state, "giveUp", 0]
  if (now < state.probeAt) return [state, "nothing", Math.min(left, state.probeAt - now)]
  return [{ ...state, probeAt: now + interval }, "probe", Math.min(left, interval)]
}
