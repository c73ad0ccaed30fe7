/**
 * What payloads and topics may consist of: whatever text, up to a size in bytes.
 */
import * as Effect from "effect/Effect"
import type { Bench } from "./bench.ts"
import type { ClauseSpec } from "./clause.ts"
import { same } from "./difference.ts"

const texts: ReadonlyArray<string> = [
  "",
  " ",
  " spaces around ",
  "'single' \"double\" `back` \\ $$ $1 %s",
  "one\ntwo\r\nthree\ttab",
  '{"json":[1,"two",null]}',
  "*3\r\n$3\r\nSET\r\n",
  "Grüße, 你好, שלום, e\u0301 and é",
  "👩‍👩‍👧‍👦 😀",
  "\u2028 \ufeff \u007f \u001b[0m"
]

/** A bus that takes more is not asked for all of it. */
const largestPayload = 2 ** 22
/** The longest text there can be is not much longer. */
const largestRefusal = 2 ** 27

/** Text of exactly so many bytes, most of its characters having two. */
const multiByte = (bytes: number): string => "é".repeat(Math.floor(bytes / 2)) + "a".repeat(bytes % 2)

/** A reader of its own would tell where two long texts part; here their lengths do, or that they differ. */
const digest = (text: string): string =>
  text.length <= 100 ? text : `${text.length} characters, ${text.slice(0, 20)} … ${text.slice(-20)}`

const arrivesWhole = Effect.fnUntraced(function* (bench: Bench, payloads: ReadonlyArray<string>) {
  const [a, b] = yield* bench.pair
  const topic = bench.topic("news")
  const listener = yield* b.listen(topic)
  for (const payload of payloads) {
    listener.forget()
    yield* a.publish(topic, payload)
    const heard = () => listener.payloads.map(digest)
    yield* bench.eventually(listener.observable, [digest(payload)], heard, bench.bounds.delivered)
    yield* same("whether a payload is as it was published", true, listener.payloads[0] === payload)
  }
})

const ends = ["a", "b", "A"]

const oddWords: ReadonlyArray<string> = [
  `* | a | A | a* | a? | [ab] | ^a | a. | .a | a.b | a.* | a.> | > | # | + | a/b | a/+ | a:b | a b |  a | a  | a_b | a%b`,
  `a,b | a;b | $SYS.a | _INBOX.a | __a | 0 | -1 | 'a' | "a" | {a} | __proto__ | constructor | null | undefined | NOTIFY`,
  `é | e\u0301 | 日本 | 😀 | a\\b | a\tb | a\nb | a\r\nb | a\u0000b | a\u0000 | \ud83d | \ude00 | \ufffd`
]

/** Topics that mean more than themselves to some broker, or that some broker cuts off or folds. */
const oddTopics: ReadonlyArray<string> = [
  ...oddWords.flatMap((words) => words.split(" | ")),
  ...ends.map((end) => "x".repeat(199) + end),
  ...ends.map((end) => end + "x".repeat(199)),
  ...ends.map((end) => "語".repeat(199) + end),
  ...["😀", "😃"].map((end) => "😀".repeat(99) + end)
]

export const payloadClauses: ReadonlyArray<ClauseSpec> = [
  {
    name: "a payload arrives as it was published: empty, quotes, line ends, text of all languages",
    check: (bench) => arrivesWhole(bench, texts)
  },
  {
    name: "a payload with a NUL character arrives as it was published",
    check: (bench) => arrivesWhole(bench, ["a\u0000b", "\u0000"])
  },
  {
    name: "a payload of exactly maxPayload bytes arrives, counted in UTF-8",
    bugs: ["TRAP17"],
    check: Effect.fnUntraced(function* (bench) {
      const { maxPayload } = (yield* bench.node).bus
      const bytes = Math.min(maxPayload, largestPayload)
      yield* arrivesWhole(bench, ["a".repeat(bytes), multiByte(bytes), '"'.repeat(bytes)])
    })
  },
  {
    name: "a payload one byte over maxPayload fails with PayloadTooLarge and costs the others nothing",
    bugs: ["TRAP17"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const { maxPayload } = a.bus
      if (maxPayload > largestRefusal) return
      const topic = bench.topic("news")
      const listener = yield* b.listen(topic)
      yield* a.publish(topic, "before")
      for (const payload of ["a".repeat(maxPayload + 1), multiByte(maxPayload + 1)]) {
        const reason = yield* bench.fails("publishing too much", a.bus.publish(topic, payload), "PayloadTooLarge")
        const said = reason._tag === "PayloadTooLarge" ? [reason.bytes, reason.maxPayload] : []
        yield* same("what PayloadTooLarge says: bytes, maxPayload", [maxPayload + 1, maxPayload], said)
      }
      yield* a.publish(topic, "after")
      yield* bench.hear([listener, ["before", "after"]])
    })
  },
  {
    name: "topics never mix, whatever they are called",
    bugs: ["TRAP18"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const listeners = yield* Effect.forEach(oddTopics, (topic) => b.listen(topic), { concurrency: "unbounded" })
      yield* Effect.forEach(oddTopics, (topic, index) => a.publish(topic, `${index}`), { concurrency: "unbounded" })
      yield* bench.hear(...listeners.map((listener, index) => [listener, [`${index}`]] as const))
    })
  }
]
