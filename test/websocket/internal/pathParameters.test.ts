/**
 * Schemas for the parameters of a path, which the router reads.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as FindMyWay from "effect/http/FindMyWay"
import * as Schema from "effect/Schema"
import { checkParameters } from "../../../src/websocket/internal/pathParameters.ts"

/** What the router itself finds; undefined where it refuses the path. */
const byRouter = (path: FindMyWay.PathInput): ReadonlyArray<string> | undefined => {
  const router = FindMyWay.make<null>()
  try {
    router.on("GET", path, null)
  } catch {
    return undefined
  }
  return (router as unknown as { readonly routes: ReadonlyArray<{ readonly params: ReadonlyArray<string> }> })
    .routes[0]!.params
}

/** Whether a schema of this name may stand beside the path. */
const takes = (path: string, name: string): boolean => {
  try {
    checkParameters(path, { [name]: 1 })
    return true
  } catch {
    return false
  }
}

describe("the parameters of a path", () => {
  it.each([
    ["*", ["*"]],
    ["/", []],
    ["/rooms", []],
    ["/rooms/:room", ["room"]],
    ["/rooms/:room/", ["room"]],
    ["/rooms/:room?", ["room"]],
    ["/files/*", ["*"]],
    ["/rooms/:room/files/*", ["room", "*"]],
    ["/:year-:month.:format", ["year", "month", "format"]],
    ["/at/:lat(^\\d+)-:long(^(\\d|\\.)+$)/x", ["lat", "long"]],
    ["/:id(\\d+):unit", ["id", "unit"]],
    ["/a::b/:c", ["c"]],
    ["/:file.*", ["file"]]
  ] as ReadonlyArray<[FindMyWay.PathInput, ReadonlyArray<string>]>)("of %s are %j", (path, names) => {
    assert.deepStrictEqual(byRouter(path), names)
    for (const name of names) assert.isTrue(takes(path, name), name)
    for (const name of ["", "roo", "room2", "ear", "x"]) assert.isFalse(takes(path, name), name)
  })

  const Piece = Schema.Literals(["/", "a", ":x", ":y", "(\\d+)", "((a)|\\))", "-", ".", "::", "?", "*"])
  it.prop(
    "are all taken that the router finds, and no others",
    { pieces: Arbitrary.array(Arbitrary.schema(Piece), { maxLength: 8 }) },
    (all) => {
      const path = `/${all.pieces.join("")}` as const
      const names = byRouter(path)
      if (names === undefined || names.includes("")) return
      for (const name of names) assert.isTrue(takes(path, name), `${path} ${name}`)
      assert.isFalse(takes(path, "z"), path)
    }
  )
})

describe("a schema without a parameter", () => {
  it("is a TypeError that names the path, the schema and what there is", () => {
    assert.throws(
      () => checkParameters("/rooms/:room/:seat", { room: 1, rom: 2, row: 3 }),
      TypeError,
      'the path /rooms/:room/:seat has no parameter named "rom" or "row"; it has "room" and "seat"'
    )
    assert.throws(
      () => checkParameters("/rooms", { room: 1 }),
      TypeError,
      'the path /rooms has no parameter named "room"; it has none'
    )
  })

  it("is looked for among the names of the path alone", () => {
    checkParameters("/rooms/:room?", { room: 1 })
    checkParameters("/files/*", { "*": 1 })
    checkParameters("/rooms/:room", {})
    checkParameters("/rooms/:room", undefined)
    assert.throws(() => checkParameters("/rooms/:toString", { constructor: 1 }), TypeError)
  })
})
