/**
 * Frames of one turn that belong together, as one run of bytes: what goes to a member is a slice of it, not a copy.
 */

/** Bytes after which frames do not wait for the end of the turn. */
export const fullAt = 64 * 1024

/** The messages of one key of a channel, in one wire encoding. */
export interface Feed {
  /** Names the channel in metrics. */
  readonly kind: string
  /** The identifier of the key. */
  readonly room: string
}

/** Where a published message stands, on routes whose slow connections lose messages and are told. */
export interface Mark {
  readonly feed: Feed
  readonly seq: number
  /** What tells it from others when only the latest is kept. */
  readonly key: unknown
}

/** Places for frames that are kept from turn to turn. */
const kept = 64

export class Frames {
  /** Longer than there are frames where a turn before had more: places are used again. */
  #frames: Array<Buffer | undefined> = []
  /** By frame, its place among all frames of the server; rises from frame to frame. */
  #places: Array<number> = []
  #marks: Array<Mark | undefined> | undefined
  #length = 0
  #bytes = 0
  #joined: Buffer | undefined
  /** Where each frame begins, and where the last one ends. */
  #offsets: Array<number> | undefined

  get length(): number {
    return this.#length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Makes room for the frames of another turn. */
  clear(): void {
    if (this.#frames.length > kept) {
      this.#frames = []
      this.#places = []
    } else this.#frames.fill(undefined, 0, this.#length)
    this.#marks = undefined
    this.#length = 0
    this.#bytes = 0
    this.#joined = undefined
    this.#offsets = undefined
  }

  place(index: number): number {
    return this.#places[index]!
  }

  push(frame: Buffer, place: number, mark?: Mark): void {
    const index = this.#length++
    if (mark !== undefined) (this.#marks ??= [])[index] = mark
    this.#frames[index] = frame
    this.#places[index] = place
    this.#bytes += frame.length
    this.#joined = undefined
    this.#offsets = undefined
  }

  frame(index: number): Buffer {
    return this.#frames[index]!
  }

  mark(index: number): Mark | undefined {
    return this.#marks?.[index]
  }

  /** The bytes of the frames from one index up to another. */
  slice(from: number, to: number): Buffer {
    if (to - from === 1) return this.#frames[from]!
    this.#joined ??= this.#join()
    if (from === 0 && to === this.#length) return this.#joined
    return this.#joined.subarray(this.#offset(from), this.#offset(to))
  }

  /** How many bytes a slice has. */
  size(from: number, to: number): number {
    if (from === 0 && to === this.#length) return this.#bytes
    return to - from === 1 ? this.#frames[from]!.length : this.#offset(to) - this.#offset(from)
  }

  #join(): Buffer {
    const frames = this.#length === this.#frames.length ? this.#frames : this.#frames.slice(0, this.#length)
    return Buffer.concat(frames as Array<Buffer>, this.#bytes)
  }

  #offset(index: number): number {
    if (this.#offsets === undefined) {
      const offsets = [0]
      let end = 0
      for (let each = 0; each < this.#length; each++) offsets.push((end += this.#frames[each]!.length))
      this.#offsets = offsets
    }
    return this.#offsets[index]!
  }
}

/** Some frames that follow each other. */
export interface Run {
  readonly frames: Frames
  readonly from: number
  readonly to: number
}

/** Merges runs, each in the order of its places, into one order. What stays together stays one run. */
export const merge = (runs: ReadonlyArray<Run>): ReadonlyArray<Run> => {
  if (runs.length < 2) return runs
  const merged: Array<Run> = []
  let waiting = runs.toSorted((a, b) => a.frames.place(a.from) - b.frames.place(b.from))
  while (waiting.length > 1) {
    const [first, ...rest] = waiting as [Run, ...Array<Run>]
    const next = rest[0]!.frames.place(rest[0]!.from)
    let to = first.from + 1
    while (to < first.to && first.frames.place(to) < next) to++
    merged.push({ frames: first.frames, from: first.from, to })
    waiting = rest
    if (to < first.to) insert(waiting, { frames: first.frames, from: to, to: first.to })
  }
  return [...merged, ...waiting]
}

const insert = (sorted: Array<Run>, run: Run): void => {
  const place = run.frames.place(run.from)
  const at = sorted.findIndex((other) => other.frames.place(other.from) > place)
  if (at < 0) sorted.push(run)
  else sorted.splice(at, 0, run)
}

/** The runs of a slice without some of its frames. */
export const without = (frames: Frames, from: number, to: number, left: ReadonlyArray<number>): Array<Run> => {
  const runs: Array<Run> = []
  let start = from
  for (const index of left) {
    if (index < start) continue
    if (index >= to) break
    if (index > start) runs.push({ frames, from: start, to: index })
    start = index + 1
  }
  if (start < to) runs.push({ frames, from: start, to })
  return runs
}

/** How many frames runs have together. */
export const lengthOf = (runs: ReadonlyArray<Run>): number => {
  let messages = 0
  for (const { from, to } of runs) messages += to - from
  return messages
}

/** How many bytes runs have together. */
export const sizeOf = (runs: ReadonlyArray<Run>): number => {
  let bytes = 0
  for (const { frames, from, to } of runs) bytes += frames.size(from, to)
  return bytes
}
