/**
 * A bridge between nodes written by hand: what is published to a room on one node is delivered on the others.
 *
 * `Cluster.layer` does this for every channel, and counts what gets lost on the way. This is how to do it, or part of it,
 * in one's own words.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Context, Effect, Layer, Schema } from "effect"
import { Channels, Ref } from "effect-rooms"
import { EventBus, MemoryBus } from "effect-rooms/cluster"

export class Room extends Ref.Entity<Room>()("Room") {}

const Line = Schema.Struct({ username: Schema.String, content: Schema.String })
const Visitor = Schema.Struct({ room: Room.ref.schema, username: Schema.String })

/** What nodes tell each other. */
export class Events extends EventBus.Service<Events>()("bridge/Events", {
  "room.message": Schema.Struct({
    key: Schema.String,
    id: Schema.String,
    except: Schema.Array(Schema.String),
    message: Line
  }),
  "room.join": Visitor,
  "room.leave": Visitor
}) {}

const prefix = "room:"

/** The hook is given the raw key, and runs after local delivery: a bus that fails costs local readers nothing. */
export class Chat extends Channels.Service<Chat>()("bridge/Chat", {
  key: Room,
  message: Line,
  prefix,
  onPublish: ({ except, id, key, message }) =>
    Effect.flatMap(Events, (events) => events.emit("room.message", { key, id, except, message }))
}) {}

const toRef = Schema.decodeUnknownEffect(Room.ref.schema)

/** `deliverRemote` does not run the hook, so nothing comes back. */
const Bridge = Layer.effectDiscard(
  Effect.gen(function* () {
    const chat = yield* Chat
    const events = yield* Events
    const messages = yield* events.on("room.message")
    const deliver = messages.runForEach(({ except, id, key, message }) =>
      toRef(key.slice(prefix.length)).pipe(
        Effect.flatMap((room) => chat.deliverRemote(room, message, { id, except })),
        Effect.catchTag("SchemaError", (error) => Effect.logWarning(`a message has a key of no room: ${error.message}`))
      )
    )
    yield* Effect.forkScoped(deliver)
  })
)

/** Everything a node needs, over whatever bus. */
export const startNode = (bus: Layer.Layer<EventBus.EventBus>) =>
  Layer.build(
    Layer.fresh(Bridge.pipe(Layer.provideMerge(Chat.layer), Layer.provideMerge(Events.layer), Layer.provide(bus)))
  )

/** A visitor is in the room until the scope closes; the other nodes are told. */
export const visit = (events: Events["Service"], room: Ref.Ref<Room>, username: string) =>
  Effect.acquireRelease(events.emit("room.join", { room, username }), () =>
    Effect.ignore(events.emit("room.leave", { room, username }), { log: "Warn" })
  )

/** Two nodes in one process. */
const program = Effect.gen(function* () {
  const network = yield* MemoryBus.make()
  const [a, b] = yield* Effect.all([startNode(network.layer("a")), startNode(network.layer("b"))])
  const joins = yield* Context.get(b, Events).on("room.join")
  const lines = yield* Context.get(b, Chat).subscribe(Room.ref`general`)

  yield* visit(Context.get(a, Events), Room.ref`general`, "Ann")
  yield* Context.get(a, Chat).publish(Room.ref`general`, { username: "Ann", content: "hello from the other node" })

  const { username } = yield* joins.take
  const { content } = yield* lines.take
  yield* Effect.log(`${username} joined and said: ${content}`)
})

if (import.meta.main) NodeRuntime.runMain(Effect.scoped(program))
