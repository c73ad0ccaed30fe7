/**
 * Text frames in and out of a route's message types. Untrusted input ends here: behind it there are only types.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/** What can be wrong with an incoming message. */
export type InvalidReason = "invalid_json" | "too_deep" | "invalid_message"

export type Decoded<A> =
  | { readonly _tag: "Valid"; readonly message: A }
  | { readonly _tag: "Invalid"; readonly reason: InvalidReason; readonly message: string; readonly input: unknown }

const invalid = (reason: InvalidReason, message: string, input?: unknown): Decoded<never> => ({
  _tag: "Invalid",
  reason,
  message: message.slice(0, 256).toWellFormed(),
  input
})

/** What JSON can say and a program should not be handed: too deep, half a surrogate pair, a number that overflowed. */
const violation = (value: unknown, depth: number): "too_deep" | "invalid_json" | undefined => {
  if (typeof value === "string") return value.isWellFormed() ? undefined : "invalid_json"
  if (typeof value === "number") return Number.isFinite(value) ? undefined : "invalid_json"
  if (!Predicate.isObjectOrArray(value)) return undefined
  if (depth === 0) return "too_deep"
  for (const [key, child] of Object.entries(value)) {
    const found = key.isWellFormed() ? violation(child, depth - 1) : "invalid_json"
    if (found !== undefined) return found
  }
  return undefined
}

const backslash = 92
const isExponent = (code: number): boolean => code === 69 || code === 101

/**
 * Whether a text can hold a violation at all: an escape of a surrogate, an exponent or as many digits as overflow, or
 * more brackets than the depth that is allowed. Looking at the text once costs less than walking what it becomes.
 */
const mayViolate = (text: string, maxDepth: number): boolean => {
  let brackets = 0
  let digits = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 48 && code <= 57) {
      if (++digits === 300) return true
      continue
    }
    if (digits > 0 && isExponent(code)) return true
    digits = 0
    if (code === 91 || code === 123) {
      if (++brackets > maxDepth) return true
    } else if (code === backslash && text.charCodeAt(index + 1) === 117) return true
  }
  return false
}

const parseJson = (text: string): Exit.Exit<unknown, undefined> => {
  try {
    return Exit.succeed(JSON.parse(text))
  } catch {
    return Exit.fail(undefined)
  }
}

/** Compiles the decoder of a schema: parse, look at the shape, decode. Unknown properties are dropped. */
export const makeDecoder = <A, I>(schema: Schema.Codec<A, I>, maxDepth: number): ((text: string) => Decoded<A>) => {
  const decode = Schema.decodeUnknownExit(Schema.toCodecJson(schema))
  return (text) => {
    const parsed = parseJson(text)
    if (Exit.isFailure(parsed)) return invalid("invalid_json", "the message is not JSON")
    const found = mayViolate(text, maxDepth) ? violation(parsed.value, maxDepth) : undefined
    if (found === "too_deep") return invalid(found, `the message is nested deeper than ${maxDepth}`)
    if (found !== undefined) return invalid(found, "the message has malformed text or a number that is no number")
    const decoded = decode(parsed.value)
    if (Exit.isSuccess(decoded)) return { _tag: "Valid", message: decoded.value }
    return invalid("invalid_message", schemaText(decoded.cause), parsed.value)
  }
}

/**
 * The schema's own words, which name places and expectations and repeat no value of the input. A schema that throws is a
 * mistake of the program, not of the client, and is thrown on.
 */
const schemaText = (cause: Cause.Cause<Schema.SchemaError>): string => {
  const error = Cause.squash(cause)
  if (Schema.isSchemaError(error)) return error.message
  throw error
}

/** Compiles the encoder of a schema. It throws on a value that is not of its type: a mistake of the program. */
export const makeEncoder = <A, I>(schema: Schema.Codec<A, I>): ((message: A) => string) => {
  const encode = Schema.encodeUnknownSync(Schema.toCodecJson(schema))
  return (message) => JSON.stringify(encode(message))
}
