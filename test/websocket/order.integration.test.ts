/**
 * The frames of one connection: handled in order, room by room, and no room waits for another.
 */
import { assert, describe, it } from "@effect/vitest"
import { Ref, RoomApi, Rooms } from "effect-rooms"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { connect, eventually } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

class Table extends Ref.Entity<Table>()("Table") {}
const TableApi = RoomApi.make("table", { key: Table, events: { move: Schema.Int }, member: Schema.Undefined })
class Tables extends Rooms.Service<Tables>()("test/Tables", TableApi, { mailboxCapacity: 10 }) {}

/** Tables of which one is stuck until the test lets go, and what their handlers have been told. */
const open = async () => {
  const gate = Deferred.makeUnsafe<void>()
  const told: Array<string> = []
  const Live = WebSocketRoute.layer(
    WebSocketRoute.make("/tables", {
      incoming: Schema.Struct({ table: Table.ref.schema, move: Schema.Int }),
      outgoing: Schema.String
    }),
    Effect.fnUntraced(function* ({ messages, send }) {
      const tables = yield* Tables
      for (const name of ["stuck", "free"]) yield* tables.get(Table.ref.make(name)).join(undefined)
      yield* Stream.runForEach(messages.stream, ({ move, table }) =>
        Effect.match(tables.get(table).publish("move", move), {
          onSuccess: () => void send(`${table.identifier} ${move}`),
          onFailure: ({ reason }) => void send(`${table.identifier} ${move} ${reason._tag}`)
        })
      )
    })
  )
  const services = Tables.toLayer((room) =>
    Effect.succeed({
      onMessage: ({ message: { data } }) =>
        Effect.andThen(
          room.name === "stuck" ? Deferred.await(gate) : Effect.void,
          Effect.sync(() => void told.push(`${room.name} ${data}`))
        )
    })
  )
  const server = await startServer({ routes: Live, services })
  const client = await connect(server.url("/tables"))
  return {
    client,
    told,
    letGo: () => Deferred.doneUnsafe(gate, Effect.void),
    move: (table: string, move: number) => client.send({ table, move }),
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    }
  }
}

describe("messages of one connection", () => {
  it("to a room whose handler is stuck do not hold up those to its other rooms, and are handled in order later", async () => {
    await using tables = await open()
    for (let move = 1; move <= 3; move++) {
      tables.move("stuck", move)
      tables.move("free", move)
    }
    assert.deepStrictEqual(await tables.client.take(6), ["stuck 1", "free 1", "stuck 2", "free 2", "stuck 3", "free 3"])
    await eventually(() => tables.told.length === 3)
    assert.deepStrictEqual(tables.told, ["free 1", "free 2", "free 3"])
    tables.letGo()
    await eventually(() => tables.told.length === 6)
    assert.deepStrictEqual(tables.told.slice(3), ["stuck 1", "stuck 2", "stuck 3"])
  })

  it("to a room that is stuck and full are refused, and its other rooms go on", async () => {
    await using tables = await open()
    for (let move = 1; move <= 20; move++) tables.move("stuck", move)
    tables.move("free", 1)
    const answers = await tables.client.take(21)
    assert.strictEqual(answers[20], "free 1")
    assert.strictEqual(answers[19], "stuck 20 RoomBusy")
    await eventually(() => tables.told.length === 1)
    assert.deepStrictEqual(tables.told, ["free 1"])
    tables.letGo()
    const accepted = answers.filter((answer) => !String(answer).endsWith("RoomBusy"))
    await eventually(() => tables.told.length === accepted.length)
    assert.deepStrictEqual(tables.told.slice(1), accepted.slice(0, -1))
  })

  it("are all handled in the order in which they were sent, however many come at once", async () => {
    await using tables = await open()
    const moves = Array.from({ length: 1000 }, (_, move) => move)
    for (const move of moves) tables.move("free", move)
    const answers = await tables.client.take(1000)
    const order = answers.map((answer) => Number(String(answer).split(" ")[1]))
    assert.deepStrictEqual(order, moves)
    const accepted = answers.filter((answer) => !String(answer).endsWith("RoomBusy"))
    await eventually(() => tables.told.length === accepted.length)
    assert.deepStrictEqual(tables.told, accepted)
  })
})
