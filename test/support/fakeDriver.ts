/**
 * A driver whose broker does what a test says, and notes what it was told.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { BusRefused, BusUnreachable, EventBusError } from "../../src/cluster/EventBusError.ts"
import type { BusEvent, EventBusService } from "../../src/cluster/EventBusService.ts"
import * as Bus from "../../src/cluster/internal/bus/bus.ts"
import type { Driver, DriverConnection, DriverEvents } from "../../src/cluster/internal/bus/driver.ts"

export const refused = new EventBusError({ reason: new BusRefused({ detail: "no permission" }) })
export const unreachable = new EventBusError({ reason: new BusUnreachable({ detail: "connection reset" }) })

const isProbe = (topic: string): boolean => topic.startsWith(Bus.probePrefix)
const withoutProbes = (topics: ReadonlyArray<string>) => topics.filter((topic) => !isProbe(topic))

export class FakeConnection {
  readonly events: DriverEvents
  readonly #lost: Deferred.Deferred<never, EventBusError>
  /** Topics that are live, the probes among them. */
  readonly live = new Set<string>()
  /** Topics of commands under way. */
  readonly busy = new Set<string>()
  isOpen = true

  constructor(events: DriverEvents, lost: Deferred.Deferred<never, EventBusError>) {
    this.events = events
    this.#lost = lost
  }

  get topics(): ReadonlyArray<string> {
    return withoutProbes(Array.from(this.live)).toSorted()
  }

  /** Something arrives on a topic. */
  emit(topic: string, payload: string): void {
    if (this.live.has(topic)) this.events.onMessage(topic, payload)
  }

  /** The connection is gone. */
  drop(why: EventBusError = unreachable): void {
    Deferred.doneUnsafe(this.#lost, Exit.fail(why))
  }
}

type Reply = Effect.Effect<void, EventBusError>

export class FakeDriver implements Driver {
  readonly kind = "fake"
  maxPayload: number
  readonly echo: boolean
  readonly ordered = true
  readonly connections: Array<FakeConnection> = []
  /** Commands in the order in which they came, without probes: `+a,b` and `-a`. */
  readonly commands: Array<string> = []
  /** The largest number of topics a command had. */
  largest = 0
  /** What a driver may take for granted and did not get. */
  readonly broken: Array<string> = []
  readonly published: Array<string> = []
  dials = 0
  onDial: () => Reply = () => Effect.void
  onSubscribe: (topics: ReadonlyArray<string>) => Reply = () => Effect.void
  onUnsubscribe: (topics: ReadonlyArray<string>) => Reply = () => Effect.void
  onPublish: (topic: string, payload: string) => Reply = () => Effect.void
  onProbe: () => Reply = () => Effect.void
  onClose: () => Effect.Effect<void> = () => Effect.void

  constructor(options: { readonly maxPayload?: number; readonly echo?: boolean } = {}) {
    this.maxPayload = options.maxPayload ?? 1024
    this.echo = options.echo ?? true
  }

  /** The connection made last. */
  get now(): FakeConnection {
    return this.connections.at(-1)!
  }

  connect(
    events: DriverEvents,
    lost: Deferred.Deferred<never, EventBusError>
  ): Effect.Effect<DriverConnection, EventBusError, Scope.Scope> {
    this.dials++
    const open = Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new FakeConnection(events, lost)),
        (connection) =>
          Effect.andThen(
            Effect.suspend(() => this.onClose()),
            Effect.sync(() => {
              connection.isOpen = false
            })
          )
      ),
      (connection) => {
        this.connections.push(connection)
        return this.#commandsOf(connection)
      }
    )
    return Effect.andThen(this.onDial(), open)
  }

  #commandsOf(connection: FakeConnection): DriverConnection {
    const command = (verb: "+" | "-", topics: ReadonlyArray<string>, reply: Reply, done: (topic: string) => void) =>
      Effect.suspend(() => {
        const names = withoutProbes(topics)
        if (names.length > 0) this.commands.push(verb + names.join(","))
        this.largest = Math.max(this.largest, topics.length)
        if (topics.length > 512) this.broken.push(`${topics.length} topics in a command`)
        for (const topic of topics) {
          if (connection.busy.has(topic)) this.broken.push(`two commands about ${topic}`)
          connection.busy.add(topic)
        }
        return Effect.andThen(
          reply,
          Effect.sync(() => topics.forEach(done))
        ).pipe(Effect.ensuring(Effect.sync(() => topics.forEach((topic) => connection.busy.delete(topic)))))
      })
    return {
      publish: (topic, payload) =>
        Effect.suspend(() => {
          if (isProbe(topic)) return this.onProbe()
          this.published.push(`${topic} ${payload}`)
          return this.onPublish(topic, payload)
        }).pipe(Effect.map(() => (this.echo ? connection.emit(topic, payload) : undefined))),
      subscribe: (topics) =>
        command(
          "+",
          topics,
          Effect.suspend(() => this.onSubscribe(topics)),
          (topic) => connection.live.add(topic)
        ),
      unsubscribe: (topics) =>
        command(
          "-",
          topics,
          Effect.suspend(() => this.onUnsubscribe(topics)),
          (topic) => connection.live.delete(topic)
        )
    }
  }
}

/** The bus under test, once its first probe is through. */
export const busOf = (driver: FakeDriver, options?: Bus.Options): Effect.Effect<EventBusService, never, Scope.Scope> =>
  Effect.tap(Bus.make(driver, options), TestClock.adjust(1))

/** Listens, and notes in short what it hears: payloads as they are, gaps by their reason. */
export class Ear {
  readonly heard: Array<string> = []
  readonly onEvent = (event: BusEvent): void => {
    this.heard.push(event._tag === "Message" ? event.payload : `(${event.reason})`)
  }
}

/** Answers of a broker that come when the test lets them. */
export class Gate {
  readonly #waiting: Array<Deferred.Deferred<void, EventBusError>> = []

  get waiting(): number {
    return this.#waiting.length
  }

  readonly wait: Reply = Effect.suspend(() => {
    const answer = Deferred.makeUnsafe<void, EventBusError>()
    this.#waiting.push(answer)
    return Deferred.await(answer)
  })

  /** Answers what has waited longest. */
  answer(exit: Exit.Exit<void, EventBusError> = Exit.void): void {
    const first = this.#waiting.shift()
    if (first === undefined) throw new Error("nothing waits for an answer")
    Deferred.doneUnsafe(first, exit)
  }
}
