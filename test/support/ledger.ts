/**
 * What was published, heard and said in a simulated cluster, and whether it is what was promised. Knows the promises and
 * nothing of how they are kept.
 */
import type { Envelope } from "effect-rooms"

/** What is published: who it comes from and the how manyth of its key it is. */
export interface Message {
  readonly by: string
  readonly key: string
  readonly n: number
  readonly padding: string
}

interface Publish {
  readonly message: Message
  /** Place among everything that happened. */
  readonly beganAt: number
  readonly except: ReadonlyArray<string>
  /** Virtual milliseconds. */
  readonly time: number
  /** Its name in the cluster, once anybody has heard it. */
  id: string | undefined
}

type Item = Envelope.Envelope<Message> | Envelope.Gap

/** One reader of one key. */
export interface Reader {
  /** The life of a node it belongs to. */
  readonly by: string
  readonly key: string
  readonly items: Array<Item>
  id: string
  readonly beganAt: number
  liveAt: number | undefined
  /** Since when its node hears the key without a break. */
  readonly heardSince: number
  endBeganAt: number | undefined
  endedAt: number | undefined
}

export class Ledger {
  #moment = 0
  readonly #publishes = new Map<string, Array<Publish>>()
  /** By publisher and key, all it has published, in order. */
  readonly #byOrigin = new Map<string, Array<Publish>>()
  readonly readers: Array<Reader> = []
  readonly #problems: Array<string> = []
  readonly #crossed = new Set<string>()
  readonly #taken = new Set<string>()
  gaps = 0
  messages = 0

  get problem(): string | undefined {
    return this.#problems[0]
  }

  found(problem: string): void {
    this.#problems.push(problem)
  }

  get moment(): number {
    return ++this.#moment
  }

  /** Something is about to be published. */
  publish(by: string, key: string, padding: string, except: ReadonlyArray<string>, time: number): Message {
    const origin = `${by} ${key}`
    const own = this.#byOrigin.get(origin) ?? []
    this.#byOrigin.set(origin, own)
    const message = { by, key, n: own.length, padding }
    const publish: Publish = { message, beganAt: this.moment, except, time, id: undefined }
    own.push(publish)
    const all = this.#publishes.get(key) ?? []
    this.#publishes.set(key, all)
    all.push(publish)
    return message
  }

  /** A reader is about to subscribe. */
  subscribe(by: string, key: string): Reader {
    const beganAt = this.moment
    const others = this.readers.filter((one) => one.by === by && one.key === key && one.endedAt === undefined)
    const heardSince = Math.min(beganAt, ...others.map((one) => one.heardSince))
    const reader: Reader = {
      by,
      key,
      items: [],
      id: "",
      beganAt,
      liveAt: undefined,
      heardSince,
      endBeganAt: undefined,
      endedAt: undefined
    }
    this.readers.push(reader)
    return reader
  }

  /** A reader was handed something. I1, I2, I5, and what a message is. */
  hear(reader: Reader, item: Item): void {
    const say = (what: string) => this.found(`${reader.id} on ${reader.by} (${reader.key}): ${what}`)
    if (reader.endedAt !== undefined) say("was handed something after its end (I5)")
    if (item._tag === "Gap") {
      this.gaps++
      reader.items.push(item)
      if (item.reason !== "network") say(`has a gap that is called ${item.reason}`)
      return
    }
    this.messages++
    const { id, message, roomSeq } = item
    const publish = this.#byOrigin.get(`${message.by} ${message.key}`)?.[message.n]
    const text = `${message.by} #${message.n}`
    if (publish === undefined || publish.message.padding !== message.padding) return say(`${text} was never published`)
    if (message.key !== reader.key) say(`${text} belongs to ${message.key} (TRAP18)`)
    if (publish.except.includes(reader.id)) say(`${text} leaves it out`)
    if (message.by === reader.by && publish.beganAt < reader.beganAt) say(`${text} is older than its subscription`)
    const last = reader.items.findLast(({ _tag }) => _tag === "Message") as Envelope.Envelope<Message> | undefined
    if (last !== undefined && last.roomSeq >= roomSeq) say(`position ${roomSeq} after ${last.roomSeq}`)
    const before = reader.items.findLast((one) => one._tag === "Message" && one.message.by === message.by)
    if (before?._tag === "Message" && before.message.n >= message.n) {
      say(`${text} after #${before.message.n} (${before.message.n === message.n ? "I2" : "I1"})`)
    }
    publish.id ??= id
    if (publish.id !== id) say(`${text} is called ${id} here and ${publish.id} elsewhere`)
    reader.items.push(item)
  }

  /** A message goes over the bus. I4: each does so once at most, and from the node that has published it. */
  cross(by: string, { by: origin, key, n }: Message): void {
    const text = `${origin} #${n} (${key})`
    if (by !== origin) this.found(`${by} has published what comes from ${origin}: ${text} (I4)`)
    if (this.#crossed.has(text)) this.found(`${text} crosses the bus twice (I4)`)
    this.#crossed.add(text)
  }

  /** The bus has taken a message. */
  took({ by, key, n }: Message): void {
    this.#taken.add(`${by} #${n} (${key})`)
  }

  /** Its publisher was told that all others can have it: the bus has it, or nobody listens. */
  acknowledge({ by, key, n }: Message): void {
    const text = `${by} #${n} (${key})`
    if (this.#crossed.has(text) && !this.#taken.has(text)) {
      this.found(`${text} is said to have reached everyone, and the bus did not take it (TRAP6)`)
    }
  }

  /**
   * All is quiet. I3 for all readers, and for those that hear still (`isOpen`) to the last message; what a node has
   * published that is gone, and nothing after it arrived, may be lost with it (`isGone`).
   */
  checkLosses(
    isOpen: (reader: Reader) => boolean,
    isGone: (by: string, time: number) => boolean,
    mayLose: boolean
  ): void {
    for (const reader of this.readers) {
      if (reader.liveAt === undefined) continue
      const say = (what: string) => this.found(`${reader.id} on ${reader.by} (${reader.key}): ${what}`)
      const open = isOpen(reader)
      const owed = (this.#publishes.get(reader.key) ?? []).filter(
        ({ beganAt, except }) =>
          beganAt > reader.liveAt! && beganAt < (reader.endBeganAt ?? Infinity) && !except.includes(reader.id)
      )
      const heard = new Set(reader.items.flatMap((item) => (item._tag === "Message" ? [item.id] : [])))
      const missing = owed.filter(({ id }) => id === undefined || !heard.has(id))
      for (const { message, time } of missing) {
        const text = `${message.by} #${message.n}`
        const covered = this.#isCovered(reader, message, open && !isGone(message.by, time))
        if (covered && message.by === reader.by && open) say(`${text} of its own node is missing`)
        if (!covered) say(`${text} is missing, and no gap says so (I3)`)
      }
      const told = missing.filter(({ message, time }) => !isGone(message.by, time))
      this.#checkCount(reader, told.length, heard, open, say)
      if (!mayLose && reader.items.some(({ _tag }) => _tag === "Gap")) say("has a gap, and nothing was lost")
    }
  }

  /** Whether a gap stands where the message belongs. Of a reader that has ended the last may never have been told. */
  #isCovered(reader: Reader, { by, n }: Message, open: boolean): boolean {
    const { items } = reader
    const isOf = (item: Item) => item._tag === "Message" && item.message.by === by
    const after = items.findIndex((item) => isOf(item) && (item as Envelope.Envelope<Message>).message.n > n)
    if (after < 0 && !open) return true
    const before = items.findLastIndex((item) => isOf(item) && (item as Envelope.Envelope<Message>).message.n < n)
    return items.slice(before + 1, after < 0 ? undefined : after).some(({ _tag }) => _tag === "Gap")
  }

  /** Counts of gaps are exact, unless one of them is unknown. */
  #checkCount(reader: Reader, missing: number, heard: ReadonlySet<string>, open: boolean, say: (what: string) => void) {
    const gaps = reader.items.filter((item) => item._tag === "Gap")
    const told = gaps.reduce((sum, { missed }) => sum + missed, 0)
    const possible = (this.#publishes.get(reader.key) ?? []).filter(
      ({ beganAt, id, message }) =>
        beganAt > reader.heardSince && message.by !== reader.by && (id === undefined || !heard.has(id))
    )
    if (told > possible.length) say(`is told that ${told} are missing, which are ${possible.length} at most`)
    if (!open || gaps.some(({ missed }) => missed === 0)) return
    if (told < missing) say(`is told that ${told} are missing, which are ${missing}`)
  }
}
