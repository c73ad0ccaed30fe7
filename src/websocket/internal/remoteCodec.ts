/**
 * Messages of a route on their way between nodes: text by its `outgoing` schema, checked by it when it comes.
 */
import type * as Schema from "effect/Schema"
import { makeDecoder } from "./codec.ts"

/** A message that fits its route. */
export interface Fitting<Out> {
  readonly message: Out
}

/** Decodes messages of a route; undefined where one does not fit. Compiled when the first one comes. */
export const makeFarDecoder = <Out>(
  outgoing: Schema.Codec<Out, unknown>
): ((text: string) => Fitting<Out> | undefined) => {
  let decode: ReturnType<typeof makeDecoder<Out, unknown>> | undefined
  return (text) => {
    try {
      decode ??= makeDecoder(outgoing, Number.POSITIVE_INFINITY)
      const decoded = decode(text)
      return decoded._tag === "Valid" ? { message: decoded.message } : undefined
    } catch {
      // A schema that throws has not decoded; whoever asked counts and logs it.
      return undefined
    }
  }
}
