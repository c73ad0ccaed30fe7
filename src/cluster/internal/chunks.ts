/**
 * Splits what is said in one turn into packets a bus takes.
 */

/** Room for the version, the signature and the header of a packet. */
const overhead = 512

/** Bytes of a line with its line break; counted exactly only where that can matter. */
const bytesOf = (line: string, room: number): number =>
  (line.length * 3 < room ? line.length * 3 : Buffer.byteLength(line)) + 1

/** Puts as many lines together as fit, in order; a line that alone is too long is a packet of its own. */
export const chunked = (lines: ReadonlyArray<string>, maxPayload: number): ReadonlyArray<ReadonlyArray<string>> => {
  const room = maxPayload - overhead
  let upTo = 0
  for (const line of lines) upTo += line.length * 3 + 1
  if (upTo <= room) return [lines]
  const chunks: Array<Array<string>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const line of lines) {
    const more = bytesOf(line, room / lines.length)
    if (bytes + more > room) {
      chunks.push([])
      bytes = 0
    }
    chunks.at(-1)!.push(line)
    bytes += more
  }
  return chunks
}
