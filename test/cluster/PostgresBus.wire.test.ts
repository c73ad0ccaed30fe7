import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { channelOf } from "../../src/cluster/internal/postgres/channel.ts"
import { decode, encode, maxNotification, payloadOf } from "../../src/cluster/internal/postgres/wire.ts"
import { oddPayloads, oddTopics } from "../support/driverLink.ts"

/** Carries a payload as the database does. */
const carry = (payload: string, number: number): string => {
  const { head, row } = encode(payload, number)
  const incoming = decode(row === undefined ? head : `${head}42`)
  if (incoming._tag === "Payload") return incoming.payload
  assert.strictEqual(incoming.id, "42")
  return payloadOf(row!, incoming.isJson)
}

const Piece = Schema.Literals([
  "\0",
  "a",
  ":",
  "t0:",
  "T0:1",
  "日",
  "🎈",
  "\n",
  '"',
  "x".repeat(2_000),
  "日".repeat(1_300)
])
const Payload = Arbitrary.map(Arbitrary.array(Arbitrary.schema(Piece), { maxLength: 8 }), (pieces) => pieces.join(""))

describe("a notification", () => {
  it.prop("carries any payload, in at most 7,999 bytes without a zero", [Payload], ([payload]) => {
    for (const number of [0, 35, 36, Number.MAX_SAFE_INTEGER]) {
      const { head, row } = encode(payload, number)
      assert.isAtMost(Buffer.byteLength(head), maxNotification)
      assert.notInclude(`${head}${row}`, "\0")
      assert.isTrue(carry(payload, number) === payload)
    }
  })

  it.each(oddPayloads)("carries %j", (payload) => {
    assert.strictEqual(carry(payload, 0), payload)
  })

  it("TRAP17: has room for 7,999 bytes, not characters", () => {
    const room = maxNotification - "t0:".length
    assert.isUndefined(encode("x".repeat(room), 0).row)
    assert.isDefined(encode("x".repeat(room + 1), 0).row)
    assert.isUndefined(encode("日".repeat(Math.floor(room / 3)), 0).row)
    assert.isDefined(encode("日".repeat(Math.floor(room / 3) + 1), 0).row)
  })

  it("K8: differs from every other one of the connection", () => {
    const heads = Array.from({ length: 100 }, (_, number) => encode("same", number).head)
    assert.strictEqual(new Set(heads).size, heads.length)
  })

  it.each(["", "hello", "t", "t:", "x1:y", "tT1:a", " t1:a"])(
    "of somebody else is a payload as it stands: %j",
    (text) => {
      assert.deepStrictEqual(decode(text), { _tag: "Payload", payload: text })
    }
  )

  it("of somebody else that only looks like ours does no harm", () => {
    assert.deepStrictEqual(decode("j1:not json"), { _tag: "Payload", payload: "not json" })
    assert.deepStrictEqual(decode("j1:[1]"), { _tag: "Payload", payload: "[1]" })
  })
})

describe("SEC14: the channel of a topic", () => {
  it.each(oddTopics)("is a name of 44 letters and digits: %j", (topic) => {
    assert.match(channelOf(topic), /^er1_[a-z2-7]{40}$/)
  })

  it("TRAP18: is of one topic alone, halves of surrogate pairs among them", () => {
    const topics = [...oddTopics, "\uD800", "\uD801", "\uDC00", "\uFFFD"]
    assert.strictEqual(new Set(topics.map(channelOf)).size, topics.length)
  })

  it("is the beginning of the topic's SHA-256", () => {
    const bits = [...createHash("sha256").update("room").digest()]
      .map((byte) => byte.toString(2).padStart(8, "0"))
      .join("")
    const letters = bits.slice(0, 200).match(/.{5}/g)!
    const expected = letters.map((five) => "abcdefghijklmnopqrstuvwxyz234567"[Number.parseInt(five, 2)]).join("")
    assert.strictEqual(channelOf("room"), `er1_${expected}`)
  })
})
