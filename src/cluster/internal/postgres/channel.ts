/**
 * Topics as channels of PostgreSQL: `er1_` and 200 bits of the topic's SHA-256 in base 32.
 *
 * Names of channels end at 63 bytes. A hash keeps long topics apart that differ at the end only, and leaves nothing of
 * a topic that would need quoting.
 */
import { createHash } from "node:crypto"

const digits = "abcdefghijklmnopqrstuvwxyz234567"

/** Five bits a digit, of as many bytes as come out even. */
const base32 = (bytes: Uint8Array): string => {
  let text = ""
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += digits[(value >>> (bits - 5)) & 31]
    value &= (1 << bits) - 1
  }
  return text
}

/** Halves of surrogate pairs have no UTF-8 and would all be the same; no UTF-8 begins with this byte. */
const notText = Buffer.of(0xff)

const hashOf = (topic: string): Buffer => {
  const hash = createHash("sha256")
  return (topic.isWellFormed() ? hash.update(topic) : hash.update(notText).update(topic, "utf16le")).digest()
}

export const channelOf = (topic: string): string => `er1_${base32(hashOf(topic).subarray(0, 25))}`
