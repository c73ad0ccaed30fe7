/**
 * WebSocket frames as a client writes and counts them. No library: the generator must cost less than what it measures.
 */
import { randomBytes } from "node:crypto"

const mask = randomBytes(4)

const masked = (opcode: number, payload: Buffer): Buffer => {
  const { length } = payload
  if (length > 0xffff) throw new RangeError("the generator sends no frame over 65,535 bytes")
  const start = length < 126 ? 2 : 4
  const frame = Buffer.allocUnsafe(start + 4 + length)
  frame[0] = 0x80 | opcode
  if (length < 126) {
    frame[1] = 0x80 | length
  } else {
    frame[1] = 0x80 | 126
    frame.writeUInt16BE(length, 2)
  }
  mask.copy(frame, start)
  for (let i = 0; i < length; i++) frame[start + 4 + i] = payload[i]! ^ mask[i & 3]!
  return frame
}

/** One masked text frame. */
export const text = (payload: string): Buffer => masked(1, Buffer.from(payload))

/** The answer to a ping. */
export const pong = (payload: Buffer): Buffer => masked(10, payload)

/** What a scan of received bytes reports. Payloads are views into the scanned bytes. */
export interface Listener {
  /** A text frame begins; where its payload ends, or -1 if that is not in this chunk. */
  readonly onText: (chunk: Buffer, from: number, to: number) => void
  /** A payload that began in an earlier chunk ends. */
  readonly onTextEnd: (chunk: Buffer, to: number) => void
  /** A ping or close frame, whole. */
  readonly onControl: (opcode: number, payload: Buffer) => void
}

/** Finds the frames in a stream of bytes that servers send, by their headers alone. */
export class Scanner {
  readonly #listener: Listener
  /** Bytes of the current payload that have not come. */
  #skip = 0
  /** The beginning of a header, or of a control frame, that a chunk ended in. */
  #rest: Buffer | undefined

  constructor(listener: Listener) {
    this.#listener = listener
  }

  scan(chunk: Buffer, end: number): void {
    if (this.#rest !== undefined) {
      const joined = Buffer.concat([this.#rest, chunk.subarray(0, end)])
      this.#rest = undefined
      return this.scan(joined, joined.length)
    }
    let i = this.#skip
    if (i > 0 && i <= end) this.#listener.onTextEnd(chunk, i)
    while (i < end) {
      const first = chunk[i]!
      if (i + 2 > end) return this.#keep(chunk, i, end)
      let length = chunk[i + 1]!
      let payload = i + 2
      if (length === 126) {
        payload = i + 4
        if (payload > end) return this.#keep(chunk, i, end)
        length = (chunk[i + 2]! << 8) | chunk[i + 3]!
      } else if (length === 127) {
        payload = i + 10
        if (payload > end) return this.#keep(chunk, i, end)
        length = Number(chunk.readBigUInt64BE(i + 2))
      }
      const next = payload + length
      if (first === 0x81) {
        this.#listener.onText(chunk, payload, next <= end ? next : -1)
      } else {
        if (next > end) return this.#keep(chunk, i, end)
        this.#listener.onControl(first & 15, chunk.subarray(payload, next))
      }
      i = next
    }
    this.#skip = i - end
  }

  #keep(chunk: Buffer, from: number, end: number): void {
    this.#skip = 0
    this.#rest = Buffer.from(chunk.subarray(from, end))
  }
}
