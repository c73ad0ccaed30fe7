/**
 * NATS as the bus sees it: one connection for both directions, one subscription per topic.
 */
import type * as Nats from "@nats-io/transport-node"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Turn from "../../../internal/turn.ts"
import { EventBusError, PayloadTooLarge } from "../../EventBusError.ts"
import { hostOf, isLoopback } from "../bus/loopback.ts"
import type { Driver, DriverConnection, DriverEvents } from "../bus/driver.ts"
import type { NatsConfig } from "./config.ts"
import { dial, refused, toBusError, unreachable } from "./dial.ts"
import { Flights } from "./flights.ts"
import { subjectOf } from "./subject.ts"

/** What servers take unless they are told otherwise. */
const defaultMaxPayload = 1024 * 1024

/** What the server may mind besides permissions without closing the connection. */
const isLimit = /maximum subscriptions/i

/** A topic the server was told about. */
interface Listening {
  readonly subscription: Nats.Subscription
  live: boolean
  refusal: string | undefined
}

class NatsConnection implements DriverConnection {
  readonly #config: NatsConfig
  readonly #client: Nats.NatsConnection
  readonly #events: DriverEvents
  readonly #lost: Deferred.Deferred<never, EventBusError>
  readonly #flights: Flights
  readonly #listening = new Map<string, Listening>()
  readonly maxPayload: number

  constructor(
    config: NatsConfig,
    client: Nats.NatsConnection,
    turn: Turn.Turn,
    events: DriverEvents,
    lost: Deferred.Deferred<never, EventBusError>
  ) {
    this.#config = config
    this.#client = client
    this.#events = events
    this.#lost = lost
    this.#flights = new Flights(() => client.flush(), turn)
    this.maxPayload = client.info?.max_payload ?? defaultMaxPayload
    const end = (error: unknown) => this.#end(toBusError(error))
    client.closed().then(end, end)
    this.#follow().catch(end)
  }

  readonly publish = (topic: string, payload: string): Effect.Effect<void, EventBusError> =>
    Effect.suspend(() => {
      if (this.#flights.over !== undefined) return Effect.fail(this.#flights.over)
      const data = Buffer.from(payload)
      const { maxPayload } = this
      // The server would close the connection.
      if (data.length > maxPayload) {
        return Effect.fail(new EventBusError({ reason: new PayloadTooLarge({ bytes: data.length, maxPayload }) }))
      }
      const subject = subjectOf(this.#config.prefix, topic)
      const flight = this.#flights.board()
      this.#client.publish(subject, data)
      return Effect.flatMap(Deferred.await(flight.landed), () =>
        flight.refused?.has(subject) === true
          ? Effect.fail(refused(`no permission to publish to "${subject}"`))
          : Effect.void
      )
    })

  readonly subscribe = (topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> =>
    Effect.suspend(() => {
      if (this.#flights.over !== undefined) return Effect.fail(this.#flights.over)
      const flight = this.#flights.board()
      const states = topics.map((topic) => this.#listening.get(topic) ?? this.#listen(topic))
      return Effect.flatMap(Deferred.await(flight.landed), () => {
        const refusal = states.find((state) => state.refusal !== undefined)?.refusal ?? flight.complaint
        if (refusal === undefined) {
          for (const state of states) state.live = true
          return Effect.void
        }
        topics.filter((topic) => this.#listening.get(topic)?.live === false).forEach((topic) => this.#leave(topic))
        return Effect.fail(refused(refusal))
      })
    })

  readonly unsubscribe = (topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> =>
    Effect.sync(() => topics.forEach((topic) => this.#leave(topic)))

  #listen(topic: string): Listening {
    const callback: Nats.MsgCallback<Nats.Msg> = (error, message) => {
      // A `TextDecoder`, as in the client's own `string()`, would drop a byte order mark.
      if (error === null) return this.#events.onMessage(topic, textOf(message.data))
      listening.refusal = error.message
      if (this.#listening.get(topic) === listening) this.#listening.delete(topic)
      if (listening.live) this.#end(unreachable(`the server ended a subscription: ${error.message}`))
    }
    const subscription = this.#client.subscribe(subjectOf(this.#config.prefix, topic), { callback })
    const listening: Listening = { subscription, live: false, refusal: undefined }
    this.#listening.set(topic, listening)
    return listening
  }

  #leave(topic: string): void {
    this.#listening.get(topic)?.subscription.unsubscribe()
    this.#listening.delete(topic)
  }

  /** Reads what the server says besides messages. In promises: all of it comes before the next turn. */
  async #follow(): Promise<void> {
    for await (const status of this.#client.status()) {
      if (status.type === "error") {
        const { error } = status
        if (error instanceof this.#config.nats.PermissionViolationError) {
          if (error.operation === "publish") this.#flights.refuse(error.subject)
        } else if (isLimit.test(error.message)) {
          this.#flights.complain(error.message)
        }
      } else if (status.type === "ldm" && this.#config.servers.length > 1) {
        // It closes the connection within minutes; another server takes us now.
        this.#end(unreachable("the server is about to stop"))
      }
    }
  }

  #end(error: EventBusError): void {
    this.#flights.end(error)
    Deferred.doneUnsafe(this.#lost, Exit.fail(error))
  }
}

const textOf = (data: Uint8Array): string => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8")

/** A driver for the NATS of the configuration. Its `maxPayload` is that of the server it is connected to. */
export const make = (config: NatsConfig): Driver => {
  let maxPayload = defaultMaxPayload
  return {
    kind: "nats",
    get maxPayload() {
      return maxPayload
    },
    echo: config.echo,
    ordered: true,
    isLocal: config.servers.every((server) => isLoopback(hostOf(server))),
    connect: Effect.fnUntraced(function* (events, lost) {
      const turn = yield* Turn.make
      const client = yield* dial(config)
      const connection = new NatsConnection(config, client, turn, events, lost)
      maxPayload = connection.maxPayload
      return connection
    })
  }
}
