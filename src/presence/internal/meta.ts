/**
 * Checks metadata against its schema and its bound, and encodes it once.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PresenceError } from "../PresenceError.ts"
import type { Meta } from "../PresenceState.ts"

const encoder = new TextEncoder()

/** Checks one value; the text is what it is compared by. */
export type Check<M> = (value: M) => Result.Result<Meta<M>, PresenceError>

export const makeCheck = <M>(schema: Schema.Codec<M, unknown>, maxBytes: number): Check<M> => {
  const encode = Schema.encodeUnknownResult(Schema.toCodecJson(schema))
  return (value) => {
    const encoded = encode(value)
    if (Result.isFailure(encoded)) return Result.fail(new PresenceError({ reason: "metaInvalid" }))
    const text = JSON.stringify(encoded.success)
    return text.length > maxBytes || (text.length * 3 > maxBytes && encoder.encode(text).length > maxBytes)
      ? Result.fail(new PresenceError({ reason: "metaTooLarge", limit: maxBytes }))
      : Result.succeed({ value, text })
  }
}
