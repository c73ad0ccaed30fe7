import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Connection } from "effect-rooms"
import { Connections, type RoomsServer, WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { HttpRouter, HttpServerResponse } from "effect/http"
import * as Layer from "effect/Layer"
import { type Way, ways } from "../support/ways.ts"
import { connect } from "../support/wsClient.ts"
import { startServer } from "../support/wsServer.ts"

const News = WebSocketRoute.make("/news", {
  incoming: Schema.String,
  outgoing: Schema.Struct({
    id: Schema.optionalKey(Schema.String),
    news: Schema.optionalKey(Schema.DateTimeUtcFromMillis)
  })
})
const Other = WebSocketRoute.make("/other", { incoming: Schema.String, outgoing: Schema.String })

/** Says its id, then listens until told to end. */
const NewsLive = WebSocketRoute.layer(News, ({ connection, messages, send }) =>
  Effect.andThen(
    Effect.sync(() => send({ id: connection.id })),
    Stream.runForEach(
      Stream.takeUntil(messages.stream, (text) => text === "end"),
      () => Effect.void
    )
  )
)
const OtherLive = WebSocketRoute.layer(Other, ({ messages }) => Stream.runDrain(messages.stream))

/** Runs what a test wants to know with the services of the server, in answer to a request. */
const asked: { question: Effect.Effect<unknown, never, RoomsServer.RoomsServer> } = { question: Effect.void }
const AskLive = HttpRouter.add(
  "GET",
  "/ask",
  Effect.map(
    Effect.suspend(() => asked.question),
    () => HttpServerResponse.empty()
  )
)
const routes = Layer.mergeAll(NewsLive, OtherLive, AskLive)

const start = async (way: Way) => {
  const server = await startServer({ routes, server: way.server })
  const ask = async <A>(question: Effect.Effect<A, never, RoomsServer.RoomsServer>): Promise<A> => {
    const answers: Array<A> = []
    asked.question = Effect.map(question, (answer) => void answers.push(answer))
    const response = await fetch(`http://127.0.0.1:${server.port}/ask`)
    assert.strictEqual(response.status, 204)
    return answers[0]!
  }
  const reader = async () => {
    const client = await connect(server.url("/news"), way.client)
    const { id } = (await client.next()) as { readonly id: string }
    return { client, id, [Symbol.dispose]: () => client[Symbol.dispose]() }
  }
  return { ask, reader, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const of = Connections.of(News)
const news = (millis: number) => ({ news: Schema.decodeSync(Schema.DateTimeUtcFromMillis)(millis) })

describe.each(ways)("M4, M5: the connections of a route, $way", (way) => {
  it("are listed in the order in which they came, those of other routes apart", async () => {
    await using place = await start(way)
    using first = await place.reader()
    using second = await place.reader()
    using _other = await connect(place.server.url("/other"), way.client)
    const present = await place.ask(Effect.flatMap(of, ({ all }) => all))
    assert.deepStrictEqual(
      present.map(({ id }) => id),
      [first.id, second.id]
    )
    assert.strictEqual(await place.ask(Effect.flatMap(of, ({ size }) => size)), 2)
  })

  it("are found by their id, and not once they are closed", async () => {
    await using place = await start(way)
    using reader = await place.reader()
    const find = Effect.flatMap(of, ({ get }) => get(reader.id))
    assert.strictEqual(Option.getOrThrow(await place.ask(find)).id, reader.id)
    reader.client.send("end")
    await reader.client.closed
    assert.isTrue(Option.isNone(await place.ask(find)))
    assert.strictEqual(await place.ask(Effect.flatMap(of, ({ broadcast }) => broadcast(news(1)))), 0)
    assert.isTrue(Option.isNone(await place.ask(Effect.flatMap(of, ({ get }) => get("__proto__")))))
  })

  it("are sent to one by one, or all but some, in the types of the route", async () => {
    await using place = await start(way)
    using first = await place.reader()
    using second = await place.reader()
    const sent = place.ask(Effect.flatMap(of, ({ toConnection }) => toConnection(second.id, news(1))))
    assert.isTrue(await sent)
    assert.deepStrictEqual(await second.client.next(), { news: 1 })
    assert.isFalse(await place.ask(Effect.flatMap(of, ({ toConnection }) => toConnection("nobody", news(2)))))
    const except = { except: { id: first.id } }
    assert.strictEqual(await place.ask(Effect.flatMap(of, ({ broadcast }) => broadcast(news(3), except))), 1)
    assert.strictEqual(await place.ask(Effect.flatMap(of, ({ broadcast }) => broadcast(news(4)))), 2)
    assert.deepStrictEqual(await first.client.next(), { news: 4 })
    assert.deepStrictEqual(await second.client.take(2), [{ news: 3 }, { news: 4 }])
  })

  it("are closed from outside with a code after which they do not come back", async () => {
    await using place = await start(way)
    using reader = await place.reader()
    const kick = Effect.flatMap(of, ({ disconnect }) => disconnect(reader.id))
    assert.isTrue(await place.ask(kick))
    assert.strictEqual((await reader.client.closed).code, 4504)
    assert.isFalse(await place.ask(kick))
  })

  it("have the types of their route", () => {
    type Here = Effect.Success<typeof of>
    expectTypeOf<Effect.Success<Here["all"]>>().toEqualTypeOf<
      ReadonlyArray<Connection.Connection<undefined, undefined>>
    >()
    // @ts-expect-error the route does not send strings
    const wrong = (here: Here) => here.toConnection("id", "text")
    assert.isFunction(wrong)
  })
})
