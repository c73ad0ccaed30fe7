/**
 * The bridge of examples/bridge.ts on two nodes, over a bus that echoes and over one that does not.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Messages, Ref, Subscription } from "effect-rooms"
import { EventBus, MemoryBus } from "effect-rooms/cluster"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { Chat, Events, Room, startNode, visit } from "../../examples/bridge.ts"
import { inVirtualTime } from "../support/virtual.ts"

const general = Room.ref`general`
const line = (content: string) => ({ username: "Ann", content })

const nodeOn = Effect.fnUntraced(function* (network: MemoryBus.Network, name: string) {
  const context = yield* startNode(network.layer(name))
  return { chat: Context.get(context, Chat), events: Context.get(context, Events) }
})

const twoNodes = Effect.fnUntraced(function* (options: MemoryBus.Options) {
  const network = yield* MemoryBus.make({ latency: 1, ...options })
  return { network, a: yield* nodeOn(network, "a"), b: yield* nodeOn(network, "b") }
})

/** What has come when everything has. */
const all = Effect.fnUntraced(function* <A>(lines: Messages.Messages<A>) {
  const read: Array<A> = []
  yield* Effect.timeoutOption(
    lines.runForEach((item) => Effect.sync(() => read.push(item))),
    100
  )
  return read
})
const texts = (lines: Subscription.Subscription<{ readonly content: string }>) =>
  Effect.map(all(lines), (read) => read.map(({ content }) => content))

const visitors = (
  messages: Messages.Messages<{ readonly room: Ref.Ref<Room>; readonly username: string }>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(all(messages), (read) =>
    read.map(({ room, username }) => `${username} in ${room.entity}(${room.identifier})`)
  )

const inSimulation = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
  inVirtualTime(Effect.scoped(effect)).pipe(Effect.provide(Logger.layer([])), Random.withSeed("bridge"))

describe.each([
  ["a bus that echoes", true],
  ["a silent bus", false]
])("J6: a bridge written by hand, over %s", (_, echo) => {
  it.effect("delivers what one node publishes on the other, once, and sends it over the bus once", () =>
    inSimulation(
      Effect.gen(function* () {
        const { a, b, network } = yield* twoNodes({ echo })
        const [atA, atB] = yield* Effect.all([a.chat.subscribe(general), b.chat.subscribe(general)])
        const other = yield* b.chat.subscribe(Room.ref`other`)
        for (const content of ["one", "two", "two"]) yield* a.chat.publish(general, line(content))
        assert.deepStrictEqual(yield* texts(atA), ["one", "two", "two"])
        assert.deepStrictEqual(yield* texts(atB), ["one", "two", "two"])
        assert.deepStrictEqual(yield* texts(other), [])
        assert.strictEqual(yield* network.published("events:room.message"), 3)
      })
    )
  )

  it.effect("works both ways at the same time without loops", () =>
    inSimulation(
      Effect.gen(function* () {
        const { a, b, network } = yield* twoNodes({ echo })
        const [atA, atB] = yield* Effect.all([a.chat.subscribe(general), b.chat.subscribe(general)])
        yield* a.chat.publish(general, line("from a"))
        yield* b.chat.publish(general, line("from b"))
        assert.deepStrictEqual(yield* texts(atA), ["from a", "from b"])
        assert.deepStrictEqual(yield* texts(atB), ["from b", "from a"])
        assert.strictEqual(yield* network.published("events:room.message"), 2)
      })
    )
  )

  it.effect("takes the id of a publish and who is left out to the other node", () =>
    inSimulation(
      Effect.gen(function* () {
        const { a, b } = yield* twoNodes({ echo })
        const [leftOut, atB] = yield* Effect.all([b.chat.subscribe(general), b.chat.subscribe(general)])
        const { id, reached } = yield* a.chat.publishAck(general, line("hello"), { except: leftOut })
        assert.strictEqual(reached, "everyone")
        const [envelope] = yield* all(atB.envelopes)
        assert.strictEqual(envelope?._tag === "Message" ? envelope.id : undefined, id)
        assert.deepStrictEqual(yield* texts(leftOut), [])
      })
    )
  )

  it.effect("tells who comes and goes to the other nodes, and to a node itself where it asks", () =>
    inSimulation(
      Effect.gen(function* () {
        const { a, b } = yield* twoNodes({ echo })
        const [joinsAtA, ownJoins, joinsAtB, leavesAtB] = yield* Effect.all([
          a.events.on("room.join"),
          a.events.on("room.join", { own: true }),
          b.events.on("room.join"),
          b.events.on("room.leave")
        ])
        const stay = yield* Scope.make()
        yield* Scope.provide(visit(a.events, general, "Ann"), stay)
        const ann = "Ann in Room(general)"
        assert.deepStrictEqual(yield* visitors(joinsAtA), [])
        assert.deepStrictEqual(yield* visitors(ownJoins), [ann])
        assert.deepStrictEqual(yield* visitors(joinsAtB), [ann])
        assert.deepStrictEqual(yield* visitors(leavesAtB), [])
        yield* Scope.close(stay, Exit.void)
        assert.deepStrictEqual(yield* visitors(leavesAtB), [ann])
      })
    )
  )

  it.effect("BUG13: costs local readers nothing when the bus is gone, and goes on when it is back", () =>
    inSimulation(
      Effect.gen(function* () {
        const { a, b, network } = yield* twoNodes({ echo })
        const [atA, atB] = yield* Effect.all([a.chat.subscribe(general), b.chat.subscribe(general)])
        yield* network.crash
        yield* Effect.sleep("1 second")
        const { reached } = yield* a.chat.publishAck(general, line("here"))
        assert.strictEqual(reached, "local-only")
        yield* network.restart
        yield* Effect.sleep("5 seconds")
        yield* a.chat.publish(general, line("everywhere"))
        assert.deepStrictEqual(yield* texts(atA), ["here", "everywhere"])
        assert.deepStrictEqual(yield* texts(atB), ["everywhere"])
      })
    )
  )

  it.effect("survives a key that names no room", () =>
    inSimulation(
      Effect.gen(function* () {
        const { a, b } = yield* twoNodes({ echo })
        const atB = yield* b.chat.subscribe(general)
        const message = { id: "1", except: [], message: line("nowhere") }
        yield* a.events.emit("room.message", { key: "room:__proto__", ...message })
        yield* a.events.emit("room.message", { key: "", ...message })
        yield* a.chat.publish(general, line("hello"))
        assert.deepStrictEqual(yield* texts(atB), ["hello"])
      })
    )
  )
})

it.effect("a service of typed topics has its layer beside it, and works for a node that is alone", () => {
  const layer = Events.layer.pipe(Layer.provide(EventBus.layerNoop))
  return Effect.gen(function* () {
    const events = yield* Events
    const joins = yield* events.on("room.join", { own: true })
    yield* events.emit("room.join", { room: general, username: "Ann" })
    const { room, username } = yield* joins.take
    assert.deepStrictEqual([room, username], [general, "Ann"])
  }).pipe(Effect.scoped, Effect.provide(layer))
})
