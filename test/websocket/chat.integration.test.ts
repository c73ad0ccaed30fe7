import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, eventually, type Client } from "../support/wsClient.ts"
import { Chat, ChatLive, general, Room } from "../support/wsRoutes.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

const line = (type: string, author: string, text = "") => ({ type, author, text })

/** How a connection of J3 can come to its end, and the close code its client sees, if it sees one. */
const ends: ReadonlyArray<{
  readonly how: string
  readonly end: (client: Client) => void
  readonly code: number
  readonly failures: number
}> = [
  { how: "the client closes", end: (client) => client.socket.close(1000), code: 1000, failures: 0 },
  { how: "the client closes without a code", end: (client) => client.socket.close(), code: 1005, failures: 0 },
  { how: "the client cuts the connection", end: (client) => client.socket.terminate(), code: 1006, failures: 0 },
  { how: "the client resets the connection", end: (client) => client.reset(), code: 1006, failures: 0 },
  { how: "the handler throws", end: (client) => client.send({ text: "/die" }), code: 1011, failures: 1 },
  { how: "the handler fails", end: (client) => client.send({ text: "/fail" }), code: 1011, failures: 1 },
  {
    how: "the handler interrupts itself",
    end: (client) => client.send({ text: "/interrupt" }),
    code: 1001,
    failures: 0
  }
]

const join = async (server: TestServer<Chat>, name: string): Promise<Client> => {
  const client = await connect(server.url(`/chat/general?username=${name}`))
  assert.deepStrictEqual(await client.next(), line("joined", name))
  return client
}

const subscribers = (server: TestServer<Chat>) =>
  server.run(Effect.flatMap(Chat, (chat) => chat.subscriberCount(general)))
const rooms = (server: TestServer<Chat>) => server.run(Effect.flatMap(Chat, (chat) => chat.size))

describe("J3: two loops until either ends", () => {
  it.each(ends)("the leave is announced and nothing stays when $how", async ({ code, end, failures }) => {
    await using server = await startServer({ routes: ChatLive, services: Chat.layer })
    using alice = await join(server, "Alice")
    using bob = await join(server, "Bob")
    assert.deepStrictEqual(await alice.next(), line("joined", "Bob"))
    bob.send({ text: "hello" })
    assert.deepStrictEqual(await bob.next(), line("message", "Bob", "hello"))
    assert.deepStrictEqual(await alice.next(), line("message", "Bob", "hello"))

    end(bob)
    assert.strictEqual((await bob.closed).code, code)
    assert.deepStrictEqual(await alice.next(), line("left", "Bob"))
    await eventually(async () => (await subscribers(server)) === 1)

    alice.send({ text: "anybody here?" })
    assert.deepStrictEqual(await alice.next(), line("message", "Alice", "anybody here?"))
    alice.socket.close()
    await alice.closed
    await eventually(async () => (await rooms(server)) === 0)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
    assert.strictEqual(server.metric("effect_rooms_handler_failures", { route: "/chat/:room" }), failures)
    assert.strictEqual(server.logs.filter(({ level }) => level === "Error").length, failures)
  })

  it("a stop of the server announces every leave and leaves nothing", async () => {
    await using server = await startServer({ routes: ChatLive, services: Chat.layer })
    const heard: Array<string> = []
    const watching = server.run(
      Effect.scoped(
        Effect.flatMap(Chat, (chat) => chat.subscribe(general)).pipe(
          Effect.flatMap((lines) =>
            Stream.runForEach(lines.stream, ({ author, type }) => Effect.sync(() => heard.push(`${author} ${type}`)))
          )
        )
      )
    )
    await eventually(async () => (await subscribers(server)) === 1)
    using alice = await join(server, "Alice")
    using bob = await join(server, "Bob")
    await server.stop()
    assert.strictEqual((await alice.closed).code, 1012)
    assert.strictEqual((await bob.closed).code, 1012)
    await watching
    assert.deepStrictEqual(heard.slice(0, 2), ["Alice joined", "Bob joined"])
    assert.deepStrictEqual(heard.slice(2).toSorted(), ["Alice left", "Bob left"])
  })

  it("no member misses a line while others come and go in every way", async () => {
    await using server = await startServer({ routes: ChatLive, services: Chat.layer })
    using watcher = await join(server, "Watcher")
    const guest = async (n: number) => {
      const { end } = ends[n % ends.length]!
      using client = await connect(server.url(`/chat/general?username=guest${n}`))
      client.send({ text: "a" })
      client.send({ text: "b" })
      await eventually(() => client.messages.some((message) => (message as { text: string }).text === "b"))
      end(client)
      await client.closed
    }
    await Promise.all(Array.from({ length: 42 }, (_, n) => guest(n)))
    const seen = await watcher.take(42 * 4)
    for (let n = 0; n < 42; n++) {
      const of = (seen as ReadonlyArray<ReturnType<typeof line>>)
        .filter(({ author }) => author === `guest${n}`)
        .map(({ text, type }) => type + text)
      assert.deepStrictEqual(of, ["joined", "messagea", "messageb", "left"])
    }
    watcher.socket.close()
    await eventually(async () => (await rooms(server)) === 0)
  })
})

const AsyncChat = WebSocketRoute.make("/async/:room", {
  params: { room: Room.ref.schema },
  incoming: Schema.Struct({ text: Schema.String }),
  outgoing: Schema.String
})

describe("J3: an async handler", () => {
  it("that rejects closes with 1011, counts, and closes what its scope holds", async () => {
    const released: Array<string> = []
    const Live = WebSocketRoute.layer(AsyncChat, async ({ messages, signal }) => {
      signal.addEventListener("abort", () => released.push("aborted"))
      for await (const { text } of messages) throw new Error(text)
    })
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/async/general"))
    client.send({ text: "a secret reason" })
    const { code, reason } = await client.closed
    assert.strictEqual(code, 1011)
    assert.notInclude(reason, "secret")
    assert.deepStrictEqual(released, ["aborted"])
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_handler_failures"), 1)
  })

  it("has its signal aborted and its loop ended when the client is gone", async () => {
    const done = Promise.withResolvers<boolean>()
    const Live = WebSocketRoute.layer(AsyncChat, async ({ messages, send, signal }) => {
      send("ready")
      for await (const _ of messages);
      // The loop may end in the same turn in which the signal is aborted, before it.
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve))
      done.resolve(signal.aborted)
    })
    await using server = await startServer({ routes: Live })
    using client = await connect(server.url("/async/general"))
    await client.next()
    client.reset()
    assert.isTrue(await done.promise)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_handler_overruns"), 0)
  })
})

const SayRoute = WebSocketRoute.make("/say/:room", {
  params: { room: Room.ref.schema },
  query: { username: Schema.String },
  incoming: Schema.Struct({ id: Schema.String, text: Schema.String }),
  outgoing: Schema.Json
})

/** Publishes what is said with the given exception, and confirms it to the sender. */
const sayLive = (exclude: "connection" | "subscription" | "author") =>
  WebSocketRoute.layer(
    SayRoute,
    Effect.fn("say")(function* ({ connection, messages, params, query, send }) {
      const chat = yield* Chat
      const lines = yield* chat.subscribe(params.room)
      const except = exclude === "connection" ? connection : exclude === "subscription" ? lines : []
      send("ready")
      yield* Effect.raceFirst(
        Stream.runForEach(lines.stream, (said) =>
          Effect.sync(() => (exclude === "author" && said.author === query.username) || send(said))
        ),
        Stream.runForEach(messages.stream, ({ id, text }) =>
          chat
            .publish(params.room, { type: "message", author: query.username, text }, { except })
            .pipe(Effect.andThen(Effect.sync(() => send({ type: "sent", messageId: id }))))
        )
      )
    })
  )

describe("J8: the sender is left out", () => {
  it.each(["connection", "subscription", "author"] as const)("by %s", async (exclude) => {
    await using server = await startServer({ routes: sayLive(exclude), services: Chat.layer })
    const member = async (name: string) => {
      const client = await connect(server.url(`/say/general?username=${name}`))
      assert.strictEqual(await client.next(), "ready")
      return client
    }
    using alice = await member("Alice")
    using bob = await member("Bob")
    alice.send({ id: "1", text: "from Alice" })
    assert.deepStrictEqual(await alice.next(), { type: "sent", messageId: "1" })
    assert.deepStrictEqual(await bob.next(), line("message", "Alice", "from Alice"))
    bob.send({ id: "2", text: "from Bob" })
    assert.deepStrictEqual(await alice.next(), line("message", "Bob", "from Bob"))
    assert.deepStrictEqual(await bob.next(), { type: "sent", messageId: "2" })
  })

  it("in all of its subscriptions, when it has several and the exception is the connection", async () => {
    const Twice = WebSocketRoute.layer(
      SayRoute,
      Effect.fn("twice")(function* ({ connection, messages, params, send }) {
        const chat = yield* Chat
        for (const number of [1, 2]) {
          const lines = yield* chat.subscribe(params.room)
          yield* Effect.forkScoped(
            Stream.runForEach(lines.stream, ({ text }) => Effect.sync(() => send(`${number}: ${text}`)))
          )
        }
        send("ready")
        yield* Stream.runForEach(messages.stream, ({ text }) =>
          chat.publish(params.room, { type: "message", author: "", text }, { except: connection })
        )
      })
    )
    await using server = await startServer({ routes: Layer.mergeAll(Twice), services: Chat.layer })
    using alice = await connect(server.url("/say/general?username=Alice"))
    using bob = await connect(server.url("/say/general?username=Bob"))
    await Promise.all([alice.next(), bob.next()])
    alice.send({ id: "1", text: "a" })
    assert.sameMembers([...(await bob.take(2))], ["1: a", "2: a"])
    bob.send({ id: "2", text: "b" })
    assert.sameMembers([...(await alice.take(2))], ["1: b", "2: b"])
    assert.strictEqual(bob.messages.length, 3)
  })
})
