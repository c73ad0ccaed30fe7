/**
 * Comparing what should be with what is: a difference is a failure, to which the runner adds the commands.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"

/** What differs, and what it failed with where it did. */
export class Difference {
  readonly _tag = "Difference"
  readonly observable: string
  readonly expected: unknown
  readonly actual: unknown
  readonly cause: Cause.Cause<unknown> | undefined

  constructor(observable: string, expected: unknown, actual: unknown, cause?: Cause.Cause<unknown>) {
    this.observable = observable
    this.expected = expected
    this.actual = actual
    this.cause = cause
  }
}

export const differs = (
  observable: string,
  expected: unknown,
  actual: unknown,
  cause?: Cause.Cause<unknown>
): Effect.Effect<never, Difference> => Effect.fail(new Difference(observable, expected, actual, cause))

/** Fails where the two are not equal. */
export const same = (observable: string, expected: unknown, actual: unknown): Effect.Effect<void, Difference> =>
  equal(expected, actual) ? Effect.void : differs(observable, expected, actual)

/** What `Equal.equals` says, without the hashes that it makes of arrays and records. */
export const equal = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, n) => equal(item, b[n]))
  if (!isRecord(a) || !isRecord(b)) return Equal.equals(a, b)
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
