import { assert, describe, it } from "@effect/vitest"
import { Ref } from "effect-rooms"
import { RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, connectRaw, eventually, handshake, refused } from "../support/wsClient.ts"
import { EchoLive } from "../support/wsRoutes.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

class User extends Ref.Entity<User>()("User") {}

/** A route of users who say who they are, and must wait at the door until it opens. */
const door = () => {
  const gate = Deferred.makeUnsafe<void>()
  let waiting = 0
  const route = WebSocketRoute.make("/user/:user", {
    params: { user: User.ref.schema },
    incoming: Schema.String,
    outgoing: Schema.String,
    authenticate: ({ request }) =>
      Effect.sync(() => void waiting++).pipe(
        Effect.andThen(Deferred.await(gate)),
        Effect.as(User.ref.make(request.url.slice(1).split("/").at(-1)!))
      ),
    user: (user) => user
  })
  const Live = WebSocketRoute.layer(route, ({ messages, send }) =>
    Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
  )
  return { Live, open: () => Deferred.doneUnsafe(gate, Effect.void), waiting: () => waiting }
}

const rejections = (server: TestServer<never>, reason: string) => server.metric("effect_rooms_rejections", { reason })

/** The status of a handshake: 101 or what it was refused with. */
const status = async (server: TestServer<never>, path: string): Promise<number> => {
  using client = await connectRaw(server.port)
  client.write(handshake(path))
  await client.until("\r\n\r\n")
  return Number(client.text.split(" ")[1])
}

describe("SEC10: the number of connections", () => {
  it("of one address is bounded before the upgrade, and a closed one makes room", async () => {
    await using server = await startServer({ routes: EchoLive, server: { limits: { maxConnectionsPerAddress: 2 } } })
    using first = await connect(server.url("/echo"))
    using second = await connect(server.url("/echo"))
    const refusal = await refused(server.url("/echo"))
    assert.strictEqual(refusal.status, 503)
    assert.strictEqual(rejections(server, "too many connections of the address"), 1)
    first.socket.close()
    await first.closed
    second.send("still here")
    await second.next()
    using third = await connect(server.url("/echo"))
    third.send("hello")
    assert.strictEqual(await third.next(), "hello")
  })

  it("of the server is bounded as well", async () => {
    await using server = await startServer({ routes: EchoLive, server: { limits: { maxConnections: 1 } } })
    using first = await connect(server.url("/echo"))
    const refusal = await refused(server.url("/echo"))
    assert.strictEqual(refusal.status, 503)
    assert.strictEqual(rejections(server, "too many connections"), 1)
    first.send("undisturbed")
    assert.strictEqual(await first.next(), "undisturbed")
  })

  it("of one user is bounded before the upgrade, other users are not touched, and a reset one makes room", async () => {
    const { Live, open } = door()
    open()
    await using server = await startServer({ routes: Live, server: { limits: { maxConnectionsPerUser: 2 } } })
    using first = await connect(server.url("/user/alice"))
    using second = await connect(server.url("/user/alice"))
    const refusal = await refused(server.url("/user/alice"))
    assert.strictEqual(refusal.status, 503)
    assert.isString(refusal.headers["retry-after"])
    assert.strictEqual(rejections(server, "too many connections of the user"), 1)
    using bob = await connect(server.url("/user/bob"))
    bob.send("hello")
    assert.strictEqual(await bob.next(), "hello")
    first.reset()
    await eventually(() => server.metric("effect_rooms_connections") === 2)
    using third = await connect(server.url("/user/alice"))
    third.send("hello")
    assert.strictEqual(await third.next(), "hello")
    second.send("undisturbed")
    assert.strictEqual(await second.next(), "undisturbed")
  })

  it("of one user cannot be exceeded by many who come at once", async () => {
    const { Live, open, waiting } = door()
    await using server = await startServer({ routes: Live, server: { limits: { maxConnectionsPerUser: 20 } } })
    const clients = await Promise.all(Array.from({ length: 50 }, () => connectRaw(server.port)))
    for (const client of clients) client.write(handshake("/user/alice"))
    await eventually(() => waiting() === 50)
    open()
    await Promise.all(clients.map((client) => client.until("\r\n\r\n")))
    const answers = clients.map(({ text }) => text.split(" ")[1])
    const count = (of: string) => answers.filter((answer) => answer === of).length
    assert.deepStrictEqual([count("101"), count("503")], [20, 30])
    assert.strictEqual(rejections(server, "too many connections of the user"), 30)
    for (const client of clients) client.socket.destroy()
  })
})

describe("SEC10: the rate of upgrades", () => {
  const limits = { upgradesPerSecond: 10, upgradeBurst: 5 }

  it("of an address is bounded, whatever becomes of them, and goes on when time has passed", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    const answers: Array<number> = []
    for (let n = 0; n < 8; n++) answers.push(await status(server, "/echo"))
    assert.deepStrictEqual(answers, [101, 101, 101, 101, 101, 503, 503, 503])
    assert.strictEqual(rejections(server, "too many upgrades of the address"), 3)
    await server.adjust("100 millis")
    assert.deepStrictEqual([await status(server, "/echo"), await status(server, "/echo")], [101, 503])
  })

  it("counts refused ones, and no other requests", async () => {
    const { Live } = door()
    await using server = await startServer({ routes: Live, testClock: true, server: { limits } })
    for (let n = 0; n < 20; n++) await fetch(`http://127.0.0.1:${server.port}/user/alice`)
    const answers: Array<number> = []
    for (let n = 0; n < 6; n++) answers.push(await status(server, "/user/%24"))
    assert.deepStrictEqual(answers, [400, 400, 400, 400, 400, 503])
  })

  it("is forgotten once it is made up for", async () => {
    await using server = await startServer({ routes: EchoLive, testClock: true, server: { limits } })
    const { acceptor } = await server.run(
      RoomsServer.RoomsServer as unknown as Effect.Effect<RoomsServer.RoomsServer["Service"]>
    )
    assert.strictEqual(await status(server, "/echo"), 101)
    await eventually(() => server.metric("effect_rooms_connections") === 0)
    assert.strictEqual(acceptor.admission.size, 1)
    await server.adjust("2 seconds")
    assert.strictEqual(acceptor.admission.size, 0)
  })
})
