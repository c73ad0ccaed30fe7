/**
 * Redis as the bus sees it: one socket that publishes and one that listens to all channels of the node.
 *
 * Both are one connection: it is over when either is. Publishing waits for the answer of Redis, so a payload counts as
 * taken when Redis has passed it on to its subscribers. The client queues nothing while it is offline and does not
 * reconnect. Commands of one turn leave in one write.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Redis from "redis"
import type { EventBusError } from "../../EventBusError.ts"
import type { Driver, DriverConnection, DriverEvents } from "../bus/driver.ts"
import { channelOf } from "./channel.ts"
import type { RedisConfig } from "./config.ts"
import { toBusError, unreachable } from "./error.ts"

/** Commands that may wait for their answers; publishing fails at once above it. The bus bounds their payloads. */
const maxWaiting = 16_384

type Client = ReturnType<typeof Redis.createClient>

const makeClient = (config: RedisConfig, signal: AbortSignal, onError: (error: unknown) => void): Client => {
  const options = config.client()
  const client = config.redis.createClient({
    ...options,
    // Either version costs the same per message; with 3 what was published cannot be taken for an answer.
    RESP: 3,
    disableOfflineQueue: true,
    commandsQueueMaxLength: maxWaiting,
    maintNotifications: "disabled",
    clientInfoTag: "effect-rooms",
    // The client's own deadlines cost a timer per command, five times the rest of a publish.
    commandOptions: { timeout: 0 },
    socket: { ...options.socket, reconnectStrategy: false, signal }
  } as Redis.RedisClientOptions) as Client
  client.on("error", onError)
  return client
}

/**
 * A replica sends on what its master has, but keeps what is published to it: nodes there would hear and not be heard.
 * Nodes of a Redis Cluster pass on everything.
 */
const isReplica = (greeting: unknown): boolean => {
  const { mode, role } = greeting as { readonly mode?: unknown; readonly role?: unknown }
  return mode === "standalone" && role !== "master"
}

const replica = unreachable("this Redis is a replica")

class RedisConnection implements DriverConnection {
  readonly #redis: typeof Redis
  readonly #prefix: string
  readonly #publisher: Client
  readonly #subscriber: Client
  /** Destroys sockets that are being dialled as well; the client forgets those. */
  readonly #abort = new AbortController()
  /** Topics by channel, of all subscriptions. */
  readonly #topics = new Map<string, string>()
  readonly #onMessage: (payload: string, channel: string) => void
  #over: EventBusError | undefined

  constructor(config: RedisConfig, events: DriverEvents, lost: Deferred.Deferred<never, EventBusError>) {
    this.#redis = config.redis
    this.#prefix = config.prefix
    const onError = (error: unknown) => {
      if (this.#over !== undefined) return
      this.#over = toBusError(this.#redis, error)
      Deferred.doneUnsafe(lost, Exit.fail(this.#over))
    }
    this.#publisher = makeClient(config, this.#abort.signal, onError)
    this.#subscriber = makeClient(config, this.#abort.signal, onError)
    this.#onMessage = (payload, channel) => {
      const topic = this.#topics.get(channel)
      if (topic !== undefined) events.onMessage(topic, payload)
    }
  }

  /** Connects both; fails as soon as one of them does. */
  open(): Effect.Effect<void, EventBusError> {
    const clients = [this.#publisher, this.#subscriber]
    return Effect.forEach(clients, (client) => this.#ask(() => client.connect()), {
      concurrency: clients.length,
      discard: true
    }).pipe(
      Effect.andThen(this.#ask(() => this.#publisher.sendCommand<unknown>(["HELLO", "3"]))),
      Effect.flatMap((greeting) => (isReplica(greeting) ? Effect.fail(replica) : Effect.void))
    )
  }

  /** Destroys both sockets, whatever they are doing. Commands that wait for an answer fail. */
  close(): void {
    this.#over ??= unreachable("the connection to Redis was closed")
    this.#publisher.destroy()
    this.#subscriber.destroy()
    this.#abort.abort()
  }

  readonly publish = (topic: string, payload: string): Effect.Effect<void, EventBusError> =>
    this.#ask(() => this.#publisher.sendCommand<void>(["PUBLISH", channelOf(this.#prefix, topic), payload]))

  readonly subscribe = (topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> =>
    Effect.suspend(() => {
      const channels = topics.map((topic) => channelOf(this.#prefix, topic))
      const added = channels.filter((channel) => !this.#topics.has(channel))
      channels.forEach((channel, index) => this.#topics.set(channel, topics[index]!))
      return this.#ask(() => this.#subscriber.subscribe(channels, this.#onMessage)).pipe(
        Effect.tapError(() => Effect.sync(() => added.forEach((channel) => this.#topics.delete(channel))))
      )
    })

  readonly unsubscribe = (topics: ReadonlyArray<string>): Effect.Effect<void, EventBusError> =>
    Effect.suspend(() => {
      const channels = topics.map((topic) => channelOf(this.#prefix, topic))
      for (const channel of channels) this.#topics.delete(channel)
      // With the listener: without it the client takes a subscribe that follows at once for a second listener.
      return this.#ask(() => this.#subscriber.unsubscribe(channels, this.#onMessage))
    })

  /** Fails at once when the connection is over: the client keeps subscribes for a connection that never comes. */
  #ask<A>(command: () => Promise<A>): Effect.Effect<A, EventBusError> {
    return Effect.callback((resume) => {
      if (this.#over !== undefined) return resume(Effect.fail(this.#over))
      command().then(
        (answer) => resume(Effect.succeed(answer)),
        (error) => resume(Effect.fail(toBusError(this.#redis, error)))
      )
    })
  }
}

/** A driver for the Redis of the configuration. */
export const make = (config: RedisConfig): Driver => ({
  kind: "redis",
  maxPayload: config.maxPayload,
  echo: true,
  ordered: true,
  isLocal: config.isLocal,
  connect: Effect.fnUntraced(function* (events, lost): Effect.fn.Return<DriverConnection, EventBusError, Scope.Scope> {
    const connection = yield* Effect.acquireRelease(
      Effect.sync(() => new RedisConnection(config, events, lost)),
      (opened) => Effect.sync(() => opened.close())
    )
    yield* Effect.raceFirst(connection.open(), Deferred.await(lost))
    return connection
  })
})
