import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { makeDecoder, makeEncoder } from "../../../src/websocket/internal/codec.ts"

const decodeAny = makeDecoder(Schema.Json, 32)
const Say = Schema.Struct({ type: Schema.Literal("say"), text: Schema.String, at: Schema.optionalKey(Schema.Finite) })
const decodeSay = makeDecoder(Say, 32)

/** `depth` arrays in each other. */
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)

const objects = (depth: number) => '{"a":'.repeat(depth) + "1" + "}".repeat(depth)

const reasonOf = (decoded: ReturnType<typeof decodeAny>) => (decoded._tag === "Valid" ? "valid" : decoded.reason)

describe("the decoder", () => {
  it("gives the handler the type of the schema", () => {
    const When = Schema.Struct({ when: Schema.Date })
    const decoded = makeDecoder(When, 32)('{"when":"2024-01-01T00:00:00.000Z"}')
    assert.deepStrictEqual(decoded, { _tag: "Valid", message: { when: new Date("2024-01-01T00:00:00.000Z") } })
  })

  it.each(["", "{", "undefined", "NaN", "{'a':1}", "[1,]", "\u0000", "\ufeff{}"])("%j is not JSON", (text) => {
    const decoded = decodeAny(text)
    assert.strictEqual(reasonOf(decoded), "invalid_json")
  })

  it("what does not fit is refused, with the place and without the value", () => {
    const decoded = decodeSay('{"type":"say","text":{"secret":"hunter2"}}')
    if (decoded._tag === "Valid") return assert.fail("it fits")
    assert.strictEqual(decoded.reason, "invalid_message")
    assert.include(decoded.message, "text")
    assert.notInclude(decoded.message, "hunter2")
    assert.deepStrictEqual(decoded.input, { type: "say", text: { secret: "hunter2" } })
  })

  it("SEC18: the depth limit is exact, for arrays and for objects", () => {
    assert.strictEqual(reasonOf(decodeAny(nested(32))), "valid")
    assert.strictEqual(reasonOf(decodeAny(nested(33))), "too_deep")
    assert.strictEqual(reasonOf(decodeAny(objects(32))), "valid")
    assert.strictEqual(reasonOf(decodeAny(objects(33))), "too_deep")
  })

  it("SEC18: a message of nothing but brackets is refused and not a stack overflow", () => {
    assert.strictEqual(reasonOf(decodeAny(nested(32_768))), "too_deep")
    assert.strictEqual(reasonOf(decodeAny("[".repeat(65_536))), "invalid_json")
  })

  it("SEC18: unknown properties, `__proto__` among them, are dropped and pollute nothing", () => {
    const text = '{"type":"say","text":"hi","admin":true,"__proto__":{"polluted":true},"constructor":{"polluted":true}}'
    const decoded = decodeSay(text)
    assert.deepStrictEqual(decoded, { _tag: "Valid", message: { type: "say", text: "hi" } })
    assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
  })

  it("SEC18: names of Object.prototype are no messages and no properties", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      assert.strictEqual(reasonOf(decodeSay(`{"${name}":{"type":"say","text":"hi"}}`)), "invalid_message")
    }
  })

  it.each(["1e999", "-1e999", '{"a":[1e999]}', '{"type":"say","text":"","at":1e999}'])(
    "SEC19: %s is no number",
    (text) => {
      assert.strictEqual(reasonOf(decodeAny(text)), "invalid_json")
      assert.strictEqual(reasonOf(decodeSay(text)), "invalid_json")
    }
  )

  it.each(['"\\ud800"', '"\\udc00\\ud800"', '{"\\ud800":1}', '[{"a":"x\\udfff"}]'])(
    "SEC21: half a surrogate pair, as in %s, is refused",
    (text) => {
      assert.strictEqual(reasonOf(decodeAny(text)), "invalid_json")
    }
  )

  it("SEC21: a whole surrogate pair is text", () => {
    assert.deepStrictEqual(decodeAny('"\\ud83d\\ude80"'), { _tag: "Valid", message: "🚀" })
  })

  it("SEC20: 64 KiB of hostile text takes milliseconds, whatever it is made of", () => {
    const hostile = ["a".repeat(65_000), " ".repeat(65_000), '"' + "\\\\".repeat(32_000) + '"', '{"a":'.repeat(13_000)]
    for (const text of hostile) {
      const before = process.cpuUsage()
      decodeAny(text)
      decodeSay(JSON.stringify({ type: "say", text }))
      const { user } = process.cpuUsage(before)
      assert.isBelow(user, 500_000, "microseconds of CPU; what backtracks takes minutes")
    }
  })

  it("SEC23: what is said about a message is at most 256 characters of well-formed text", () => {
    const key = "🚀".repeat(400)
    const decoded = makeDecoder(Schema.Record(Schema.String, Schema.Finite), 32)(JSON.stringify({ ["a" + key]: "no" }))
    if (decoded._tag === "Valid") return assert.fail("it fits")
    assert.isAtMost(decoded.message.length, 256)
    assert.isTrue(decoded.message.isWellFormed())
  })

  it("P20: a schema that throws is a defect of the program and not an invalid message of the client", () => {
    const Broken = Schema.String.pipe(
      Schema.decodeTo(Schema.String, {
        decode: SchemaGetter.transform((): string => {
          throw new Error("broken schema")
        }),
        encode: SchemaGetter.transform((text: string) => text)
      })
    )
    assert.throws(() => makeDecoder(Broken, 32)('"hello"'))
  })
})

describe("the encoder", () => {
  it("writes what the decoder of the same schema reads", () => {
    const When = Schema.Struct({ when: Schema.Date, size: Schema.BigInt })
    const value = { when: new Date(1), size: 2n }
    const decoded = makeDecoder(When, 32)(makeEncoder(When)(value))
    assert.deepStrictEqual(decoded, { _tag: "Valid", message: value })
  })

  it("throws for a value that is not of the schema's type", () => {
    const encode = makeEncoder(Schema.Struct({ n: Schema.Finite }))
    assert.throws(() => encode({ n: Number.NaN }))
    assert.throws(() => encode({ n: "1" } as unknown as { n: number }))
  })

  it("leaves out properties the schema does not know", () => {
    const user = { n: 1, passwordHash: "x" }
    const value: { readonly n: number } = user
    assert.strictEqual(makeEncoder(Schema.Struct({ n: Schema.Finite }))(value), '{"n":1}')
  })
})
