import { assert, describe, expectTypeOf, it, vi } from "@effect/vitest"
import { Channels, Ref } from "effect-rooms"
import * as Arbitrary from "effect/Arbitrary"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Hash from "effect/Hash"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { format, inspect } from "node:util"
import { Room, User } from "./support/channels.ts"

const decode = Schema.decodeUnknownExit(Room.ref.schema)
const decodes = (text: unknown): boolean => Exit.isSuccess(decode(text))

/** The identifier rule, written a second time. */
const allowed = (text: string): boolean =>
  /^[A-Za-z0-9][A-Za-z0-9_.:\-/]{0,127}$/.test(text) && !["__proto__", "constructor", "prototype"].includes(text)

const invalid: ReadonlyArray<readonly [what: string, text: string, reason: Ref.InvalidRef["reason"]]> = [
  ["nothing", "", "empty"],
  ["129 characters", "a".repeat(129), "tooLong"],
  ["64 KiB", "a".repeat(65_536), "tooLong"],
  ["__proto__", "__proto__", "reserved"],
  ["constructor", "constructor", "reserved"],
  ["prototype", "prototype", "reserved"],
  ["a leading $", "$share", "badStart"],
  ["a leading dot", ".hidden", "badStart"],
  ["a leading slash", "/etc", "badStart"],
  ["a leading dash", "-rf", "badStart"],
  ["a leading underscore", "_private", "badStart"],
  ["a leading colon", ":a", "badStart"],
  ["a leading >", ">", "badStart"],
  ["a leading *", "*", "badStart"],
  ["a leading unicode letter", "éclair", "badStart"],
  ["a lone high surrogate", "\ud800", "badStart"],
  ["a lone low surrogate inside", "a\udc00", "badCharacter"],
  ["a glob", "a.*", "badCharacter"],
  ["a NATS wildcard", "a.>", "badCharacter"],
  ["a space", "a b", "badCharacter"],
  ["a trailing space", "a ", "badCharacter"],
  ["a trailing line feed", "a\n", "badCharacter"],
  ["a carriage return", "a\r\nb", "badCharacter"],
  ["a NUL", "a\0", "badCharacter"],
  ["a control character", "a\u007f", "badCharacter"],
  ["a $ inside", "a$b", "badCharacter"],
  ["a % escape", "a%2fb", "badCharacter"],
  ["a backslash", "a\\b", "badCharacter"],
  ["a question mark", "a?b", "badCharacter"],
  ["a hash", "a#b", "badCharacter"],
  ["an emoji", "a😀", "badCharacter"],
  ["a full-width letter", "aＡ", "badCharacter"],
  ["a combining accent", "e\u0301", "badCharacter"],
  ["a zero-width joiner", "a\u200db", "badCharacter"]
]

const valid = [
  "a",
  "Z",
  "0",
  "a".repeat(128),
  "a/b",
  "tables/7",
  "a_b.c:d-e",
  "hasOwnProperty",
  "toString",
  "a..b",
  "a//"
]

describe("J1: Room.ref", () => {
  it("makes references as a template tag and from strings", () => {
    assert.strictEqual(Room.ref`general`.identifier, "general")
    assert.strictEqual(Room.ref`tables/${7}/${"x"}`.identifier, "tables/7/x")
    assert.strictEqual(Room.ref.make("general").identifier, "general")
    assert.strictEqual(Room.ref`general`.entity, "Room")
    assert.strictEqual(Room.entityName, "Room")
    const printable: { readonly toString: () => string } = Room.ref`general`
    assert.strictEqual(printable.toString(), "Room(general)")
  })

  it("checks what a template came out as, not its parts", () => {
    assert.throws(() => Room.ref`${""}`, Ref.InvalidRef)
    assert.throws(() => Room.ref`${-1}`, Ref.InvalidRef)
    assert.throws(() => Room.ref`room ${1}`, Ref.InvalidRef)
    assert.throws(() => Room.ref`__${"proto"}__`, Ref.InvalidRef)
  })

  it("refuses a template with an escape that means nothing, instead of naming it undefined", () => {
    assert.throws(() => Room.ref`\unicode`, Ref.InvalidRef)
  })

  it("tells its own references from others", () => {
    assert.isTrue(Room.ref.is(Room.ref`a`))
    for (const other of [User.ref`a`, "a", null, undefined, { entity: "Room", identifier: "a" }]) {
      assert.isFalse(Room.ref.is(other))
    }
    assert.isTrue(Ref.isRef(User.ref`a`))
    assert.isFalse(Ref.isRef({ entity: "Room", identifier: "a" }))
  })

  it("two declarations with one name are one entity", () => {
    class Again extends Ref.Entity<Again>()("Room") {}
    assert.isTrue(Equal.equals(Again.ref`a`, Room.ref`a`))
    assert.isTrue(Room.ref.is(Again.ref`a`))
  })
})

describe("what is shown of a reference", () => {
  const ref = Room.ref`a/1`

  it("in the console and in logs is its entity and identifier, however deep it is", () => {
    assert.strictEqual(inspect(ref), "Room(a/1)")
    assert.strictEqual(inspect({ room: ref }), "{ room: Room(a/1) }")
    assert.strictEqual(inspect([{ at: { the: { room: ref } } }], { depth: 2 }), "[ { at: { the: [Object] } } ]")
    assert.strictEqual(inspect([{ at: { room: ref } }], { depth: 2 }), "[ { at: { room: Room(a/1) } } ]")
    assert.strictEqual(inspect(new Map([[ref, 1]])), "Map(1) { Room(a/1) => 1 }")
    assert.strictEqual(Formatter.format({ room: ref }), '{"room":Room(a/1)}')
    assert.strictEqual(format("%s %O %j", ref, ref, ref), 'Room(a/1) Room(a/1) "a/1"')
  })

  it.effect("by Effect's own logger is the same", () =>
    Effect.gen(function* () {
      const lines: Array<unknown> = []
      const logged = Effect.annotateLogs(Effect.log(ref, { ref }), { room: ref })
      const logger = Logger.map(Logger.defaultLogger, () => undefined)
      const into = { ...console, log: (...args: ReadonlyArray<unknown>) => void lines.push(format(...args)) }
      yield* logged.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Console.Console, into))
      assert.match(String(lines[0]), /: Room\(a\/1\) \{ ref: Room\(a\/1\) \} \{ room: Room\(a\/1\) \}$/)
    })
  )

  it("costs a reference nothing: it has its entity and identifier, and nothing else of its own", () => {
    assert.deepStrictEqual(Reflect.ownKeys(ref), ["entity", "identifier"])
  })
})

describe("equality", () => {
  it("is by entity and identifier, and so is the hash", () => {
    assert.isTrue(Equal.equals(Room.ref`a`, Room.ref.make("a")))
    assert.strictEqual(Hash.hash(Room.ref`a`), Hash.hash(Room.ref.make("a")))
    assert.isFalse(Equal.equals(Room.ref`a`, Room.ref`b`))
    assert.isFalse(Equal.equals(Room.ref`a`, User.ref`a` as unknown))
    assert.notStrictEqual(Hash.hash(Room.ref`a`), Hash.hash(User.ref`a`))
    assert.isFalse(Equal.equals(Room.ref`a`, { entity: "Room", identifier: "a" } as unknown))
  })

  it("makes references usable as keys of a HashMap", () => {
    const map = HashMap.make([Room.ref`a`, 1], [Room.ref`b`, 2])
    assert.deepStrictEqual(HashMap.get(map, Room.ref.make("b")), Option.some(2))
    assert.isTrue(Option.isNone(HashMap.get(map, Room.ref`c`)))
    assert.strictEqual(HashMap.size(HashMap.set(map, Room.ref.make("a"), 3)), 2)
  })
})

describe("schema", () => {
  it.effect("decodes identifiers and encodes references", () =>
    Effect.gen(function* () {
      const ref = yield* Schema.decodeUnknownEffect(Room.ref.schema)("general")
      assert.isTrue(Equal.equals(ref, Room.ref`general`))
      assert.strictEqual(yield* Schema.encodeEffect(Room.ref.schema)(ref), "general")
      assert.isTrue(Exit.isFailure(Schema.encodeUnknownExit(Room.ref.schema)(User.ref`general`)))
      for (const other of [undefined, null, 7, {}, ["a"], Object("a")]) assert.isFalse(decodes(other))
    })
  )

  it("travels as its identifier in JSON", () => {
    const Message = Schema.Struct({ room: Room.ref.schema })
    const text = Schema.fromJsonString(Schema.toCodecJson(Message))
    const json = Schema.encodeSync(text)({ room: Room.ref`a/1` })
    assert.deepStrictEqual(JSON.parse(json), { room: "a/1" })
    assert.isTrue(Equal.equals(Schema.decodeUnknownSync(text)(json).room, Room.ref`a/1`))
    assert.strictEqual(JSON.stringify({ room: Room.ref`a/1` }), `{"room":"a/1"}`)
  })

  it("of the decoded side alone travels as its identifier in JSON, too, and is checked on the way in", () => {
    const codec = Schema.toCodecJson(Schema.toType(Room.ref.schema))
    assert.strictEqual(Schema.encodeSync(codec)(Room.ref`a`), "a")
    assert.isTrue(Equal.equals(Schema.decodeUnknownSync(codec)("a"), Room.ref`a`))
    assert.isTrue(Exit.isFailure(Schema.decodeUnknownExit(codec)("a b")))
  })
})

describe("SEC14: the identifier rule", () => {
  for (const [what, text, reason] of invalid) {
    it(`SEC14: refuses ${what}`, () => {
      assert.isFalse(decodes(text))
      assert.isFalse(allowed(text))
      try {
        Room.ref.make(text)
        assert.fail("was accepted")
      } catch (error) {
        assert(error instanceof Ref.InvalidRef)
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(error.entity, "Room")
      }
    })
  }

  it("SEC14: accepts what the rule allows, up to 128 characters", () => {
    for (const text of valid) {
      assert.isTrue(decodes(text), text)
      assert.isTrue(allowed(text), text)
      assert.strictEqual(Room.ref.make(text).identifier, text)
    }
  })

  it("SEC14: an error does not repeat the text it is about", () => {
    const error = new Ref.InvalidRef({ entity: "Room", reason: "badCharacter" })
    assert.match(error.message, /^not an identifier of Room: /)
    assert.throws(() => Room.ref.make("a\r\nforged line"), /^(?![^]*forged)/)
  })

  const likely = Arbitrary.schema(
    Schema.Literals([...valid, "__proto__", "$", " ", "\n", "é", "😀", "\ud800", "", ">"])
  )
  const texts = Arbitrary.all([Arbitrary.schema(Schema.String), likely, likely])

  it.prop(
    "SEC14: accepts exactly what the rule written a second time accepts",
    { texts, ascii: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 32, maximum: 127 }))) },
    ({ ascii, texts: [random, left, right] }) => {
      for (const text of [random, left + right, left + random, String.fromCharCode(...ascii)]) {
        assert.strictEqual(decodes(text), allowed(text), JSON.stringify(text))
      }
    },
    { arbitrary: { runs: 2_000, size: 40, seed: "effect-rooms" } }
  )

  it("SEC20: looks at no more than 128 characters, however long the text is", () => {
    const long = "a".repeat(65_536)
    const seen: Array<number> = []
    const looking = vi.spyOn(String.prototype, "charCodeAt").mockImplementation(function (this: string, index) {
      seen.push(index ?? 0)
      return this.codePointAt(index ?? 0) ?? Number.NaN
    })
    try {
      for (const text of [long, `${long}\n`, `$${long}`]) assert.throws(() => Room.ref.make(text), Ref.InvalidRef)
      Room.ref.make("a".repeat(128))
    } finally {
      looking.mockRestore()
    }
    assert.isAtMost(Math.max(...seen), 127)
    assert.isAtMost(seen.length, 4 * 128)
  })

  it("SEC20: a thousand texts of 64 KiB are decoded", () => {
    const long = ["a", "a.", "/", "\0", "\ud800", "é"].map((part) => part.repeat(65_536 / part.length))
    for (let n = 0; n < 1_000; n++) assert.isFalse(decodes(long[n % long.length]))
  })
})

describe("types", () => {
  it("a reference of one entity is refused where another is asked for", () => {
    expectTypeOf(Room.ref`a`).toEqualTypeOf<Ref.Ref<Room>>()
    expectTypeOf<Ref.Ref<User>>().not.toExtend<Ref.Ref<Room>>()
    expectTypeOf<string>().not.toExtend<Ref.Ref<Room>>()
    expectTypeOf(Room.ref.schema.Type).toEqualTypeOf<Ref.Ref<Room>>()
    expectTypeOf(Room.ref.schema.Encoded).toEqualTypeOf<string>()
    expectTypeOf(Room.entityName).toEqualTypeOf<"Room">()
    // @ts-expect-error a Ref<User> is no Ref<Room>
    const wrong: Ref.Ref<Room> = User.ref`a`
    assert.strictEqual(wrong.entity, "User")
    // @ts-expect-error an entity class is not instantiated
    assert.isDefined(new Room())
  })

  it.effect("a channel takes references of its own entity only", () =>
    Effect.gen(function* () {
      const channel = yield* Channels.make({ key: Room, message: Schema.String })
      expectTypeOf<Parameters<typeof channel.publish>[0]>().toEqualTypeOf<Ref.Ref<Room>>()
      // @ts-expect-error a Ref<User> is no Ref<Room>
      yield* channel.publish(User.ref`a`, "hello")
      // @ts-expect-error a Ref<User> is no Ref<Room>
      yield* channel.subscribe(User.ref`a`)
      // @ts-expect-error a string is no reference
      yield* channel.deliverRemote("a", "hello")
      // @ts-expect-error the message is a string
      yield* channel.publish(Room.ref`a`, 7)
    })
  )
})
