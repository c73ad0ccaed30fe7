/**
 * Typed references: what a room, a user or any other entity is called.
 *
 * A `Ref<Room>` is an identifier that has passed the identifier rule and knows its entity, so a `Ref<User>` cannot be
 * used where a `Ref<Room>` is asked for. Raw strings become references at the edge, through `Room.ref.schema`. This
 * module owns the identifier rule and nothing else: a reference does not say that the entity exists.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

const TypeId = "~effect-rooms/Ref"
const EntityTypeId = "~effect-rooms/Ref/Entity"

/**
 * Refers to one entity by its identifier; equal by entity and identifier.
 *
 * Compare with `Equal.equals`: two references to one entity are two objects, so `===`, `Map` and `Set` tell them apart.
 * As a key use the reference in a `HashMap`, or its `identifier` in a `Map`. `JSON.stringify` writes the identifier;
 * consoles and logs show `Room(general)`.
 *
 * @example
 * ```ts
 * import { Equal, HashMap } from "effect"
 * import { Ref } from "effect-rooms"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 *
 * const [one, other] = [Room.ref`general`, Room.ref`general`]
 * console.log(one, one === other, Equal.equals(one, other)) // Room(general) false true
 *
 * const topics = HashMap.make([one, "anything"])
 * console.log(HashMap.has(topics, other), new Map([[one.identifier, 1]]).has(other.identifier)) // true true
 * ```
 */
export interface Ref<in out E> extends Equal.Equal {
  readonly [TypeId]: { readonly _E: (_: E) => E }
  /** The name the entity was declared with, such as `"Room"`. */
  readonly entity: string
  /** 1–128 ASCII characters that have passed the identifier rule. */
  readonly identifier: string
}

/** A reference whose entity is not known to the type; what every `Ref` is. */
export type AnyRef = Pick<Ref<never>, "entity" | "identifier">

/**
 * Marks the instance type of an entity class, so that two entities are two types.
 */
export interface EntityTag<out Name extends string> {
  readonly [EntityTypeId]: Name
}

/**
 * Creates references of one entity: a template tag with `make`, `is` and `schema` beside it.
 */
export interface Factory<E> {
  /**
   * Creates a reference from a template literal. Throws `InvalidRef` when the result breaks the identifier rule.
   */
  (strings: TemplateStringsArray, ...values: ReadonlyArray<string | number>): Ref<E>
  /** Creates a reference from a trusted string. Throws `InvalidRef`; use `schema` for input from outside. */
  readonly make: (identifier: string) => Ref<E>
  /** Tells whether a value is a reference of this entity. */
  readonly is: (u: unknown) => u is Ref<E>
  /** Decodes an untrusted string into a reference, and encodes a reference into its identifier. */
  readonly schema: Schema.Codec<Ref<E>, string>
}

/**
 * The class `Entity` returns; extend it, never instantiate it.
 */
export interface EntityClass<Self, Name extends string> {
  new (_: never): EntityTag<Name>
  readonly entityName: Name
  readonly ref: Factory<Self>
}

/** The entity a class made by `Entity` stands for. */
export type AnyEntity<E> = { readonly entityName: string; readonly ref: Factory<E> }

/**
 * Fails when a string breaks the identifier rule; thrown by `Room.ref` for trusted strings.
 *
 * The text is not repeated in the message: it may come from outside and end up in a log.
 */
export class InvalidRef extends Schema.TaggedError<InvalidRef>()("InvalidRef", {
  entity: Schema.String,
  reason: Schema.Literals(["empty", "tooLong", "badStart", "badCharacter", "reserved"])
}) {
  override get message(): string {
    return `not an identifier of ${this.entity}: ${explanations[this.reason]}`
  }
}

const explanations = {
  empty: "it is empty",
  tooLong: `it is longer than 128 characters`,
  badStart: "the first character is no ASCII letter or digit",
  badCharacter: "it has a character other than ASCII letters, digits and _ . : - /",
  reserved: "the word is reserved"
} as const

const reserved: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

const isAlphanumeric = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122)

const isRest = (code: number): boolean =>
  isAlphanumeric(code) || code === 95 || code === 46 || code === 58 || code === 45 || code === 47

/** Says what is wrong with an identifier. A scan of at most 129 characters, no regular expression. */
const violation = (identifier: string): InvalidRef["reason"] | undefined => {
  if (identifier.length === 0) return "empty"
  if (identifier.length > 128) return "tooLong"
  if (reserved.has(identifier)) return "reserved"
  if (!isAlphanumeric(identifier.charCodeAt(0))) return "badStart"
  for (let i = 1; i < identifier.length; i++) {
    if (!isRest(identifier.charCodeAt(i))) return "badCharacter"
  }
  return undefined
}

const variance = { _E: <E>(_: E): E => _ }

/** There is one for every room a connection names: what they have in common is in the prototype. */
class RefImpl<in out E> implements Ref<E> {
  readonly entity: string
  readonly identifier: string
  constructor(entity: string, identifier: string) {
    this.entity = entity
    this.identifier = identifier
  }
  get [TypeId](): Ref<E>[typeof TypeId] {
    return variance
  }
  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof RefImpl && that.entity === this.entity && that.identifier === this.identifier
  }
  [Hash.symbol](): number {
    return Hash.combine(Hash.string(this.entity), Hash.string(this.identifier))
  }
  toString(): string {
    return `${this.entity}(${this.identifier})`
  }
  toJSON(): string {
    return this.identifier
  }
  [Inspectable.NodeInspectSymbol](): string {
    return this.toString()
  }
}

/**
 * Tells whether a value is a reference, of whatever entity.
 */
export const isRef = (u: unknown): u is Ref<unknown> => Predicate.hasProperty(u, TypeId)

const makeFactory = <E>(entity: string): Factory<E> => {
  const make = (identifier: string): Ref<E> => {
    const reason = violation(identifier)
    if (reason !== undefined) throw new InvalidRef({ entity, reason })
    return new RefImpl<E>(entity, identifier)
  }
  const is = (u: unknown): u is Ref<E> => u instanceof RefImpl && u.entity === entity
  const Identifier = Schema.String.check(
    Schema.makeFilter(
      (text: string) => {
        const reason = violation(text)
        return reason === undefined || explanations[reason]
      },
      { expected: `an identifier of ${entity}` }
    )
  )
  const transformation = SchemaTransformation.transform<Ref<E>, string>({
    decode: (identifier) => new RefImpl<E>(entity, identifier),
    encode: (ref) => ref.identifier
  })
  const Declared = Schema.declare<Ref<E>>(is, {
    expected: `Ref<${entity}>`,
    toCodecJson: () => Schema.link<Ref<E>>()(Identifier, transformation)
  })
  const tag = (strings: TemplateStringsArray, ...values: ReadonlyArray<string | number>) => {
    // A part with an escape that means nothing, such as `\u`, has no text.
    if (strings.some((part) => part === undefined)) throw new InvalidRef({ entity, reason: "badCharacter" })
    return make(String.raw({ raw: strings }, ...values))
  }
  return Object.assign(tag, { make, is, schema: Identifier.pipe(Schema.decodeTo(Declared, transformation)) })
}

/**
 * Declares an entity whose references are typed.
 *
 * The identifier rule is the same for every entity: 1–128 characters, first a letter or digit, then letters, digits
 * and `_ . : - /`, all ASCII; `constructor` and `prototype` are refused. Two declarations with one name are one entity.
 *
 * @example
 * ```ts
 * import { Ref } from "effect-rooms"
 *
 * class Room extends Ref.Entity<Room>()("Room") {}
 *
 * const general: Ref.Ref<Room> = Room.ref`general`
 * const table = Room.ref`tables/${7}`
 * console.log(general.identifier, table.identifier)
 * ```
 */
export const Entity =
  <Self>() =>
  <const Name extends string>(name: Name): EntityClass<Self, Name> =>
    class {
      static readonly entityName = name
      static readonly ref = makeFactory<Self>(name)
    } as unknown as EntityClass<Self, Name>
