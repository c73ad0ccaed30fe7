/**
 * Whether one connection works, judged by probes that come back; pure, times are milliseconds.
 *
 * A probe goes out every `interval`. The connection is given up when none has come back for `patience`, however many
 * are under way. Where the bus takes no probes nobody can tell: such a connection is kept, and never called up.
 */
export interface Liveness {
  /** When the connection began, or a probe last came back. */
  readonly answeredAt: number
  readonly probeAt: number
  /** Whether a probe would be heard when it came back. */
  readonly hears: boolean
  /** Why the bus takes no probes. */
  readonly refused: string | undefined
}

export interface Pace {
  readonly interval: number
  readonly patience: number
}

/** A connection that is there. Where nothing comes back, a probe that is taken counts as one that came back. */
export const initial = (now: number, echo: boolean): Liveness => ({
  answeredAt: now,
  probeAt: now,
  hears: !echo,
  refused: undefined
})

/** The topic of the probes is live, so the first one goes out. */
export const heard = (state: Liveness, now: number): Liveness => ({
  ...state,
  probeAt: now,
  hears: true,
  refused: undefined
})

export const answered = (state: Liveness, now: number): Liveness => ({ ...state, answeredAt: now, refused: undefined })

export const refused = (state: Liveness, why: string): Liveness => ({ ...state, refused: why })

/** What is to be done now: give the connection up, or send a probe or not, and look again after so many milliseconds. */
export const step = (
  state: Liveness,
  now: number,
  { interval, patience }: Pace
): readonly [next: Liveness, todo: "giveUp" | "probe" | "nothing", wait: number] => {
  const left = state.refused === undefined ? state.answeredAt + patience - now : Number.POSITIVE_INFINITY
  if (left <= 0) return [state, "giveUp", 0]
  if (now < state.probeAt) return [state, "nothing", Math.min(left, state.probeAt - now)]
  return [{ ...state, probeAt: now + interval }, state.hears ? "probe" : "nothing", Math.min(left, interval)]
}
