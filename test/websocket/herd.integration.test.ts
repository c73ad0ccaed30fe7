/**
 * Many who connect: what an accept costs does not depend on how many are there. Counted, not timed: every element that
 * any iteration, copy or search in this process looks at while clients come.
 */
import { assert, describe, it } from "@effect/vitest"
import { Ref, RoomApi, Rooms } from "effect-rooms"
import { WebSocketRoute } from "effect-rooms/websocket"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Duplex, duplexPair } from "node:stream"
import { eventually, frame, handshake } from "../support/wsClient.ts"
import { startServer, type TestServer } from "../support/wsServer.ts"

class Place extends Ref.Entity<Place>()("Place") {}
class User extends Ref.Entity<User>()("User") {}
const PlaceApi = RoomApi.make("place", { key: Place, events: { said: Schema.String }, member: Schema.Undefined })
class Places extends Rooms.Service<Places>()("test/Places", PlaceApi) {}
const hall = Place.ref`hall`

/** Everybody joins the same room, and gets back what they say. */
const HerdLive = WebSocketRoute.layer(
  WebSocketRoute.make("/herd", {
    incoming: Schema.String,
    outgoing: Schema.Union([Schema.String, Schema.Struct({ event: Schema.String, data: Schema.String })]),
    authenticate: () => Effect.succeed(User.ref`shepherd`),
    user: (user) => user
  }),
  Effect.fnUntraced(function* ({ join, messages, send }) {
    yield* join((yield* Places).get(hall), undefined)
    yield* Stream.runForEach(messages.stream, (text) => Effect.sync(() => send(text)))
  })
)

/** The prototypes by which one gets at many elements, with the methods that look at all or most of them. */
const iterators: ReadonlyArray<Record<string, unknown>> = [new Map(), new Set(), []].map((collection) =>
  Object.getPrototypeOf(collection[Symbol.iterator]())
)
const searches = [
  "concat",
  "filter",
  "find",
  "findIndex",
  "forEach",
  "includes",
  "indexOf",
  "map",
  "reduce",
  "slice",
  "some"
]

/** Counts the elements that are looked at while something runs. */
const counting = async (run: () => Promise<void>): Promise<number> => {
  let looked = 0
  const undo: Array<() => void> = []
  const wrap = (target: Record<string, unknown>, name: string, cost: (self: never) => number) => {
    const original = target[name] as (...args: Array<unknown>) => unknown
    target[name] = function (this: never, ...args: Array<unknown>) {
      looked += cost(this)
      return original.apply(this, args)
    }
    undo.push(() => void (target[name] = original))
  }
  for (const iterator of iterators) wrap(iterator, "next", () => 1)
  const collections = [Map.prototype, Set.prototype] as unknown as ReadonlyArray<Record<string, unknown>>
  for (const prototype of collections) wrap(prototype, "forEach", (self: { readonly size: number }) => self.size)
  const array = Array.prototype as unknown as Record<string, unknown>
  for (const name of searches) wrap(array, name, (self: { readonly length: number }) => self.length)
  try {
    await run()
  } finally {
    for (const restore of undo) restore()
  }
  return looked
}

/**
 * Connects over a stream of this process, which takes no descriptor; done when the handler has answered. What it returns
 * is the server's end, which is destroyed with the connection.
 */
const enter = async (server: TestServer<Places>): Promise<Duplex> => {
  const [client, serverSide] = duplexPair()
  let received = ""
  client.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")))
  server.node.emit("connection", serverSide)
  client.write(handshake("/herd"))
  client.write(frame('"baa"'))
  await eventually(() => received.endsWith('"baa"'))
  return serverSide
}

describe("TRAP4: ten thousand who come", () => {
  it("and go cost the last what they cost the first", { timeout: 60_000 }, async () => {
    await using server = await startServer({ routes: HerdLive, services: Places.layer, testClock: true })
    const members = () => server.run(Effect.flatMap(Places, (places) => places.get(hall).size))
    const herd: Array<Duplex> = []
    const come = (count: number) => async () => {
      for (let n = 0; n < count; n++) herd.push(await enter(server))
    }
    const go = (count: number) => async () => {
      const left = server.metric("effect_rooms_connections") - count
      for (const socket of herd.splice(-count)) socket.destroy()
      await eventually(() => server.metric("effect_rooms_connections") === left)
    }
    const first = await counting(come(500))
    await come(9000)()
    const last = await counting(come(500))
    assert.strictEqual(await members(), 10_000)
    const lastGone = await counting(go(500))
    await go(9000)()
    const firstGone = await counting(go(500))
    assert.strictEqual(await members(), 0)
    // The room's members are a tree, which is one level deeper; one look at everybody would make it fifty times as much.
    assert.isAtMost(last, 2 * first)
    assert.isAtMost(lastGone, 2 * firstGone)
  })
})
