/**
 * What the tests of slow clients share: a channel whose messages know their position, a route that forwards it, and a
 * reader of what a client got.
 */
import { assert } from "@effect/vitest"
import { Channels, Ref } from "effect-rooms"
import { type Limits, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import type { Way } from "./ways.ts"
import { type Client, connect, eventually } from "./wsClient.ts"
import { startServer, type TestServer } from "./wsServer.ts"

export class Topic extends Ref.Entity<Topic>()("Topic") {}
export class Account extends Ref.Entity<Account>()("Account") {}
export const topic = Topic.ref`topic`

/** The n-th message of a key, counted from 1, which is its position; and a text that makes it large. */
const Numbered = Schema.Struct({ n: Schema.Int, text: Schema.String })
export type Numbered = typeof Numbered.Type
export class Numbers extends Channels.Service<Numbers>()("test/Numbers", { key: Topic, message: Numbered }) {}

const Gap = Schema.Struct({
  kind: Schema.String,
  room: Schema.String,
  from: Schema.Int,
  to: Schema.Int,
  missed: Schema.Int
})
export type Gap = typeof Gap.Type
/** A published message, a gap, or what the connection itself was sent. */
const Outgoing = Schema.Union([Numbered, Schema.Struct({ gap: Gap }), Schema.String])
export type Outgoing = typeof Outgoing.Type

export type Policy = WebSocketRoute.OutboxOverflow<Outgoing>["policy"]

const query = { name: Schema.String }
type Query = { readonly name: string }
export type SlowSession = WebSocketRoute.Session<string, Outgoing, {}, Query, string>

/** Bytes of a message. */
export const size = 16 * 1024
/** Not to be compressed by much. */
export const filler = randomBytes(size).toString("base64").slice(0, size)

export interface SlowOptions {
  readonly way: Way
  readonly policy?: Policy
  readonly gap?: (gap: Gap) => Outgoing
  readonly limits?: Partial<Limits.Limits>
  readonly testClock?: boolean
  /** Whether connections are those of the user they are named after. */
  readonly users?: boolean
}

/** A client, and the session at its other end. */
export interface Visitor extends Disposable {
  readonly client: Client
  readonly session: SlowSession
}

export class Place implements AsyncDisposable {
  readonly server: TestServer<Numbers>
  readonly route: ReturnType<typeof makeRoute>
  readonly #way: Way
  readonly #sessions: Array<SlowSession>
  #other: Visitor | undefined
  /** Messages published so far. */
  published = 0

  constructor(
    way: Way,
    server: TestServer<Numbers>,
    route: ReturnType<typeof makeRoute>,
    sessions: Array<SlowSession>
  ) {
    this.#way = way
    this.server = server
    this.route = route
    this.#sessions = sessions
  }

  /** Connects; done when what is published is forwarded. */
  async visit(name: string): Promise<Visitor> {
    const before = this.#sessions.length
    const client = await connect(this.server.url(`/slow?name=${name}`), this.#way.client)
    const found = () => this.#sessions.slice(before).find((session) => session.query.name === name)
    await eventually(() => found() !== undefined)
    return { client, session: found()!, [Symbol.dispose]: () => client[Symbol.dispose]() }
  }

  /** Publishes so many messages in one go. */
  async publish(count: number, text = filler): Promise<void> {
    const first = this.published + 1
    this.published += count
    await this.server.run(
      Effect.flatMap(Numbers, (numbers) =>
        Effect.forEach(
          Array.from({ length: count }, (_, index) => first + index),
          (n) => numbers.publish(topic, { n, text }),
          { discard: true }
        )
      )
    )
  }

  get dropped(): number {
    return this.server.metric("effect_rooms_outbox_drops", { route: "/slow", kind: "topic" })
  }

  /** Who has read what was published until messages were dropped. */
  get other(): Client {
    return this.#other!.client
  }

  /** Publishes until so many messages more were dropped, no faster than somebody else reads them. */
  async publishUntilDropped(count: number): Promise<void> {
    this.#other ??= await this.visit("other")
    const enough = this.dropped + count
    const most = this.published + 4000
    while (this.dropped < enough) {
      if (this.published > most) throw new Error(`nothing was dropped: ${this.dropped} of ${this.published}`)
      // Fewer at once than are compressed before anything has to wait.
      await this.publish(3)
      await eventually(() => has(this.other, this.published))
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#other?.[Symbol.dispose]()
    return this.server[Symbol.asyncDispose]()
  }
}

export const isNumbered = (message: unknown): message is Numbered => typeof message === "object" && "n" in message!
export const isGap = (message: unknown): message is { readonly gap: Gap } =>
  typeof message === "object" && "gap" in message!

const has = ({ messages }: Client, n: number): boolean => {
  const last = messages.findLast(isNumbered)
  return last !== undefined && last.n >= n
}

const told = (gap: Gap) => ({ gap })

const makeRoute = ({ gap = told, policy, users = false }: SlowOptions) =>
  WebSocketRoute.make("/slow", {
    query,
    incoming: Schema.String,
    outgoing: Outgoing,
    overflow: policy && { policy, gap },
    authenticate: ({ request: { url } }) =>
      Effect.succeed(new URL(url, "http://localhost").searchParams.get("name") ?? ""),
    user: (name) => (users ? Account.ref.make(name) : undefined)
  })

/** Starts a server whose route forwards the topic and echoes what it is sent. */
export const startPlace = async (options: SlowOptions): Promise<Place> => {
  const { limits = {}, testClock = true, way } = options
  const sessions: Array<SlowSession> = []
  const route = makeRoute(options)
  const routes = WebSocketRoute.layer(route, (session) =>
    Effect.gen(function* () {
      yield* session.forward(yield* Numbers, topic)
      sessions.push(session)
      yield* session.messages.runForEach((text) => Effect.sync(() => session.send(text)))
    })
  )
  const server = await startServer({
    routes,
    services: Numbers.layer,
    testClock,
    createServer: way.createServer,
    server: { ...way.server, limits: { ...way.server.limits, ...limits } }
  })
  return new Place(way, server, route, sessions)
}

/** What a client got, in short: runs of positions, gaps, and its own. */
export const inShort = (messages: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  const parts: Array<string> = []
  let run: [number, number] | undefined
  const end = () => {
    if (run !== undefined) parts.push(`${run[0]}..${run[1]}`)
    run = undefined
  }
  for (const message of messages) {
    if (isNumbered(message)) {
      if (run?.[1] === message.n - 1) run[1]++
      else {
        end()
        run = [message.n, message.n]
      }
      continue
    }
    end()
    parts.push(isGap(message) ? `gap ${message.gap.from}..${message.gap.to}` : String(message))
  }
  end()
  return parts
}

/** Every position up to the last was read or told, in order, each once; answers how many were missed. */
export const assertWhole = (messages: ReadonlyArray<unknown>, last: number): number => {
  let next = 1
  let missed = 0
  for (const message of messages) {
    if (isNumbered(message)) {
      assert.strictEqual(message.n, next, inShort(messages).join(" "))
      next++
    } else if (isGap(message)) {
      const { from, kind, room, to } = message.gap
      assert.deepStrictEqual({ kind, room, from }, { kind: "topic", room: "topic", from: next })
      assert.strictEqual(message.gap.missed, to - from + 1)
      missed += message.gap.missed
      next = to + 1
    }
  }
  assert.strictEqual(next, last + 1, inShort(messages).join(" "))
  return missed
}
