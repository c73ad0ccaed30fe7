/**
 * Random numbers that are the same for the same seed.
 */

/** Answers a number from 0 up to 1. */
export type Draw = () => number

/** Mulberry32. */
export const makeDraw = (seed: number): Draw => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One of some. */
export const pick = <A>(draw: Draw, some: ReadonlyArray<A>): A => some[Math.floor(draw() * some.length)]!

/** All of them in another order. */
export const shuffle = <A>(draw: Draw, all: ReadonlyArray<A>): ReadonlyArray<A> =>
  all
    .map((one) => ({ one, rank: draw() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ one }) => one)
