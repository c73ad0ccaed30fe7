import { assert, describe, it } from "@effect/vitest"
import { payload, textFrame } from "../../../src/websocket/internal/frame.ts"
import { Frames } from "../../../src/websocket/internal/frames.ts"
import { readFrames, wsFrame } from "../../support/outbound.ts"

const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
const wide = ["é", "€", "🚀", "a\u0000b", "é".repeat(63), "€".repeat(42), "🚀".repeat(16_384), "é".repeat(35_000)]

describe("textFrame", () => {
  it.each(lengths)("a text of %i bytes is read back by a client as it was written", (length) => {
    const text = "x".repeat(length)
    assert.deepStrictEqual(readFrames(textFrame(text)), [text])
  })

  it.each(lengths)("%i bytes take the shortest header and nothing after the text", (length) => {
    const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
    const frame = textFrame("x".repeat(length))
    assert.strictEqual(frame.length, header + length)
    assert.strictEqual(frame[0], 0x81)
    assert.strictEqual(frame[1]! & 0x80, 0, "server frames are not masked")
  })

  it.each([...lengths.map((length) => "x".repeat(length)), ...wide])("is byte for byte what ws sends (%#)", (text) => {
    assert.isTrue(textFrame(text).equals(wsFrame(text)))
  })

  it.each(wide)("the length of multi-byte text is that of its bytes (%#)", (text) => {
    const frame = textFrame(text)
    assert.deepStrictEqual(readFrames(frame), [text])
    assert.isTrue(frame.subarray(-Buffer.byteLength(text)).equals(Buffer.from(text)))
  })

  it.each([...lengths.map((length) => "x".repeat(length)), ...wide])("payload is the text again (%#)", (text) => {
    assert.strictEqual(payload(textFrame(text)).toString(), text)
  })

  it("frames one after another are read as the messages they were", () => {
    const texts = lengths.map((length) => "é".repeat(length))
    assert.deepStrictEqual(readFrames(Buffer.concat(texts.map(textFrame))), texts)
  })

  it("frames that arrive in pieces are read as the messages they were", () => {
    const texts = ["", "a", "é".repeat(63), "€".repeat(300)]
    assert.deepStrictEqual(readFrames(Buffer.concat(texts.map(textFrame)), 1), texts)
  })

  it("half a surrogate pair becomes the replacement character, so that no client closes with 1007", () => {
    assert.deepStrictEqual(readFrames(textFrame("a\ud800b")), ["a\ufffdb"])
  })
})

describe("slices of joined frames", () => {
  const texts = [...lengths.map((length) => "x".repeat(length)), ...wide]
  const frames = new Frames()
  for (const [place, text] of texts.entries()) frames.push(textFrame(text), place)
  const slices = texts.flatMap((_, from) => texts.slice(from).map((__, count) => [from, from + count + 1] as const))

  it("are read by a client as the messages they hold, wherever they begin and end", () => {
    for (const [from, to] of slices) {
      assert.deepStrictEqual(readFrames(frames.slice(from, to)), texts.slice(from, to), `${from} to ${to}`)
    }
  })

  it("are read as these messages when they arrive in pieces", () => {
    for (const size of [1, 7, 1460]) {
      const [from, to] = [2, 5] as const
      assert.deepStrictEqual(readFrames(frames.slice(from, to), size), texts.slice(from, to))
    }
  })

  it("are byte for byte what ws sends", () => {
    for (const [from, to] of slices.filter((_, n) => n % 5 === 0)) {
      assert.isTrue(frames.slice(from, to).equals(Buffer.concat(texts.slice(from, to).map(wsFrame))))
    }
  })
})
