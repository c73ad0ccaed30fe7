import { assert, describe, it } from "@effect/vitest"
import { Ref } from "effect-rooms"
import { EventRouter } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { connect } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class Room extends Ref.Entity<Room>()("Room") {}

const Any = { data: Schema.Json }
const where = { data: Schema.Struct({ room: Schema.optionalKey(Schema.String) }) }

const steps: Array<string> = []
const routes = [
  EventRouter.on(
    "add",
    "/sum/:a",
    { data: Schema.Struct({ b: Schema.Int }), params: { a: Schema.FiniteFromString } },
    (request) => Effect.succeed(request.params.a + request.data.b)
  ),
  EventRouter.on("room", "/chat/:room", { ...Any, params: { room: Room.ref.schema } }, ({ params }) =>
    Effect.succeed(params.room.identifier)
  ),
  EventRouter.on("quiet", "/", Any, () => Effect.void),
  EventRouter.on("fail", "/", Any, () =>
    Effect.fail(new EventRouter.EventError({ code: "teapot", detail: "no coffee" }))
  ),
  EventRouter.on("die", "/", Any, () => Effect.die(new Error("a secret"))),
  EventRouter.on("slow", "/", { data: Schema.Int }, ({ data }) =>
    Effect.sync(() => steps.push(`begin ${data}`)).pipe(
      Effect.andThen(Effect.yieldNow),
      Effect.andThen(Effect.sync(() => void steps.push(`end ${data}`)))
    )
  ),
  EventRouter.on("join", "/chat/:room", where, ({ data, join }) => join(data.room)),
  EventRouter.on("leave", "/chat/:room", where, ({ data, leave }) => leave(data.room)),
  EventRouter.on("rooms", "/", Any, ({ rooms }) => Effect.map(rooms, (list) => [...list])),
  EventRouter.on("say", "/chat/:room", Any, ({ broadcast, data }) => broadcast("said", data)),
  EventRouter.on("sayAll", "/chat/:room", Any, ({ broadcast, data }) =>
    broadcast("said", data, { excludeSelf: false })
  ),
  EventRouter.on("sayIn", "/", { data: Schema.Struct({ room: Schema.String }) }, ({ broadcast, data }) =>
    broadcast("said", "from outside", { room: data.room })
  ),
  EventRouter.on("id", "/", Any, ({ connection }) => Effect.succeed(connection.id)),
  EventRouter.on("dm", "/", { data: Schema.Struct({ to: Schema.String }) }, ({ data, toConnection }) =>
    toConnection(data.to, "dm", "psst")
  ),
  EventRouter.on("all", "/", Any, ({ toOthers }) => toOthers("all", "hello")),
  EventRouter.on("echo", "/", Any, ({ data, emit }) => Effect.sync(() => emit("echoed", data)))
]

const start = () =>
  startServer({ routes: EventRouter.layer("/events", routes), server: { limits: { roomsPerConnection: 128 } } })
const enter = async (server: Awaited<ReturnType<typeof start>>) => {
  const client = await connect(server.url("/events"))
  let asked = 0
  /** Sends a request and hears its reply; what comes before it is an error. */
  const ask = async (event: string, path: string, data: unknown = null) => {
    const id = ++asked
    client.send({ event, path, data, id })
    const reply = (await client.next()) as { readonly id: number; readonly data?: unknown; readonly error?: unknown }
    assert.strictEqual(reply.id, id)
    return reply.error ?? reply.data
  }
  return { client, ask, [Symbol.dispose]: () => client[Symbol.dispose]() }
}

describe("M1: requests", () => {
  it("are handled by event and path, with typed parameters and data, and answered with what the handler returns", async () => {
    await using server = await start()
    using alice = await enter(server)
    assert.strictEqual(await alice.ask("add", "/sum/2", { b: 3 }), 5)
    assert.strictEqual(await alice.ask("room", "/chat/team%2Fblue"), "team/blue")
    assert.strictEqual(await alice.ask("quiet", "/"), null)
  })

  it("that fail are answered with the error, and the connection lives on", async () => {
    await using server = await start()
    using alice = await enter(server)
    assert.deepStrictEqual(await alice.ask("fail", "/"), { code: "teapot", message: "no coffee" })
    for (const [event, path] of [
      ["nothing", "/"],
      ["add", "/nowhere"],
      ["__proto__", "/"],
      ["add", "/sum/%zz"],
      ["add", ""]
    ]) {
      const error = (await alice.ask(event!, path!)) as { readonly code: string }
      assert.strictEqual(error.code, "not_found", `${event} ${path}`)
    }
    const invalid = (await alice.ask("add", "/sum/2", { b: "three" })) as { readonly code: string }
    assert.strictEqual(invalid.code, "invalid_data")
    assert.strictEqual(
      ((await alice.ask("add", "/sum/two", { b: 3 })) as { readonly code: string }).code,
      "invalid_data"
    )
    assert.strictEqual(await alice.ask("add", "/sum/2", { b: 3 }), 5)
  })

  it("without an id are not answered, unless they fail", async () => {
    await using server = await start()
    using alice = await enter(server)
    alice.client.send({ event: "add", path: "/sum/2", data: { b: 3 } })
    alice.client.send({ event: "fail", path: "/" })
    assert.deepStrictEqual(await alice.client.next(), { error: { code: "teapot", message: "no coffee" } })
  })

  it("whose handler dies close the connection with 1011 and say nothing of the defect", async () => {
    await using server = await start()
    using alice = await enter(server)
    alice.client.send({ event: "die", path: "/", id: 1 })
    const { code, reason } = await alice.client.closed
    assert.strictEqual(code, 1011)
    assert.notInclude(reason, "secret")
  })

  it("of one connection are handled one after the other", async () => {
    await using server = await start()
    using alice = await enter(server)
    steps.length = 0
    for (let n = 1; n <= 3; n++) alice.client.send({ event: "slow", path: "/", data: n, id: n })
    await alice.client.take(3)
    assert.deepStrictEqual(steps, ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"])
  })
})

describe("M2: rooms of a connection", () => {
  it("are the path of the request unless named, many at a time, until they are left", async () => {
    await using server = await start()
    using alice = await enter(server)
    assert.isTrue(await alice.ask("join", "/chat/general", {}))
    assert.isFalse(await alice.ask("join", "/chat/general", {}))
    assert.isTrue(await alice.ask("join", "/chat/general", { room: "/chat/help" }))
    assert.deepStrictEqual(await alice.ask("rooms", "/"), ["/chat/general", "/chat/help"])
    assert.isTrue(await alice.ask("leave", "/chat/general", {}))
    assert.isFalse(await alice.ask("leave", "/chat/general", {}))
    assert.deepStrictEqual(await alice.ask("rooms", "/"), ["/chat/help"])
  })

  it("have names that are identifiers, and are at most 128", async () => {
    await using server = await start()
    using alice = await enter(server)
    const refusal = (await alice.ask("join", "/chat/general", { room: "/$reserved" })) as { readonly code: string }
    assert.strictEqual(refusal.code, "invalid_room")
    for (let n = 0; n < 128; n++) assert.isTrue(await alice.ask("join", `/chat/${n}`, {}))
    assert.strictEqual(
      ((await alice.ask("join", "/chat/more", {})) as { readonly code: string }).code,
      "too_many_rooms"
    )
  })
})

describe("M3: broadcasts", () => {
  it("reach the members of the room but not the sender, who need not be one", async () => {
    await using server = await start()
    using alice = await enter(server)
    using bob = await enter(server)
    await alice.ask("join", "/chat/general", {})
    await bob.ask("join", "/chat/general", {})
    assert.strictEqual(await bob.ask("say", "/chat/general", "hi"), null)
    assert.deepStrictEqual(await alice.client.next(), { event: "said", path: "/chat/general", data: "hi" })
    await bob.ask("leave", "/chat/general", {})
    assert.strictEqual(await bob.ask("sayIn", "/", { room: "/chat/general" }), null)
    assert.deepStrictEqual(await alice.client.next(), { event: "said", path: "/chat/general", data: "from outside" })
  })

  it("reach the sender as well where that is wanted", async () => {
    await using server = await start()
    using alice = await enter(server)
    await alice.ask("join", "/chat/general", {})
    alice.client.send({ event: "sayAll", path: "/chat/general", data: "hi" })
    assert.deepStrictEqual(await alice.client.next(), { event: "said", path: "/chat/general", data: "hi" })
  })

  it("do not reach who has left, and leave nothing of who is gone", async () => {
    await using server = await start()
    using alice = await enter(server)
    {
      using bob = await enter(server)
      await bob.ask("join", "/chat/general", {})
      await bob.ask("leave", "/chat/general", {})
      await alice.ask("say", "/chat/general", "unheard")
      assert.strictEqual(await bob.ask("add", "/sum/1", { b: 1 }), 2)
      bob.client.socket.close()
      await bob.client.closed
    }
    assert.strictEqual(await alice.ask("all", "/"), 0)
  })
})

describe("M4: single connections", () => {
  it("are reached by their id, the current one directly, all others at once", async () => {
    await using server = await start()
    using alice = await enter(server)
    using bob = await enter(server)
    const to = await alice.ask("id", "/")
    assert.isTrue(await bob.ask("dm", "/", { to }))
    assert.deepStrictEqual(await alice.client.next(), { event: "dm", path: "/", data: "psst" })
    assert.isFalse(await bob.ask("dm", "/", { to: "nobody" }))
    assert.strictEqual(await bob.ask("all", "/"), 1)
    assert.deepStrictEqual(await alice.client.next(), { event: "all", path: "/", data: "hello" })
    alice.client.send({ event: "echo", path: "/", data: [1] })
    assert.deepStrictEqual(await alice.client.next(), { event: "echoed", path: "/", data: [1] })
  })
})
