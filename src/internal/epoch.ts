/**
 * Names of one start of something: what was said before a restart is told by them from what is said after it.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

type Service = typeof Random.Random.Service

const word = (random: Service): string =>
  Math.floor(random.nextDoubleUnsafe() * 2 ** 41)
    .toString(36)
    .padStart(8, "0")

/** A name nobody else comes upon: 82 random bits in 16 letters and digits. */
export const epochOf = (random: Service): string => word(random) + word(random)

export const makeEpoch: Effect.Effect<string> = Effect.map(Random.Random, epochOf)

/** Half as long, for names that each connection has: of a thousand nodes two share one in one case of four million. */
export const makeShortEpoch: Effect.Effect<string> = Effect.map(Random.Random, word)
