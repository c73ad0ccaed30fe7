/**
 * What a slow connection loses and is told: every command is done to a backlog and to a list that follows the rules
 * word by word, and what comes out is read as a client reads it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { Backlog, type Loss, type Policy } from "../../../src/websocket/internal/backlog.ts"
import { type Feed, Frames, type Mark } from "../../../src/websocket/internal/frames.ts"

/** Two feeds of one key and one of another: what is lost of one says nothing of the others. */
const feeds: ReadonlyArray<Feed> = [
  { kind: "chat", room: "a" },
  { kind: "news", room: "a" },
  { kind: "chat", room: "b" }
]
const limits = { outboxBytes: 300, outboxMessages: 6 }

interface Message {
  readonly text: string
  readonly bytes: number
  readonly mark: Mark | undefined
}

/** A frame of so many bytes that can be told from others. */
const frameOf = (text: string, bytes: number) => Buffer.from(text.padEnd(bytes, "."))
const textOf = (frame: Buffer) => frame.toString().replace(/\.*$/, "")
const noticeOf = ({ from, kind, missed, room, to }: Loss) => `gap ${kind} ${room} ${from} ${to} ${missed}`

const make = (policy: Policy, bounds = limits) => {
  const drops = new Map<string, number>()
  const backlog = new Backlog({
    policy,
    limits: bounds,
    notice: (loss) => Buffer.from(noticeOf(loss)),
    onDropped: (kind, messages) => void drops.set(kind, (drops.get(kind) ?? 0) + messages)
  })
  const add = ({ bytes, mark, text }: Message, unsentBytes = 0, unsentMessages = 0) => {
    const frames = new Frames()
    frames.push(frameOf(text, bytes), 1, mark)
    return backlog.add(frames, 0, unsentBytes, unsentMessages)
  }
  const take = (bytes = Number.POSITIVE_INFINITY, messages = Number.POSITIVE_INFINITY) =>
    backlog.take(bytes, messages).map(textOf)
  return { backlog, drops, add, take }
}

const said = (feed: number, seq: number, bytes = 10, key?: unknown): Message => ({
  text: `${feed}:${seq}`,
  bytes,
  mark: { feed: feeds[feed]!, seq, key }
})
const own = (text: string, bytes = 10): Message => ({ text, bytes, mark: undefined })

const bytesOf = (messages: ReadonlyArray<Message>) => messages.reduce((sum, { bytes }) => sum + bytes, 0)

/** The rules of the policies, on a list. */
class Rules {
  readonly policy: Policy
  waiting: Array<Message> = []
  lost: Array<Mark> = []
  unsentBytes = 0
  unsentMessages = 0

  constructor(policy: Policy) {
    this.policy = policy
  }

  #fits(messages: ReadonlyArray<Message>): boolean {
    return (
      this.unsentBytes + bytesOf(messages) <= limits.outboxBytes &&
      this.unsentMessages + messages.length <= limits.outboxMessages
    )
  }

  #lose(message: Message): void {
    this.waiting = this.waiting.filter((other) => other !== message)
    this.lost.push(message.mark!)
  }

  add(message: Message): boolean {
    const { mark } = message
    if (mark === undefined) {
      if (!this.#fits([...this.waiting.filter((other) => other.mark === undefined), message])) return false
    } else if (this.policy === "latest") {
      const older = this.waiting.filter((other) => other.mark?.feed === mark.feed && other.mark.key === mark.key)
      for (const one of older) this.#lose(one)
    } else if (this.policy === "dropNewest") {
      // Until the client has been told, the feed goes on where it has ended.
      const told = !this.lost.some(({ feed }) => feed === mark.feed)
      if (told && this.#fits([...this.waiting, message])) this.waiting.push(message)
      else this.lost.push(mark)
      return true
    }
    while (!this.#fits([...this.waiting, message])) {
      const losable = this.waiting.filter((other) => other.mark !== undefined)
      const next = this.policy === "dropNewest" ? losable.at(-1) : losable[0]
      if (next === undefined) {
        this.lost.push(mark!)
        return true
      }
      this.#lose(next)
    }
    this.waiting.push(message)
    return true
  }
}

/** Reads as a client does that knows which positions are not meant for it. */
class Reader {
  readonly #policy: Policy
  readonly #skipped: ReadonlyArray<ReadonlySet<number>>
  readonly #next = feeds.map(() => 1)
  readonly texts: Array<string> = []
  readonly missed = feeds.map(() => 0)
  readonly #told = feeds.map(() => new Set<number>())

  constructor(policy: Policy, skipped: ReadonlyArray<ReadonlySet<number>>) {
    this.#policy = policy
    this.#skipped = skipped
  }

  #meant(feed: number, from: number, to: number): Array<number> {
    const positions = Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index)
    return positions.filter((position) => !this.#skipped[feed]!.has(position))
  }

  read(text: string): void {
    const [, kind, room, ...numbers] = text.split(" ")
    if (room === undefined) return this.#message(text)
    const feed = feeds.findIndex((one) => one.kind === kind && one.room === room)
    const [from, to, missed] = numbers.map(Number) as [number, number, number]
    const range = this.#meant(feed, from, to)
    this.missed[feed]! += missed
    for (const position of range) this.#told[feed]!.add(position)
    assert.includeMembers(range, [from, to], "a gap begins and ends with what was lost")
    if (this.#policy === "latest") return
    assert.strictEqual(missed, range.length, `${text} says how many positions it has`)
    assert.deepStrictEqual(this.#meant(feed, this.#next[feed]!, from - 1), [], `${text} begins where reading has come`)
    this.#next[feed] = to + 1
  }

  #message(text: string): void {
    this.texts.push(text)
    if (text.startsWith("own")) return
    const [feed, seq] = text.split(":").map(Number) as [number, number]
    const unknown = this.#meant(feed, this.#next[feed]!, seq - 1).filter((one) => !this.#told[feed]!.has(one))
    assert.deepStrictEqual(unknown, [], `what is missing before ${text} has been told`)
    assert.isAtLeast(seq, this.#next[feed]!, `${text} is in order`)
    this.#next[feed] = seq + 1
  }

  /** Positions of a feed that were neither read nor told. */
  silent(feed: number, last: number): ReadonlyArray<number> {
    return this.#meant(feed, this.#next[feed]!, last).filter((one) => !this.#told[feed]!.has(one))
  }
}

const Bytes = Schema.Literals([8, 40, 90, 280, 310])
const Index = Schema.Literals([0, 1, 2])
const Command = Schema.TaggedUnion({
  Publish: { feed: Index, key: Schema.Literals(["x", "y"]), bytes: Bytes },
  /** A position that is not meant for this connection. */
  Skip: { feed: Index },
  Own: { bytes: Bytes },
  Take: { bytes: Schema.Literals([1, 50, 200, 10_000]), messages: Schema.Literals([1, 2, 100]) },
  /** What is in the socket: less while something waits, anything else. */
  Unsent: { bytes: Schema.Literals([0, 20, 150, 300]), messages: Schema.Literals([0, 1, 4, 6]) }
})
const commands = Arbitrary.array(Arbitrary.schema(Command), { maxLength: 60 })

const followsTheRules = (policy: Policy, list: ReadonlyArray<typeof Command.Type>): void => {
  const { add, backlog, drops, take } = make(policy)
  const rules = new Rules(policy)
  const positions = feeds.map(() => 0)
  const skipped = feeds.map(() => new Set<number>())
  const reader = new Reader(policy, skipped)
  const lost: Array<Mark> = []
  const read: Array<string> = []
  let owns = 0

  const takeOut = (bytes: number, messages: number): void => {
    const before = reader.texts.length
    for (const text of take(bytes, messages)) reader.read(text)
    const taken = rules.waiting.splice(0, reader.texts.length - before)
    read.push(...taken.map(({ text }) => text))
    assert.deepStrictEqual(reader.texts, read, "what waits goes out in its order")
    const fits = (some: ReadonlyArray<Message>) => bytesOf(some) <= bytes && some.length <= messages
    assert.isTrue(taken.length === 1 || fits(taken), "no more goes out than was asked for")
    const next = rules.waiting[0]
    assert.isTrue(next === undefined || (taken.length > 0 && !fits([...taken, next])), "and no less")
    if (policy !== "dropNewest" || next === undefined) lost.push(...rules.lost.splice(0))
  }

  for (const command of list) {
    if (command._tag === "Skip") skipped[command.feed]!.add(++positions[command.feed]!)
    if (command._tag === "Unsent") {
      const { bytes, messages } = command
      rules.unsentBytes = backlog.waits ? Math.min(rules.unsentBytes, bytes) : bytes
      rules.unsentMessages = backlog.waits ? Math.min(rules.unsentMessages, messages) : messages
    }
    if (command._tag === "Take") takeOut(command.bytes, command.messages)
    if (command._tag === "Publish" || command._tag === "Own") {
      const message =
        command._tag === "Own"
          ? own(`own${++owns}`, command.bytes)
          : said(command.feed, ++positions[command.feed]!, command.bytes, command.key)
      assert.strictEqual(add(message, rules.unsentBytes, rules.unsentMessages), rules.add(message))
    }
    assert.strictEqual(backlog.length, rules.waiting.length)
    assert.strictEqual(backlog.bytes, bytesOf(rules.waiting))
    const owned = rules.waiting.filter(({ mark }) => mark === undefined)
    assert.deepStrictEqual([backlog.ownMessages, backlog.ownBytes], [owned.length, bytesOf(owned)])
    assert.strictEqual(backlog.waits, rules.waiting.length + rules.lost.length > 0)
    if (rules.waiting.length > 0) {
      assert.isAtMost(backlog.bytes + rules.unsentBytes, limits.outboxBytes)
      assert.isAtMost(backlog.length + rules.unsentMessages, limits.outboxMessages)
    }
  }

  takeOut(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
  assert.isFalse(backlog.waits)
  assert.strictEqual(backlog.bytes, 0)
  for (const [index, feed] of feeds.entries()) {
    assert.deepStrictEqual(reader.silent(index, positions[index]!), [], "every position was read or told")
    assert.strictEqual(reader.missed[index], lost.filter((mark) => mark.feed === feed).length)
  }
  for (const kind of ["chat", "news"]) {
    assert.strictEqual(drops.get(kind) ?? 0, lost.filter(({ feed }) => feed.kind === kind).length)
  }
}

describe.each<Policy>(["dropOldest", "dropNewest", "latest"])("Backlog, %s", (policy) => {
  it.prop("keeps, loses and tells what the rules say", [commands], ([list]) => followsTheRules(policy, list), {
    arbitrary: { runs: 1_000, size: 600, seed: "effect-rooms" }
  })

  it("makes room for the connection's own, and refuses it only when its own alone is too much", () => {
    const { add, take } = make(policy)
    for (let seq = 1; seq <= 6; seq++) assert.isTrue(add(said(0, seq, 50, seq)))
    for (let n = 1; n <= 6; n++) assert.isTrue(add(own(`own${n}`, 50)))
    assert.isFalse(add(own("own7", 50)))
    assert.isTrue(add(said(0, 7, 8, 7)))
    const gap = "gap chat a 1 7 7"
    const owns = ["own1", "own2", "own3", "own4", "own5", "own6"]
    assert.deepStrictEqual(take(), policy === "dropNewest" ? [...owns, gap] : [gap, ...owns])
  })

  it("says nothing where nothing was lost", () => {
    const { add, backlog, take } = make(policy)
    assert.isFalse(backlog.waits)
    assert.deepStrictEqual(take(), [])
    add(said(0, 1))
    add(own("own"))
    assert.deepStrictEqual(take(), ["0:1", "own"])
  })

  it("tells a loss once", () => {
    const { add, take } = make(policy)
    for (let seq = 1; seq <= 40; seq++) add(said(0, seq))
    assert.strictEqual(take().filter((text) => text.startsWith("gap")).length, 1)
    add(said(0, 41))
    assert.deepStrictEqual(take(), ["0:41"])
  })

  it("forgets everything when it is told to", () => {
    const { add, backlog, take } = make(policy)
    for (let seq = 1; seq <= 40; seq++) add(said(0, seq))
    add(own("own"))
    backlog.clear()
    assert.isFalse(backlog.waits)
    assert.deepStrictEqual([backlog.bytes, backlog.ownBytes, backlog.ownMessages], [0, 0, 0])
    add(said(0, 41))
    assert.deepStrictEqual(take(), ["0:41"])
  })

  it("goes on without a notice that cannot be made", () => {
    const backlog = new Backlog({ policy, limits, notice: () => undefined, onDropped: () => {} })
    const frames = new Frames()
    for (let seq = 1; seq <= 40; seq++) frames.push(frameOf(`0:${seq}`, 10), seq, said(0, seq).mark)
    for (let index = 0; index < 40; index++) backlog.add(frames, index, 0, 0)
    const texts = backlog.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY).map(textOf)
    assert.isFalse(texts.some((text) => text.startsWith("gap")))
    assert.isFalse(backlog.waits)
  })
})

describe("Backlog", () => {
  it("dropOldest: the newest are kept, behind what tells of the others", () => {
    const { add, take } = make("dropOldest")
    for (let seq = 1; seq <= 10; seq++) add(said(0, seq))
    assert.deepStrictEqual(take(), ["gap chat a 1 4 4", "0:5", "0:6", "0:7", "0:8", "0:9", "0:10"])
  })

  it("dropOldest: what is lost behind what went out in part is told in front of the rest", () => {
    const { add, take } = make("dropOldest")
    for (let seq = 1; seq <= 10; seq++) add(said(0, seq))
    assert.deepStrictEqual(take(1000, 2), ["gap chat a 1 4 4", "0:5", "0:6"])
    for (let seq = 11; seq <= 13; seq++) add(said(0, seq))
    assert.deepStrictEqual(take(), ["gap chat a 7 7 1", "0:8", "0:9", "0:10", "0:11", "0:12", "0:13"])
  })

  it("dropNewest: the oldest are kept, and nothing of a room comes behind what was lost before that is told", () => {
    const { add, take } = make("dropNewest")
    for (let seq = 1; seq <= 10; seq++) add(said(0, seq))
    assert.deepStrictEqual(take(1000, 2), ["0:1", "0:2"])
    add(said(0, 11))
    add(said(2, 1))
    assert.deepStrictEqual(take(), ["0:3", "0:4", "0:5", "0:6", "2:1", "gap chat a 7 11 5"])
    add(said(0, 12))
    assert.deepStrictEqual(take(), ["0:12"])
  })

  it("latest: the newest of each key of each feed is kept, in the order in which they came", () => {
    const { add, take } = make("latest")
    for (const key of ["x", "y"]) for (let seq = 1; seq <= 3; seq++) add(said(0, seq + (key === "y" ? 3 : 0), 10, key))
    add(said(1, 1, 10, "x"))
    add(said(0, 7, 10, "x"))
    assert.deepStrictEqual(take(), ["gap chat a 1 5 5", "0:6", "1:1", "0:7"])
    add(said(0, 8, 10, "y"))
    assert.deepStrictEqual(take(), ["0:8"], "what went out is not replaced")
  })

  it("latest: the newest goes only where the connection's own leaves no room", () => {
    const { add, take } = make("latest")
    for (let n = 1; n <= 5; n++) add(own(`own${n}`))
    for (let seq = 1; seq <= 100; seq++) add(said(0, seq))
    assert.deepStrictEqual(take(), ["gap chat a 1 99 99", "own1", "own2", "own3", "own4", "own5", "0:100"])
  })

  it("counts bytes that were written and not taken", () => {
    const { add, take } = make("dropNewest", { outboxBytes: 100, outboxMessages: 1000 })
    for (let seq = 1; seq <= 4; seq++) add(said(0, seq), 80)
    assert.deepStrictEqual(take(), ["0:1", "0:2", "gap chat a 3 4 2"])
  })

  it("counts messages that were written and not taken", () => {
    const { add, take } = make("dropOldest", { outboxBytes: 1000, outboxMessages: 5 })
    for (let seq = 1; seq <= 4; seq++) add(said(0, seq), 10, 3)
    assert.deepStrictEqual(take(), ["gap chat a 1 2 2", "0:3", "0:4"])
  })
})
