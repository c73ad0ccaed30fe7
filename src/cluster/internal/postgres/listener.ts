/**
 * Listens to channels, and hands messages over in the order in which they came: a message whose payload is in a row
 * holds up the later ones of its topic until the row is there.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { EventBusError } from "../../EventBusError.ts"
import type { DriverEvents } from "../bus/driver.ts"
import { channelOf } from "./channel.ts"
import type { Session } from "./session.ts"
import * as Wire from "./wire.ts"

/** Messages of all topics that may wait for rows; what comes above is dropped. */
const maxWaiting = 1_024

/** What waits in a topic: a payload, a row that is being read, or a place where something was dropped. */
interface Waiting {
  state: "reading" | "here" | "dropped"
  payload: string
}

interface Listening {
  readonly topic: string
  /** Empty unless a row is being read. */
  readonly waiting: Array<Waiting>
}

export class Listener {
  readonly #events: DriverEvents
  /** Reads a row of the table and calls back with its text, `undefined` when it cannot be had. */
  readonly #read: (id: string, done: (text: string | undefined) => void) => void
  readonly #channels = new Map<string, Listening>()
  #waiting = 0

  constructor(events: DriverEvents, read: (id: string, done: (text: string | undefined) => void) => void) {
    this.#events = events
    this.#read = read
  }

  subscribe(session: Session, topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> {
    return Effect.suspend(() => {
      const added = topics
        .map((topic) => [channelOf(topic), topic] as const)
        .filter(([channel]) => !this.#channels.has(channel))
      for (const [channel, topic] of added) this.#channels.set(channel, { topic, waiting: [] })
      return Effect.forEach(added, ([channel]) => session.command(`LISTEN ${channel}`), {
        concurrency: "unbounded",
        discard: true
      }).pipe(
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => added.forEach(([channel]) => this.#forget(channel)))
        )
      )
    })
  }

  unsubscribe(session: Session, topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> {
    return Effect.suspend(() => {
      const channels = topics.map(channelOf).filter((channel) => this.#forget(channel))
      return Effect.forEach(channels, (channel) => session.command(`UNLISTEN ${channel}`), {
        concurrency: "unbounded",
        discard: true
      })
    })
  }

  /** Something came on a channel. */
  notified(channel: string, text: string): void {
    const listening = this.#channels.get(channel)
    if (listening === undefined) return
    const incoming = Wire.decode(text)
    if (incoming._tag === "Payload") {
      if (listening.waiting.length === 0) this.#events.onMessage(listening.topic, incoming.payload)
      else this.#wait(listening, "here", incoming.payload)
      return
    }
    const entry = this.#wait(listening, "reading", "")
    if (entry === undefined) return
    this.#read(incoming.id, (body) => {
      entry.state = body === undefined ? "dropped" : "here"
      if (body !== undefined) entry.payload = Wire.payloadOf(body, incoming.isJson)
      this.#deliver(channel, listening)
    })
  }

  #wait(listening: Listening, state: "reading" | "here", payload: string): Waiting | undefined {
    const { waiting } = listening
    if (this.#waiting < maxWaiting) {
      const entry: Waiting = { state, payload }
      waiting.push(entry)
      this.#waiting++
      return entry
    }
    // One place for all that is dropped in a row, where the topic has any.
    if (waiting.length === 0) this.#overflow(listening.topic)
    else if (waiting.at(-1)!.state !== "dropped") {
      waiting.push({ state: "dropped", payload: "" })
      this.#waiting++
    }
    return undefined
  }

  #deliver(channel: string, { topic, waiting }: Listening): void {
    while (waiting.length > 0 && waiting[0]!.state !== "reading") {
      const { payload, state } = waiting.shift()!
      this.#waiting--
      if (this.#channels.get(channel)?.waiting !== waiting) continue
      if (state === "here") this.#events.onMessage(topic, payload)
      else this.#overflow(topic)
    }
  }

  #overflow(topic: string): void {
    this.#events.onOverflow?.(topic)
  }

  #forget(channel: string): boolean {
    const listening = this.#channels.get(channel)
    if (listening === undefined) return false
    this.#channels.delete(channel)
    this.#waiting -= listening.waiting.length
    listening.waiting.length = 0
    return true
  }
}
