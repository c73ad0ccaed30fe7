/**
 * A pure model of one channel: what every subscription must have received, lost and still hold, in plain arrays.
 *
 * It has no rings, cursors or sets: each subscription keeps its own list of what it was sent. Commands that make no
 * sense (reading a subscription that does not exist) change nothing, so that shrinking may delete any command.
 */
import * as Schema from "effect/Schema"

/** Identifiers that the rule allows and that a registry made of an object would get wrong. */
export const keys = ["hasOwnProperty", "toString", "valueOf"] as const
export const capacity = 3

const Key = Schema.Literals(keys)
const slot = Schema.Literals([0, 1, 2, 3, 4])
/** A subscription by number, or the receiver that some subscriptions belong to. */
const Except = Schema.Literals([0, 1, 2, 3, 4, "receiver", "nobody", "none"])
const Policy = Schema.Literals(["dropOldest", "dropNewest", "latest", "latestBy", "fail"])

export const Command = Schema.TaggedUnion({
  Publish: { key: Key, except: Except },
  DeliverRemote: { key: Key, except: Except },
  Burst: { key: Key, except: Except, count: Schema.Literals([2, 3, 4, 5]) },
  Subscribe: { key: Key, overflow: Policy, replay: Schema.Literals([0, 1, 2]), receiver: Schema.Boolean },
  Read: { slot, count: Schema.Literals([1, 2, 9]), view: Schema.Literals(["plain", "envelopes"]) },
  Unsubscribe: { slot }
})
export type Command = typeof Command.Type
type Except = typeof Except.Type
type Policy = typeof Policy.Type

/** What a read shows, in short: `3:7` is message 7 at position 3, `Gap 2`, `SlowConsumer 2`, `end`, `nothing`. */
export type Shown = string

interface Entry {
  readonly roomSeq: number
  readonly message: number
  readonly except: Except
}
type Item = Entry | { readonly gap: number }

interface Reader {
  readonly number: number
  readonly key: string
  readonly policy: Policy
  readonly receiver: boolean
  readonly hub: Hub
  /** Has left the place where overflow applies, and is read next. */
  taken: ReadonlyArray<Item>
  /** What waits where overflow applies; with the shared ring also what is not meant for this reader. */
  waiting: ReadonlyArray<Entry>
  lostSinceRead: number
  dropped: number
  state: "open" | "ended" | { readonly slow: number }
}

interface Hub {
  roomSeq: number
  history: ReadonlyArray<Entry>
}

/** The key function of `latestBy`: what comes in twos replaces each other. */
export const keyOf = (message: number): number => message % 2

const isShared = (reader: Reader): boolean => reader.policy === "dropOldest" || reader.policy === "fail"

const isFor = (reader: Reader, entry: Entry): boolean =>
  entry.except !== reader.number && !(entry.except === "receiver" && reader.receiver)

export class ChannelModel {
  readonly readers: Array<Reader> = []
  readonly #hubs = new Map<string, Hub>()
  readonly #replay: number
  #firstSeq = 0
  #closed = false

  constructor(replay: number) {
    this.#replay = replay
  }

  /** Returns the position the message got; 0 without a hub. */
  publish(key: string, message: number, except: Except): number {
    const hub = this.#hubs.get(key) ?? (this.#replay > 0 && !this.#closed ? this.#addHub(key) : undefined)
    if (hub === undefined) return 0
    const nobodyYet = typeof except === "number" && except >= this.readers.length
    const entry: Entry = { roomSeq: ++hub.roomSeq, message, except: nobodyYet ? "none" : except }
    hub.history = this.#replay > 0 ? [...hub.history, entry].slice(-this.#replay) : []
    for (const reader of this.#attached(hub)) this.#send(reader, entry)
    return entry.roomSeq
  }

  #send(reader: Reader, entry: Entry): void {
    if (!isShared(reader) && !isFor(reader, entry)) return
    const replaced = reader.waiting.find(
      (other) =>
        reader.policy === "latest" || (reader.policy === "latestBy" && keyOf(other.message) === keyOf(entry.message))
    )
    const full = replaced === undefined && reader.waiting.length === capacity
    const gone = replaced ?? (full ? (reader.policy === "dropNewest" ? entry : reader.waiting[0]) : undefined)
    reader.waiting = [...reader.waiting, entry].filter((other) => other !== gone)
    if (gone === undefined || !isFor(reader, gone)) return
    reader.lostSinceRead++
    reader.dropped++
  }

  subscribe(key: string, policy: Policy, replay: number, receiver: boolean): void {
    const hub = this.#hubs.get(key) ?? (this.#closed ? { roomSeq: 0, history: [] } : this.#addHub(key))
    const reader: Reader = {
      number: this.readers.length,
      key,
      policy,
      receiver,
      hub,
      taken: [],
      waiting: [],
      lostSinceRead: 0,
      dropped: 0,
      state: this.#closed ? "ended" : "open"
    }
    reader.taken = replay === 0 ? [] : hub.history.slice(-replay).filter((entry) => isFor(reader, entry))
    this.readers.push(reader)
  }

  /** Takes up to `count` values without waiting; ends with why there are no more. */
  read(number: number, count: number, view: "plain" | "envelopes"): ReadonlyArray<Shown> {
    const reader = this.readers[number]!
    const shown: Array<Shown> = []
    while (shown.length < count) {
      if (reader.taken.length === 0) this.#refill(reader)
      const [item, ...rest] = reader.taken
      if (item === undefined) return [...shown, this.#noMore(reader)]
      reader.taken = rest
      if (view === "envelopes") shown.push("gap" in item ? `Gap ${item.gap}` : `${item.roomSeq}:${item.message}`)
      else if (!("gap" in item)) shown.push(`${item.message}`)
    }
    return shown
  }

  #refill(reader: Reader): void {
    if (reader.state !== "open" || reader.waiting.length === 0) return
    const gap = reader.lostSinceRead > 0 ? [{ gap: reader.lostSinceRead }] : []
    const waiting = reader.waiting.filter((entry) => isFor(reader, entry))
    if (reader.policy === "fail" && reader.lostSinceRead > 0) reader.state = { slow: reader.lostSinceRead }
    else reader.taken = reader.policy === "dropNewest" ? [...waiting, ...gap] : [...gap, ...waiting]
    reader.waiting = []
    reader.lostSinceRead = 0
  }

  #noMore(reader: Reader): Shown {
    if (reader.state === "open") return "nothing"
    return reader.state === "ended" ? "end" : `SlowConsumer ${reader.state.slow}`
  }

  unsubscribe(number: number): void {
    const reader = this.readers[number]!
    if (reader.state === "open") reader.state = "ended"
    reader.taken = []
    reader.waiting = []
    if (this.#attached(reader.hub).length > 0 || this.#hubs.get(reader.key) !== reader.hub) return
    if (this.#replay === 0 || this.#closed) this.#removeHub(reader.key)
  }

  close(): void {
    this.#closed = true
    for (const reader of this.readers) {
      if (reader.state === "open") reader.state = "ended"
      reader.waiting = []
    }
    for (const key of keys) this.#removeHub(key)
  }

  /** Everything that can be seen from outside without reading. */
  observe(): string {
    const counts = keys.map((key) => `${key} ${this.#attached(this.#hubs.get(key)).length}`)
    const readers = this.readers.map((reader) => {
      const taken = reader.taken.filter((item) => !("gap" in item)).length
      const pending = taken + reader.waiting.filter((entry) => isFor(reader, entry)).length
      return `s${reader.number} pending ${pending} dropped ${reader.dropped}`
    })
    return [...counts, `size ${this.#hubs.size}`, ...readers].join(", ")
  }

  #attached(hub: Hub | undefined): ReadonlyArray<Reader> {
    return hub === undefined ? [] : this.readers.filter((reader) => reader.hub === hub && reader.state === "open")
  }

  #addHub(key: string): Hub {
    const hub: Hub = { roomSeq: this.#firstSeq, history: [] }
    this.#hubs.set(key, hub)
    return hub
  }

  #removeHub(key: string): void {
    this.#firstSeq = Math.max(this.#firstSeq, this.#hubs.get(key)?.roomSeq ?? 0)
    this.#hubs.delete(key)
  }
}
