/**
 * A driver's connection to a real broker, and what arrives on it.
 */
import type { EventBusError } from "../../src/cluster/EventBusError.ts"
import type { Driver, DriverConnection } from "../../src/cluster/internal/bus/driver.ts"
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export class Link {
  readonly connection: DriverConnection
  readonly lost: Deferred.Deferred<never, EventBusError>
  /** Topics of which something was dropped. */
  readonly overflows: ReadonlyArray<string>
  readonly #heard: Map<string, Array<string>>
  readonly #listeners: Set<() => void>

  private constructor(
    connection: DriverConnection,
    lost: Deferred.Deferred<never, EventBusError>,
    overflows: ReadonlyArray<string>,
    heard: Map<string, Array<string>>,
    listeners: Set<() => void>
  ) {
    this.connection = connection
    this.lost = lost
    this.overflows = overflows
    this.#heard = heard
    this.#listeners = listeners
  }

  /** Connects; closed with the scope. */
  static open(driver: Driver): Effect.Effect<Link, EventBusError, Scope.Scope> {
    return Effect.suspend(() => {
      const heard = new Map<string, Array<string>>()
      const listeners = new Set<() => void>()
      const overflows: Array<string> = []
      const lost = Deferred.makeUnsafe<never, EventBusError>()
      const onMessage = (topic: string, payload: string) => {
        const all = heard.get(topic) ?? []
        all.push(payload)
        heard.set(topic, all)
        for (const listener of listeners) listener()
      }
      const onOverflow = (topic: string) => void overflows.push(topic)
      return Effect.map(
        driver.connect({ onMessage, onOverflow }, lost),
        (connection) => new Link(connection, lost, overflows, heard, listeners)
      )
    })
  }

  publish(topic: string, payload: string): Effect.Effect<void, EventBusError> {
    return this.connection.publish(topic, payload)
  }

  subscribe(...topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> {
    return this.connection.subscribe(topics)
  }

  unsubscribe(...topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> {
    return this.connection.unsubscribe(topics)
  }

  /** What has arrived on a topic. */
  heard(topic: string): ReadonlyArray<string> {
    return this.#heard.get(topic) ?? []
  }

  /** Done when so many messages have arrived on the topic; has all of them. */
  hears(topic: string, count: number): Effect.Effect<ReadonlyArray<string>> {
    return Effect.callback((resume) => {
      const look = () => {
        if (this.heard(topic).length < count) return
        this.#listeners.delete(look)
        resume(Effect.succeed(this.heard(topic)))
      }
      this.#listeners.add(look)
      look()
      return Effect.sync(() => this.#listeners.delete(look))
    })
  }

  /** Why the connection was lost; waits for it. */
  get whyLost(): Effect.Effect<EventBusError> {
    return Effect.flip(Deferred.await(this.lost))
  }
}

/** Fails, with a reason of this tag. */
export const refusalOf = <A>(effect: Effect.Effect<A, EventBusError>): Effect.Effect<string> =>
  Effect.matchEffect(effect, {
    onFailure: (error) => Effect.succeed(error.reason._tag),
    onSuccess: () => Effect.die(new Error("it succeeded"))
  })

/** How long an effect takes, in milliseconds. */
export const took = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, (value) => [value, performance.now() - start] as const)
  })

/** Everything a person or a log could see of a value. */
export const visible = (inspect: (value: unknown) => string, value: unknown): string =>
  [inspect(value), String(value), JSON.stringify(value), value instanceof Error ? value.stack : ""].join("\n")

/** Names of topics that mean something to one broker or the other. */
export const oddTopics: ReadonlyArray<string> = [
  "a",
  "a.b",
  "a.*",
  "a.>",
  "*",
  ">",
  "a b",
  " a",
  "a ",
  "a_b",
  "a_2e_b",
  "A",
  "$SYS.x",
  "[ab]",
  "a?",
  "a\tb",
  "a\r\nPUB x 1",
  "a\0b",
  'a"b',
  "a'b",
  "a\\b",
  "a%b",
  "ä",
  "a\u0308",
  "日本語",
  "🎈",
  `${"x".repeat(199)}1`,
  `${"x".repeat(199)}2`,
  `${"日".repeat(199)}1`,
  `${"日".repeat(199)}2`
]

/** Payloads that have to arrive as they are. */
export const oddPayloads: ReadonlyArray<string> = [
  "",
  " ",
  "\n",
  "\r\n",
  "a\nb\r\nPING\r\n",
  `quotes " ' \` and \\ backslashes \\n`,
  "$1 $$ %s {0}",
  "\0",
  "a\0b",
  "\uFEFFbom",
  "\uFFFD",
  "äöü ß",
  "日本語",
  "👩‍👩‍👧‍👦🎈",
  "\u2028\u2029",
  JSON.stringify({ text: `"quoted"`, nested: [null, 1.5] })
]

/** Asserts that every odd payload arrives as it is, in order. */
export const carriesPayloads = Effect.fnUntraced(function* (from: Link, to: Link) {
  yield* to.subscribe("payloads")
  yield* Effect.forEach(oddPayloads, (payload) => from.publish("payloads", payload), {
    concurrency: "unbounded",
    discard: true
  })
  assert.deepStrictEqual(yield* to.hears("payloads", oddPayloads.length), oddPayloads)
})

/** Asserts that no two odd topics mix. */
export const separatesTopics = Effect.fnUntraced(function* (from: Link, to: Link) {
  yield* to.subscribe(...oddTopics)
  yield* Effect.forEach(oddTopics, (topic) => from.publish(topic, `of ${topic}`), { discard: true })
  yield* Effect.forEach(oddTopics, (topic) => from.publish(topic, "end"), { discard: true })
  for (const topic of oddTopics) assert.deepStrictEqual(yield* to.hears(topic, 2), [`of ${topic}`, "end"], topic)
})
