/**
 * What travels for one event of the application: `{"v":1,"from":"…","data":…}`, the data by its schema.
 *
 * The part before the data is the same for everything one service emits, so that what comes back is known without
 * parsing it.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

export interface TopicCodec<A> {
  /** Throws when the payload is not of its type: a mistake of the program. */
  readonly encode: (payload: A) => string
  /** Whether this service emitted it. */
  readonly isOwn: (text: string) => boolean
  /** Fails with why it is not what it should be; repeats nothing of the text. */
  readonly decode: (text: string) => Result.Result<A, string>
}

const version = 1

export const makeCodec = <A, I>(schema: Schema.Codec<A, I>, origin: string): TopicCodec<A> => {
  const codec = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownSync(codec)
  const decode = Schema.decodeUnknownExit(codec)
  const start = `{"v":${version},"from":${JSON.stringify(origin)},"data":`
  return {
    encode: (payload) => `${start}${JSON.stringify(encode(payload))}}`,
    isOwn: (text) => text.startsWith(start),
    decode: (text) => {
      const envelope = parse(text)
      if (!Predicate.isObject(envelope) || !("data" in envelope)) return Result.fail("it is not of this library")
      if (!("v" in envelope) || envelope.v !== version) return Result.fail("it is of another version of this library")
      const decoded = decode(envelope.data)
      return Exit.isSuccess(decoded) ? Result.succeed(decoded.value) : Result.fail(sentence(decoded.cause))
    }
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The schema's own words, which name places and repeat no values. What a schema dies with may repeat anything. */
const sentence = (cause: Cause.Cause<Schema.SchemaError>): string => {
  const error = Cause.squash(cause)
  return Schema.isSchemaError(error) ? error.message : "its schema died"
}
