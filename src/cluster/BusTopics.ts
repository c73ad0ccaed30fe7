/**
 * Typed topics of the application: what one node emits, every node may listen to.
 *
 * Payloads travel as JSON by their schemas, over whatever `EventBus` there is, and say which service emitted them, so
 * that a bus that echoes and one that does not look the same. Delivery is that of the bus, at most once; where something
 * may be missing stands a `Gap`. This module knows nothing of rooms and channels.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { makeEpoch } from "../internal/epoch.ts"
import { Cursor, skip } from "../internal/cursor.ts"
import type { Messages } from "../Messages.ts"
import type { EventBusError } from "./EventBusError.ts"
import type { EventBusService } from "./EventBusService.ts"
import { TopicBuffer, type TopicEvent } from "./internal/topicBuffer.ts"
import { makeCodec, type TopicCodec } from "./internal/topicCodec.ts"

export type { TopicEvent } from "./internal/topicBuffer.ts"

/** The topics of an application: name to the schema of its payloads. */
export type Topics = { readonly [name: string]: Schema.Codec<unknown, unknown> }

/** The payload of a topic. */
export type Payload<T extends Topics, Name extends keyof T> = T[Name]["Type"]

/**
 * Reads one topic, in the order of the bus, by one consumer at a time.
 *
 * The plain ways of reading skip a `Gap`; `.events` shows it where it is.
 */
export interface TopicMessages<out A> extends Messages<A> {
  /** The same payloads, and a `Gap` where messages may be missing. */
  readonly events: Messages<TopicEvent<A>>
  /** Messages lost so far because reading was slower than `capacity` allows, read past or not. */
  readonly dropped: number
}

/** Options of listening to a topic. */
export interface OnOptions {
  /** Whether what this service emits is heard as well; false by default. */
  readonly own?: boolean | undefined
  /** Messages that may wait to be read; 256 by default, at least 1, then the oldest goes and a `Gap` says so. */
  readonly capacity?: number | undefined
}

/**
 * Emits to and listens to the topics of an application.
 */
export interface BusTopics<T extends Topics> {
  /**
   * Tells those who listen on every other node, and those of this service who asked for their own.
   *
   * Fails when the bus did not take it; those of this service have it all the same. Dies when the payload is not what
   * its schema says.
   */
  readonly emit: <Name extends keyof T & string>(
    name: Name,
    payload: Payload<T, Name>
  ) => Effect.Effect<void, EventBusError>
  /**
   * Listens until the scope closes; live when it succeeds. Then loops and streams end, and what was not read is gone.
   *
   * Fails when the bus refuses the topic. What arrives and is not what the schema says is dropped, counted and logged.
   */
  readonly on: <Name extends keyof T & string>(
    name: Name,
    options?: OnOptions
  ) => Effect.Effect<TopicMessages<Payload<T, Name>>, EventBusError, Scope.Scope>
}

/** Options of typed topics. */
export interface Options {
  /** What the topics begin with on the bus, to keep applications apart that share it; `"events:"` by default. */
  readonly prefix?: string | undefined
}

const dropped = Metric.counter("effect_rooms_bus_events_dropped", {
  description: "events of the application lost because a reader was too slow, or dropped because they made no sense",
  incremental: true
})

const maxTopicLength = 200

interface Topic {
  readonly topic: string
  readonly codec: TopicCodec<unknown>
  /** Those who listen to what this service emits. */
  readonly own: Set<TopicBuffer<unknown>>
}

const checkedCapacity = (capacity: number): number => {
  if (Number.isSafeInteger(capacity) && capacity >= 1) return capacity
  throw new RangeError(`capacity must be a whole number of at least 1, not ${capacity}`)
}

const topicName = (name: string): string => {
  if (name.length > 0 && name.length <= maxTopicLength) return name
  throw new RangeError(`a topic has 1 to ${maxTopicLength} characters with its prefix, not ${name.length}: ${name}`)
}

/**
 * Makes typed topics over a bus; what `EventBus.make` does.
 *
 * Make them once for each node: what another service of the same node emits arrives on a bus that echoes, and does not
 * on others. Dies with a `RangeError` when the name of a topic is too long.
 */
export const make = Effect.fnUntraced(function* <const T extends Topics>(
  bus: EventBusService,
  topics: T,
  options: Options = {}
): Effect.fn.Return<BusTopics<T>> {
  const origin = yield* makeEpoch
  const context = yield* Effect.context()
  const known = new Map<string, Topic>()
  for (const [name, schema] of Object.entries(topics)) {
    const topic = topicName((options.prefix ?? "events:") + name)
    known.set(name, { topic, codec: makeCodec(schema, origin), own: new Set() })
  }

  const find = (name: string): Topic => {
    const topic = known.get(name)
    if (topic === undefined) throw new Error(`no topic is called ${name}`)
    return topic
  }
  const report = Effect.runForkWith(context)
  const drops = (topic: string, why: "slow" | "undecodable") => {
    const metric = Metric.withAttributes(dropped, { topic, why })
    return () => metric.updateUnsafe(1, context)
  }

  /** One place where the topic is listened to. Many that make no sense in a row are one line of the log. */
  const listen = ({ codec, topic }: Topic, name: string, buffer: TopicBuffer<unknown>) => {
    const undecodable = drops(name, "undecodable")
    let complained = false
    return bus.subscribe(topic, (event) => {
      if (event._tag === "Gap") return buffer.gap(event)
      if (codec.isOwn(event.payload)) return
      const decoded = codec.decode(event.payload)
      if (Result.isSuccess(decoded)) {
        complained = false
        return buffer.message(decoded.success)
      }
      undecodable()
      if (complained) return
      complained = true
      report(Effect.logWarning(`what arrived on the topic ${name} was dropped: ${decoded.failure}`))
    })
  }

  const self: BusTopics<T> = {
    emit: (name, payload) =>
      Effect.suspend(() => {
        const { codec, own, topic } = find(name)
        const text = codec.encode(payload)
        for (const buffer of own) buffer.message(payload)
        return bus.publish(topic, text)
      }),
    on: Effect.fnUntraced(function* (name, { capacity, own = false }: OnOptions = {}) {
      const topic = find(name)
      const buffer = new TopicBuffer<unknown>(checkedCapacity(capacity ?? 256), drops(name, "slow"))
      const cursor = new Cursor(buffer)
      yield* listen(topic, name, buffer)
      yield* Effect.acquireRelease(
        Effect.sync(() => own && topic.own.add(buffer)),
        () =>
          Effect.sync(() => {
            topic.own.delete(buffer)
            buffer.end(Exit.void)
            cursor.clear()
          })
      )
      return readerOf(buffer, cursor)
    })
  }
  return self
})

const readerOf = <A>(buffer: TopicBuffer<A>, cursor: Cursor<TopicEvent<A>, never>): TopicMessages<A> => {
  const messages = cursor.view((event) => (event._tag === "Gap" ? skip : event.payload))
  return {
    get take() {
      return messages.take
    },
    get stream() {
      return messages.stream
    },
    get runForEach() {
      return messages.runForEach
    },
    [Symbol.asyncIterator]: () => messages[Symbol.asyncIterator](),
    events: cursor.view((event) => event),
    get dropped() {
      return buffer.dropped
    }
  }
}
