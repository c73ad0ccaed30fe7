/**
 * Two servers of one cluster, with sockets: what one does to the connections and members of the other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Ref, RoomApi, Rooms } from "effect-rooms"
import { Cluster, MemoryBus } from "effect-rooms/cluster"
import { Authenticator, Connections, EventRouter, WebSocketRoute } from "effect-rooms/websocket"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, eventually } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class User extends Ref.Entity<User>()("User") {}
class Hall extends Ref.Entity<Hall>()("Hall") {}
const HallApi = RoomApi.make("hall", { key: Hall, events: { said: Schema.String }, member: Schema.String })
class Halls extends Rooms.Service<Halls>()("test/Halls", HallApi, {
  canJoin: ({ data }) => Effect.succeed(data !== "no")
}) {}
const [alice, bob] = [User.ref`alice`, User.ref`bob`]
const north = Hall.ref`north`

const Message = Schema.Union([Schema.String, Schema.Struct({ event: Schema.Literal("said"), data: Schema.String })])
/** The token is the name. */
const authenticate: Authenticator.Authenticator<string> = ({ token }) =>
  token === undefined ? Authenticator.unauthenticated : Effect.succeed(Redacted.value(token))
const Desk = WebSocketRoute.make("/desk", {
  incoming: Schema.String,
  outgoing: Message,
  authenticate,
  user: (name) => User.ref.make(name)
})

const hello = EventRouter.on("hello", "/", { data: Schema.String }, ({ connection, data, toConnection, toOthers }) =>
  Effect.gen(function* () {
    const [id, text] = data.split(" ") as [string, string]
    if (id === "others") return yield* toOthers("hello", text)
    return id === "me" ? connection.id : yield* toConnection(id, "hello", text)
  })
)

const startNode = async (network: MemoryBus.Network, name: string, heartbeat: Duration.Input) => {
  const found: { desks?: Effect.Success<ReturnType<typeof desksOf>>; everywhere?: Connections.Everywhere } = {}
  const finding = Effect.gen(function* () {
    found.desks = yield* desksOf()
    found.everywhere = yield* Connections.everywhere
  })
  const DeskLive = WebSocketRoute.layer(Desk, ({ connection, messages, send }) => {
    send(connection.id)
    return Stream.runDrain(messages.stream)
  })
  const cluster = Cluster.layer({
    namespace: "test",
    node: name,
    secret: Redacted.make("of the test"),
    heartbeat
  }).pipe(Layer.provide(network.layer(name)))
  const server = await startServer({
    routes: Layer.mergeAll(DeskLive, EventRouter.layer("/events", [hello]), Layer.effectDiscard(finding)),
    services: Layer.provideMerge(Halls.layer, cluster)
  })
  const { desks, everywhere } = found as Required<typeof found>
  const run = <A, E>(effect: Effect.Effect<A, E, Halls | Cluster.Cluster>) => server.run(effect)
  const room = await run(Effect.map(Halls, (halls) => halls.get(north)))
  const enter = async (who: string) => {
    const client = await connect(server.url("/desk"), { headers: { authorization: `Bearer ${who}` } })
    return { client, id: String(await client.next()), [Symbol.dispose]: () => client[Symbol.dispose]() }
  }
  return { name, server, desks, everywhere, run, room, enter, [Symbol.asyncDispose]: () => server.stop() }
}
const desksOf = () => Connections.of(Desk)
type Node = Awaited<ReturnType<typeof startNode>>

/** Whether a node knows the other, with everything it has. */
const isSettled = (node: Node): Promise<boolean> =>
  node
    .run(Effect.flatMap(Cluster.Cluster, (cluster) => cluster.nodes))
    .then((all) => all.every(({ stale }) => !stale) && all.length === 2)

/** Two nodes that know each other. */
const startNodes = async (heartbeat: Duration.Input = "3 seconds") => {
  const network = await Effect.runPromise(MemoryBus.make())
  const nodes = [await startNode(network, "a", heartbeat), await startNode(network, "b", heartbeat)] as const
  await eventually(async () => (await isSettled(nodes[0])) && (await isSettled(nodes[1])))
  return {
    network,
    a: nodes[0],
    b: nodes[1],
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    }
  }
}

/** Waits until a node knows of so many connections. */
const knows = (node: Node, count: number) => eventually(async () => (await node.run(node.everywhere.count)) === count)

describe("L4: a server reaches connections of another node", () => {
  it("with messages to one, to a user and to all, in order", async () => {
    await using cluster = await startNodes()
    const { a, b } = cluster
    using first = await a.enter("alice")
    using second = await b.enter("alice")
    using third = await b.enter("bob")
    await knows(a, 3)
    const { desks, run } = a
    const sent = await run(
      Effect.gen(function* () {
        return [
          yield* desks.toConnection(second.id, "one"),
          yield* desks.toUser(alice, "two"),
          yield* desks.broadcast("three", { except: { id: third.id } }),
          yield* desks.toUser(bob, "four"),
          yield* desks.toConnection(second.id, "five")
        ]
      })
    )
    assert.deepStrictEqual(sent, [true, 2, 2, 1, true])
    assert.deepStrictEqual(await first.client.take(2), ["two", "three"])
    assert.deepStrictEqual(await second.client.take(4), ["one", "two", "three", "five"])
    assert.strictEqual(await third.client.next(), "four")
    const epochs = (await run(Effect.flatMap(Cluster.Cluster, ({ nodes }) => nodes))).map(({ epoch }) => epoch)
    assert.deepStrictEqual(await run(a.everywhere.connectionsOf(alice)), [
      { id: first.id, node: epochs[0]!, route: "/desk" },
      { id: second.id, node: epochs[1]!, route: "/desk" }
    ])
  })

  it("to close one, or all of a user", async () => {
    await using cluster = await startNodes()
    const { a, b } = cluster
    using first = await a.enter("alice")
    using second = await b.enter("alice")
    using third = await b.enter("bob")
    await knows(a, 3)
    assert.isTrue(await a.run(a.desks.disconnect(third.id, 4321, "enough")))
    assert.deepStrictEqual(await third.client.closed, { code: 4321, reason: "enough" })
    await eventually(async () => (await b.run(b.everywhere.connectionsOf(alice))).length === 2)
    assert.strictEqual(await b.run(b.everywhere.disconnectUser(alice)), 2)
    assert.strictEqual((await first.client.closed).code, 4504)
    assert.strictEqual((await second.client.closed).code, 4504)
    await knows(a, 0)
    await knows(b, 0)
    assert.isFalse(await a.run(a.desks.disconnect(third.id)))
  })

  it("to let them into rooms and out of them, where their own node decides", async () => {
    await using cluster = await startNodes()
    const { a, b } = cluster
    using guest = await b.enter("alice")
    await knows(a, 1)
    const refused = await a.run(Effect.flip(a.desks.join(guest.id, a.room, "no")))
    assert.strictEqual(refused.reason._tag, "NotAllowed")
    assert.isTrue(await a.run(a.desks.join(guest.id, a.room, "yes")))
    assert.strictEqual(await b.run(b.room.size), 1)
    await a.run(a.room.broadcast("said", "hello"))
    assert.deepStrictEqual(await guest.client.next(), { event: "said", data: "hello" })
    await eventually(async () => (await a.run(a.room.count)).members === 1)
    assert.strictEqual((await a.run(a.room.everyone))[0]!.id, guest.id)

    assert.isTrue(await a.run(a.desks.leave(guest.id, a.room)))
    assert.strictEqual(await b.run(b.room.size), 0)
    assert.isTrue(await a.run(a.desks.join(guest.id, a.room, "yes")))
    guest.client.reset()
    await eventually(async () => (await a.run(a.room.count)).members === 0)
    await knows(a, 0)
    assert.isFalse(await a.run(a.desks.join(guest.id, a.room, "yes")))
  })

  it("through an event router, too", async () => {
    await using cluster = await startNodes()
    using first = await connect(cluster.a.server.url("/events"))
    using second = await connect(cluster.b.server.url("/events"))
    await knows(cluster.a, 2)
    const ask = async (client: typeof first, data: string) => {
      client.send({ event: "hello", path: "/", data, id: 1 })
      return ((await client.next()) as { readonly data: unknown }).data
    }
    const id = String(await ask(second, "me"))
    assert.isTrue(await ask(first, `${id} one`))
    assert.deepStrictEqual(await second.next(), { event: "hello", path: "/", data: "one" })
    assert.strictEqual(await ask(first, "others two"), 1)
    assert.deepStrictEqual(await second.next(), { event: "hello", path: "/", data: "two" })
  })
})

describe("P7: a node that crashed", () => {
  it("takes its connections and members out of what the others know, and they go on", async () => {
    await using cluster = await startNodes("500 millis")
    const { a, b, network } = cluster
    using here = await a.enter("alice")
    using there = await b.enter("alice")
    await knows(a, 2)
    for (const { id } of [here, there]) assert.isTrue(await a.run(a.desks.join(id, a.room, "yes")))
    await eventually(async () => (await a.run(a.room.count)).members === 2)
    await Effect.runPromise(network.crashNode("b"))
    assert.strictEqual((await a.run(a.room.count)).members, 2, "BUG12: the answer does not wait")
    await eventually(async () => (await a.run(a.room.count)).members === 1)
    await knows(a, 1)
    assert.strictEqual(await a.run(a.desks.toUser(alice, "hello")), 1)
    assert.strictEqual(await a.run(a.desks.broadcast("all")), 1)
    assert.deepStrictEqual(await here.client.take(2), ["hello", "all"])
    assert.isFalse(await a.run(a.desks.toConnection(there.id, "nobody")))
  })

  it("before it is known: a join is not waited for longer than two seconds", async () => {
    await using cluster = await startNodes()
    const { a, b, network } = cluster
    using guest = await b.enter("alice")
    await knows(a, 1)
    await Effect.runPromise(network.partition("a", "b"))
    const failed = await a.run(Effect.flip(a.desks.join(guest.id, a.room, "yes")))
    assert.strictEqual(failed.reason._tag, "NoAnswer")
    await Effect.runPromise(network.heal())
  })
})

describe("a server that stops", () => {
  it("takes its connections out of what the others know while its clients go", async () => {
    const cluster = await startNodes()
    const { a, b } = cluster
    using first = await a.enter("alice")
    using second = await b.enter("alice")
    await knows(a, 2)
    await b.server.stop()
    assert.strictEqual((await second.client.closed).code, 1012)
    await knows(a, 1)
    assert.strictEqual(await a.run(a.desks.broadcast("hello")), 1)
    assert.strictEqual(await first.client.next(), "hello")
    await a.server.stop()
  })
})
