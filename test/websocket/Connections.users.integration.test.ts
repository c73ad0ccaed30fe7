/**
 * Connections reached from outside of their handlers: one, all of a user, all of a room, all of a route.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Connection, Ref, RoomApi, Rooms } from "effect-rooms"
import { Authenticator, Connections, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Way, ways } from "../support/ways.ts"
import { connect, eventually } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class User extends Ref.Entity<User>()("User") {}
class Hall extends Ref.Entity<Hall>()("Hall") {}

const HallApi = RoomApi.make("hall", { key: Hall, events: { said: Schema.String }, member: Schema.String })
class Halls extends Rooms.Service<Halls>()("test/Halls", HallApi) {}

interface Person {
  readonly name: string
}
/** The token is the name. */
const authenticate: Authenticator.Authenticator<Person> = ({ token }) =>
  token === undefined ? Authenticator.unauthenticated : Effect.succeed({ name: Redacted.value(token) })

/** What the application keeps with a connection of a desk. */
class Desk {
  readonly owner: string
  readonly lamp: string
  drawers = 0
  constructor(owner: string, lamp: string) {
    this.owner = owner
    this.lamp = lamp
  }
}

const user = ({ name }: Person) => (name === "nobody" ? undefined : User.ref.make(name))
const DeskRoute = WebSocketRoute.make("/desk", {
  query: { lamp: Schema.optionalKey(Schema.String) },
  incoming: Schema.String,
  outgoing: Schema.Finite,
  authenticate,
  user,
  data: ({ principal, query }) => new Desk(principal.name, query.lamp ?? "off")
})
const PhoneRoute = WebSocketRoute.make("/phone", {
  incoming: Schema.String,
  outgoing: Schema.String,
  authenticate,
  user
})
type DeskSession = WebSocketRoute.Session<string, number, {}, { readonly lamp?: string }, Person, Desk>

const open = async (way: Way) => {
  const sessions: Array<DeskSession> = []
  const found: {
    desks?: Connections.Connections<number, Person, Desk>
    phones?: Connections.Connections<string, Person>
    everywhere?: Connections.Everywhere
  } = {}
  const finding = Effect.gen(function* () {
    found.desks = yield* Connections.of(DeskRoute)
    found.phones = yield* Connections.of(PhoneRoute)
    found.everywhere = yield* Connections.everywhere
  })
  const DeskLive = WebSocketRoute.layer(DeskRoute, (session) => {
    sessions.push(session)
    return Stream.runDrain(session.messages.stream)
  })
  const PhoneLive = WebSocketRoute.layer(PhoneRoute, ({ messages }) => Stream.runDrain(messages.stream))
  const routes = Layer.mergeAll(DeskLive, PhoneLive, Layer.effectDiscard(finding))
  const server = await startServer({ routes, services: Halls.layer, server: way.server })
  const { desks, everywhere, phones } = found as Required<typeof found>
  const enter = async (path: string, name: string) => {
    const before = await server.run(everywhere.size)
    const client = await connect(server.url(path), { ...way.client, headers: { authorization: `Bearer ${name}` } })
    await eventually(async () => (await server.run(everywhere.size)) === before + 1)
    return client
  }
  return {
    desks,
    phones,
    everywhere,
    run: <A, E>(effect: Effect.Effect<A, E, Halls>) => server.run(effect),
    server,
    sessions,
    desk: (name: string, lamp = "") => enter(`/desk${lamp && `?lamp=${lamp}`}`, name),
    phone: (name: string) => enter("/phone", name),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

const [alice, bob] = [User.ref`alice`, User.ref`bob`]
const length = ({ data }: RoomApi.RoomEvent<(typeof HallApi)["events"]>): number => data.length
const ids = (connections: ReadonlyArray<{ readonly id: string }>) => connections.map(({ id }) => id)

describe.each(ways)("connections of users, $way", (way) => {
  it("are found by user, on one route and on all, until their sockets are closed", async () => {
    await using office = await open(way)
    using first = await office.desk("alice")
    using second = await office.desk("alice")
    using _other = await office.desk("bob")
    using _phone = await office.phone("alice")
    using _nobody = await office.desk("nobody")
    const of = (who: Ref.AnyRef) => office.run(office.desks.ofUser(who))
    assert.deepStrictEqual(ids(await of(alice)), [office.sessions[0]!.connection.id, office.sessions[1]!.connection.id])
    assert.strictEqual((await office.run(office.phones.ofUser(alice))).length, 1)
    assert.strictEqual((await office.run(office.everywhere.ofUser(alice))).length, 3)
    assert.deepStrictEqual(await of(User.ref`nobody`), [])
    assert.deepStrictEqual(await of(Hall.ref`alice`), [], "a hall of the same name is nobody")
    first.socket.close()
    await eventually(async () => (await of(alice)).length === 1)
    second.reset()
    await eventually(async () => (await of(alice)).length === 0)
    assert.strictEqual((await office.run(office.everywhere.ofUser(alice))).length, 1)
  })

  it("are sent to on the route whose types the message has, all of the user's, in the order of the calls", async () => {
    await using office = await open(way)
    using first = await office.desk("alice")
    using second = await office.desk("alice")
    using other = await office.desk("bob")
    using phone = await office.phone("alice")
    const { desks, phones } = office
    const reached = await office.run(
      Effect.gen(function* () {
        const counts = [yield* desks.toUser(alice, 1), yield* desks.toUser(bob, 2), yield* phones.toUser(alice, "ring")]
        office.sessions[0]!.send(3)
        counts.push(yield* desks.broadcast(4, { except: { id: office.sessions[1]!.connection.id } }))
        counts.push(yield* desks.toUser(alice, 5), yield* desks.toUser(User.ref`carol`, 6))
        return counts
      })
    )
    assert.deepStrictEqual(reached, [2, 1, 1, 2, 2, 0])
    assert.deepStrictEqual(await first.take(4), [1, 3, 4, 5])
    assert.deepStrictEqual(await second.take(2), [1, 5])
    assert.deepStrictEqual(await other.take(2), [2, 4])
    assert.strictEqual(await phone.next(), "ring")
  })

  it("are sent to by the id of a connection of the route, and of no other", async () => {
    await using office = await open(way)
    using desk = await office.desk("alice")
    using _phone = await office.phone("alice")
    const { desks, phones } = office
    const [phone] = ids(await office.run(phones.all))
    const { id } = office.sessions[0]!.connection
    assert.isTrue(await office.run(desks.toConnection(id, 1)))
    assert.isFalse(await office.run(desks.toConnection(phone!, 2)))
    assert.isFalse(await office.run(desks.toConnection("__proto__", 3)))
    assert.strictEqual(await desk.next(), 1)
    office.sessions[0]!.connection.close()
    assert.isFalse(await office.run(desks.toConnection(id, 4)), "it is closing")
  })

  it("a message that does not fit: sending to one or to a user dies, broadcasting is logged and reaches nobody", async () => {
    await using office = await open(way)
    using desk = await office.desk("alice")
    const { desks, run } = office
    const { id } = office.sessions[0]!.connection
    assert.isTrue((await run(Effect.exit(desks.toConnection(id, Number.NaN))))._tag === "Failure")
    assert.isTrue((await run(Effect.exit(desks.toUser(alice, Number.NaN))))._tag === "Failure")
    assert.strictEqual(await run(desks.broadcast(Number.NaN)), 0)
    assert.strictEqual(await run(desks.broadcast(1)), 1)
    assert.strictEqual(await desk.next(), 1)
    assert.strictEqual(office.server.metric("effect_rooms_encode_failures", { route: "/desk" }), 1)
    assert.strictEqual(office.server.logs.filter(({ level }) => level === "Error").length, 1)
  })

  it("disconnectUser closes all of a user's, whatever their route, behind what they were sent", async () => {
    await using office = await open(way)
    using desk = await office.desk("alice")
    using other = await office.desk("bob")
    using phone = await office.phone("alice")
    const { desks, everywhere } = office
    const closed = await office.run(
      Effect.andThen(desks.toUser(alice, 1), everywhere.disconnectUser(alice, undefined, "enough"))
    )
    assert.strictEqual(closed, 2)
    assert.deepStrictEqual(await desk.closed, { code: 4504, reason: "enough" })
    assert.deepStrictEqual(desk.messages, [1])
    assert.strictEqual((await phone.closed).code, 4504)
    await eventually(async () => (await office.run(everywhere.size)) === 1)
    assert.strictEqual(await office.run(everywhere.disconnectUser(alice)), 0)
    assert.strictEqual(await office.run(everywhere.disconnectUser(bob, 4321)), 1)
    assert.strictEqual((await other.closed).code, 4321)
  })

  it("are disconnected one by one from everywhere, and by route only where they are", async () => {
    await using office = await open(way)
    using phone = await office.phone("alice")
    const [id] = ids(await office.run(office.phones.all))
    assert.isFalse(await office.run(office.desks.disconnect(id!)))
    assert.isTrue(await office.run(office.everywhere.disconnect(id!, 4444, "hung up")))
    assert.deepStrictEqual(await phone.closed, { code: 4444, reason: "hung up" })
  })
})

describe.each(ways)("what a connection carries, $way", (way) => {
  it("is what the route made when it opened, and stays with it wherever it is found", async () => {
    await using office = await open(way)
    using _first = await office.desk("alice", "on")
    using _second = await office.desk("bob")
    const { desks, sessions } = office
    sessions[0]!.connection.data.drawers = 3
    const [first, second] = await office.run(desks.all)
    expectTypeOf(first!.data).toEqualTypeOf<Desk>()
    assert.strictEqual(first!.data, sessions[0]!.connection.data)
    assert.deepStrictEqual([first!.data.owner, first!.data.lamp, first!.data.drawers], ["alice", "on", 3])
    assert.deepStrictEqual([second!.data.owner, second!.data.lamp, second!.data.drawers], ["bob", "off", 0])
    const [found] = await office.run(desks.ofUser(bob))
    assert.strictEqual(found, second)
  })

  it("is seen by room, in the order of the joins, for the connections of the route only", async () => {
    await using office = await open(way)
    using _first = await office.desk("alice")
    using _second = await office.desk("bob")
    using _third = await office.desk("carol")
    const { desks, phones, sessions } = office
    const scope = Scope.makeUnsafe()
    const room = await office.run(Effect.map(Halls, (halls) => halls.get(Hall.ref`hall`)))
    for (const session of [sessions[2]!, sessions[0]!]) {
      await office.run(Scope.provide(session.join(room, "member", length), scope))
    }
    await office.run(Scope.provide(room.join("no connection", { as: { id: "somebody" } }), scope))
    const inRoom = await office.run(desks.inRoom(room))
    expectTypeOf(inRoom).toEqualTypeOf<ReadonlyArray<Connection.Connection<Person, Desk>>>()
    assert.deepStrictEqual(
      inRoom.map(({ data: { owner } }) => owner),
      ["carol", "alice"]
    )
    assert.deepStrictEqual(await office.run(phones.inRoom(room)), [])
    await office.run(sessions[2]!.leave(room))
    assert.strictEqual((await office.run(desks.inRoom(room))).length, 1)
  })

  it("has the types of the route", () => {
    type Desks = Connections.Connections<number, Person, Desk>
    expectTypeOf<Effect.Success<ReturnType<Desks["inRoom"]>>>().toEqualTypeOf<
      ReadonlyArray<Connection.Connection<Person, Desk>>
    >()
    expectTypeOf<DeskSession["connection"]["data"]>().toEqualTypeOf<Desk>()
    expectTypeOf<Effect.Success<Connections.Everywhere["all"]>>().toEqualTypeOf<ReadonlyArray<Connection.Connection>>()
    // @ts-expect-error a desk is sent numbers
    const wrong = (desks: Desks) => desks.toUser(alice, "ring")
    assert.isFunction(wrong)
  })
})
