import { assert, describe, it } from "@effect/vitest"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { connect, connectRaw, eventually, frame, handshake, refused } from "../support/wsClient.ts"
import { Chat, ChatLive, EchoLive, general } from "../support/wsRoutes.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

/** Numbers in [0, 1) from a seed, the same each time. */
const randomFrom = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

const BrokenLive = WebSocketRoute.layer(
  WebSocketRoute.make("/broken", {
    incoming: Schema.String,
    outgoing: Schema.Finite,
    authenticate: () => Effect.andThen(Effect.yieldNow, Effect.succeed("anybody")),
    invalidReply: () => {
      throw new Error("a mistake in the reply")
    }
  }),
  async ({ messages, send }) => {
    for await (const text of messages) {
      if (text === "send") send(Number.NaN)
      if (text === "throw") throw new Error("a mistake in the handler")
    }
  }
)

type Rough = (server: TestServer<Chat>, random: () => number) => Promise<void>

/** Everything a bad, unlucky or broken client does; each leaves on its own. */
const clients: ReadonlyArray<Rough> = [
  async (server, random) => {
    using client = await connect(server.url("/chat/general"))
    for (let n = 0; n < 10; n++) client.send({ text: "x".repeat(random() * 5000) })
    await client.take(3)
    client.reset()
    await client.closed
  },
  async (server, random) => {
    using client = await connect(server.url("/chat/general"))
    client.send({ text: ["/die", "/fail", "/interrupt"][Math.floor(random() * 3)] })
    await client.closed
  },
  async (server, random) => {
    using raw = await connectRaw(server.port)
    raw.write(handshake("/echo"))
    await raw.until("\r\n\r\n")
    raw.write(Buffer.from(Array.from({ length: 200 }, () => Math.floor(random() * 256))))
    if (random() < 0.5) raw.reset()
    else raw.socket.end()
    await raw.closed
  },
  async (server, random) => {
    using raw = await connectRaw(server.port)
    const bytes = Buffer.concat([Buffer.from(handshake("/broken")), frame('"throw"'), frame("{")])
    raw.write(bytes.subarray(0, Math.floor(random() * bytes.length)))
    raw.reset()
    await raw.closed
  },
  async (server, random) => {
    using client = await connect(server.url("/broken"))
    client.sendText(random() < 0.3 ? "not JSON" : random() < 0.5 ? '"send"' : '"throw"')
    assert.strictEqual((await client.closed).code, 1011)
  },
  async (server) => {
    using client = await connect(server.url("/echo"))
    for (let n = 0; n < 30; n++) client.send(n)
    assert.strictEqual((await client.closed).code, 4500)
  },
  async (server) => {
    using client = await connect(server.url("/echo"))
    client.send("x".repeat(100_000))
    await client.closed
  },
  async (server) => {
    assert.strictEqual((await refused(server.url("/chat/__proto__"))).status, 400)
    assert.strictEqual((await refused(server.url("/nowhere"))).status, 404)
    assert.strictEqual((await refused(server.url("/echo"), { origin: "null" })).status, 403)
  },
  async (server) => {
    using client = await connect(server.url("/echo"))
    for (let n = 0; n < 5; n++) client.socket.ping()
    client.send("behind the pings")
    assert.strictEqual(await client.next(), "behind the pings")
    client.socket.close(4000, "enough")
    await client.closed
  }
]

describe("SEC24: a torture run", () => {
  it("of every kind of bad client kills nothing, rejects nothing unhandled and leaves nothing", async () => {
    const escaped: Array<unknown> = []
    const onEscaped = (error: unknown) => escaped.push(error)
    const events = ["uncaughtException", "unhandledRejection", "warning"] as const
    for (const event of events) process.on(event, onEscaped)

    const routes = Layer.mergeAll(ChatLive, EchoLive, BrokenLive)
    await using server = await startServer({ routes, services: Chat.layer })
    const random = randomFrom(20_261_121)
    await Promise.all(
      Array.from({ length: 40 * clients.length }, (_, n) => clients[n % clients.length]!(server, random))
    )

    using client = await connect(server.url("/echo"))
    client.send("well?")
    assert.strictEqual(await client.next(), "well?")
    const subscribed = () => server.run(Effect.flatMap(Chat, (chat) => chat.subscriberCount(general)))
    await eventually(async () => (await subscribed()) === 0)
    await eventually(() => server.metric("effect_rooms_connections") === 1)
    await server.stop()
    assert.strictEqual(server.metric("effect_rooms_connections"), 0)
    assert.strictEqual((await client.closed).code, 1012)
    for (const event of events) process.off(event, onEscaped)
    assert.deepStrictEqual(escaped, [])
    const errors = server.logs.filter(({ level }) => level === "Error" || level === "Fatal")
    for (const { cause } of errors) assert.match(Cause.pretty(cause), /mistake|a defect|a failure|a finite number/)
  })

  it("every emitter the server touches has an error listener", async () => {
    await using server = await startServer({ routes: EchoLive })
    const sockets: Array<NodeJS.EventEmitter> = []
    server.node.on("connection", (socket) => sockets.push(socket))
    using client = await connect(server.url("/echo"))
    client.send("hello")
    await client.next()
    assert.strictEqual(sockets.length, 1)
    assert.isAtLeast(sockets[0]!.listenerCount("error"), 1)
    sockets[0]!.emit("error", new Error("from the outside"))
    await client.closed
    using other = await connect(server.url("/echo"))
    other.send("well?")
    assert.strictEqual(await other.next(), "well?")
  })
})

/** Waits this many steps of the fiber before it says yes. */
const stepsLive = (onAccepted: () => void) =>
  WebSocketRoute.layer(
    WebSocketRoute.make("/steps", {
      query: { steps: Schema.NumberFromString },
      incoming: Schema.String,
      outgoing: Schema.String,
      authenticate: ({ request }) =>
        Effect.gen(function* () {
          const steps = Number(/steps=(\d+)/.exec(request.url)?.[1])
          for (let n = 0; n < steps; n++) yield* Effect.yieldNow
        })
    }),
    ({ messages }) => {
      onAccepted()
      return Effect.ignore(messages.take)
    }
  )

describe("an accept that is interrupted", () => {
  it("by a reset after any number of steps leaves no peer and no count", async () => {
    let accepted = 0
    const routes = Layer.mergeAll(
      stepsLive(() => accepted++),
      EchoLive
    )
    await using server = await startServer({ routes })
    const attempt = async (n: number) => {
      const raw = await connectRaw(server.port)
      raw.socket.write(handshake(`/steps?steps=${n % 40}`), () => {
        let turns = n % 7
        const reset = () => (turns-- === 0 ? raw.reset() : setImmediate(reset))
        reset()
      })
      await raw.closed
    }
    await Promise.all(Array.from({ length: 280 }, (_, n) => attempt(n)))
    using client = await connect(server.url("/echo"))
    client.send("well?")
    await client.next()
    await eventually(() => server.metric("effect_rooms_connections") === 1)
    await eventually(
      () => new Promise((resolve) => server.node.getConnections((_error, count) => resolve(count === 1)))
    )
    assert.isAbove(accepted, 0, "some were accepted before the reset")
    assert.isBelow(accepted, 280, "some were not")
  })

  it("by a stop of the server after any number of steps leaves no peer and no count", async () => {
    for (let turns = 0; turns < 12; turns++) {
      await using server = await startServer({ routes: stepsLive(() => {}) })
      const raws = await Promise.all(Array.from({ length: 20 }, () => connectRaw(server.port)))
      for (const [n, raw] of raws.entries()) raw.write(handshake(`/steps?steps=${n * 2}`))
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      const stopped = server.stop()
      for (const raw of raws) void raw.ended.then(() => raw.socket.end())
      for (const raw of raws) raw.socket.on("data", () => raw.socket.end())
      await stopped
      await Promise.all(raws.map((raw) => raw.ended))
      assert.strictEqual(server.metric("effect_rooms_connections"), 0)
    }
  })
})
