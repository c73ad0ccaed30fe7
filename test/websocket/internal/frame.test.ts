import { assert, describe, it } from "@effect/vitest"
import * as ws from "ws"
import { textFrame } from "../../../src/websocket/internal/frame.ts"

interface Reading extends NodeJS.EventEmitter {
  write(chunk: Buffer): boolean
}

/** The parser of `ws`, as a client uses it; its types do not show it. */
const { Receiver } = ws as unknown as { readonly Receiver: new (options: { readonly isServer: boolean }) => Reading }

/** What a client reads from these bytes, cut into chunks of `size`. */
const read = (bytes: Buffer, size = bytes.length): ReadonlyArray<string> => {
  const receiver = new Receiver({ isServer: false })
  const texts: Array<string> = []
  receiver.on("message", (data: Buffer, isBinary: boolean) => texts.push(isBinary ? "binary" : data.toString()))
  receiver.on("error", (error: Error) => texts.push(`error: ${error.message}`))
  for (let at = 0; at < bytes.length; at += size) receiver.write(bytes.subarray(at, at + size))
  return texts
}

describe("textFrame", () => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]

  it.each(lengths)("a text of %i bytes is read back by a client as it was written", (length) => {
    const text = "x".repeat(length)
    assert.deepStrictEqual(read(textFrame(text)), [text])
  })

  it.each(lengths)("%i bytes take the shortest header and nothing after the text", (length) => {
    const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
    const frame = textFrame("x".repeat(length))
    assert.strictEqual(frame.length, header + length)
    assert.strictEqual(frame[0], 0x81)
    assert.strictEqual(frame[1]! & 0x80, 0, "server frames are not masked")
  })

  it.each(["é", "€", "🚀", "a\u0000b", "é".repeat(63), "€".repeat(42), "🚀".repeat(16_384), "é".repeat(35_000)])(
    "the length of multi-byte text is that of its bytes (%#)",
    (text) => {
      const frame = textFrame(text)
      assert.deepStrictEqual(read(frame), [text])
      assert.isTrue(frame.subarray(-Buffer.byteLength(text)).equals(Buffer.from(text)))
    }
  )

  it("frames one after another are read as the messages they were", () => {
    const texts = lengths.map((length) => "é".repeat(length))
    assert.deepStrictEqual(read(Buffer.concat(texts.map(textFrame))), texts)
  })

  it("frames that arrive in pieces are read as the messages they were", () => {
    const texts = ["", "a", "é".repeat(63), "€".repeat(300)]
    assert.deepStrictEqual(read(Buffer.concat(texts.map(textFrame)), 1), texts)
  })

  it("half a surrogate pair becomes the replacement character, so that no client closes with 1007", () => {
    assert.deepStrictEqual(read(textFrame("a\ud800b")), ["a\ufffdb"])
  })
})
