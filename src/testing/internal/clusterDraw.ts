/**
 * Chance that is the same each time.
 */

/** Draws numbers in [0, 1). */
export type Draw = () => number

/** Numbers from a seed (mulberry32). */
export const drawFrom = (seed: number): Draw => {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Draws one of several. */
export const pick = <A>(draw: Draw, some: ReadonlyArray<A>): A => some[Math.floor(draw() * some.length)]!
