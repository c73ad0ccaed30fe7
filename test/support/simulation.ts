/**
 * What a simulated cluster is asked to do, and what has to hold of it: channels and entries over nodes that crash, freeze
 * and part.
 */
import { Channels, Ref } from "effect-rooms"
import { Cluster, EventBus } from "effect-rooms/cluster"
import type { TestCluster } from "effect-rooms/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Boards, Entries } from "./boards.ts"
import { Ledger, type Reader } from "./ledger.ts"

class Room extends Ref.Entity<Room>()("Room") {}
/** Names so long that a bus does not take what is made of them and of a long key. */
const chatName = `simulation/chat/${"-".repeat(48)}`
const message = Schema.Struct({ by: Schema.String, key: Schema.String, n: Schema.Int, padding: Schema.String })
class Chat extends Channels.Service<Chat>()("simulation/Chat", { key: Room, message, name: chatName }) {}
/** A second channel with the same keys, so that channels that mix are seen. */
class Other extends Channels.Service<Other>()("simulation/Other", { key: Room, message }) {}
/** This life of a node. */
class Life extends Context.Service<Life, { readonly by: string }>()("simulation/Life") {}

export type Services = Chat | Other | Life | Entries

interface Listening {
  readonly reader: Reader
  readonly node: TestCluster.Node<Services | Cluster.Cluster>
  readonly starts: number
  readonly scope: Scope.Closeable
}

/** Everything a run has to show for itself. */
export class State {
  readonly ledger = new Ledger()
  readonly boards = new Boards((problem) => this.ledger.found(problem))
  readonly listening: Array<Listening> = []
  readonly lives: Array<{ readonly by: string; readonly node: string }> = []
  values = 0

  begin(node: string): string {
    const by = `${node}${this.lives.filter((life) => life.node === node).length + 1}`
    this.lives.push({ by, node })
    return by
  }
}

const namespace = "simulation"
/** Small packets, so that a turn may need several. */
export const maxPayload = 4_096

/** Two of them only differ after a bus has stopped looking. */
const long = "long".repeat(31)
export const keys = ["red", "blue", `${long}1`, `${long}2`]

const isMessages = (topic: string) => topic.startsWith(`${namespace}/key/`) || topic.startsWith(`${namespace}/long/`)

/** Counts what goes over the bus of a node. */
const counted = (ledger: Ledger, by: string) =>
  Layer.effect(
    EventBus.EventBus,
    Effect.map(EventBus.EventBus, (bus) => ({
      ...bus,
      publish: (topic: string, payload: string) => {
        if (isMessages(topic)) {
          const [, , ...lines] = payload.split("\n")
          ledger.sent.set(by, (ledger.sent.get(by) ?? 0) + lines.length)
          for (const line of lines) {
            const body = JSON.parse(line.slice(line.indexOf("\t") + 1)) as { readonly by: string }
            if (body.by !== by) ledger.found(`${by} has published what comes from ${body.by} (I4)`)
          }
        }
        return bus.publish(topic, payload)
      }
    }))
  )

/** A node, with the name of another where there are twins. */
export const layerOf = (node: string, state: State, twins: boolean) =>
  Layer.unwrap(
    Effect.sync(() => {
      const by = state.begin(node)
      const name = twins && node === "b" ? "a" : node
      const cluster = Cluster.layer({ namespace, node: name }).pipe(Layer.provide(counted(state.ledger, by)))
      return Layer.mergeAll(Chat.layer, Other.layer, state.boards.layer(by), Layer.succeed(Life, { by })).pipe(
        Layer.provideMerge(cluster)
      )
    })
  )

type Draw = () => number
const pick = <A>(draw: Draw, some: ReadonlyArray<A>): A => some[Math.floor(draw() * some.length)]!
const channelOf = (name: string) => (name === "other" ? Other : Chat)
const channels = ["chat", "chat", "chat", "other"]
const place = (draw: Draw) => ({ channel: pick(draw, channels), key: Math.min(Math.floor(draw() * 6), 5) })
type Place = ReturnType<typeof place>
const keyOf = ({ key }: Place) => keys[key < 2 ? 0 : key - 2]!
const nameOf = (where: Place) => `${where.channel} ${where.key < 2 ? 0 : where.key - 2}`

const subscribe = Effect.fnUntraced(function* (
  state: State,
  node: Listening["node"],
  where: Place
) {
  const { ledger } = state
  const { by } = yield* Life
  const channel = yield* channelOf(where.channel)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const reader = ledger.subscribe(by, nameOf(where))
  const subscription = yield* Scope.provide(channel.subscribe(Room.ref.make(keyOf(where))), scope)
  reader.id = subscription.id
  reader.liveAt = ledger.moment
  state.listening.push({ reader, node, starts: node.starts, scope })
  const read = Effect.flatMap(subscription.envelopes.take, (item) => Effect.sync(() => ledger.hear(reader, item)))
  yield* Effect.forkIn(Effect.ignore(Effect.forever(read)), scope, { startImmediately: true })
})

const isOn = ({ node, starts }: Listening) => node.status === "up" && node.starts === starts

export const isOpen = (listening: Listening) => isOn(listening) && listening.reader.endBeganAt === undefined

const unsubscribe = Effect.fnUntraced(function* ({ ledger, listening }: State, node: Listening["node"], which: number) {
  const open = listening.filter((one) => one.node === node && isOpen(one))
  const one = open[Math.floor(which * open.length)]
  if (one === undefined) return
  one.reader.endBeganAt = ledger.moment
  yield* Scope.close(one.scope, Exit.void)
  one.reader.endedAt = ledger.moment
})

interface Publishing extends Place {
  readonly count: number
  readonly padding: number
  readonly except: number
  readonly ack: boolean
}

const publish = Effect.fnUntraced(function* ({ ledger, listening }: State, args: Publishing) {
  const { by } = yield* Life
  const channel = yield* channelOf(args.channel)
  const readers = listening.filter(isOpen)
  const left = args.except < 1 ? readers[Math.floor(args.except * readers.length)] : undefined
  const except = left === undefined ? [] : [{ id: left.reader.id }]
  for (let count = 0; count < args.count; count++) {
    const sent = ledger.publish(by, nameOf(args), "x".repeat(args.padding), except.map(({ id }) => id))
    const ref = Room.ref.make(keyOf(args))
    if (args.ack) yield* channel.publishAck(ref, sent, { except })
    else yield* channel.publish(ref, sent, { except })
  }
})

/** The acts of a schedule. */
const acts: TestCluster.Spec<Services, State>["acts"] = {
  subscribe: {
    weight: 4,
    args: place,
    run: ({ args, node, state }) => subscribe(state, node, args as Place)
  },
  unsubscribe: {
    weight: 2,
    args: (draw) => draw(),
    run: ({ args, node, state }) => unsubscribe(state, node, args as number)
  },
  publish: {
    weight: 12,
    args: (draw) => ({
      ...place(draw),
      count: pick(draw, [1, 1, 1, 2, 5]),
      padding: pick(draw, [0, 0, 0, 0, 900]),
      except: draw() * 8,
      ack: draw() < 0.2
    }),
    run: ({ args, state }) => publish(state, args as unknown as Publishing)
  },
  set: {
    weight: 3,
    args: (draw) => ({ key: pick(draw, ["1", "2", "3", "4", "5"]), padding: pick(draw, [0, 0, 0, 800]) }),
    run: ({ args, state }) =>
      Effect.gen(function* () {
        const { key, padding } = args as { readonly key: string; readonly padding: number }
        const board = yield* Entries
        const value = `${++state.values} ${"x".repeat(padding)}`
        board.own.set(key, value)
        board.table.set(key, value)
      })
  },
  unset: {
    weight: 1,
    args: (draw) => pick(draw, ["1", "2"]),
    run: ({ args }) =>
      Effect.gen(function* () {
        const board = yield* Entries
        if (!board.own.delete(args as string)) return
        board.unset.add(args as string)
        board.table.delete(args as string)
      })
  }
}

const onAll = Effect.fnUntraced(function* (
  { cluster }: Run,
  look: (node: Listening["node"]) => Effect.Effect<void>
) {
  for (const node of cluster.nodes) if (node.status === "up") yield* look(node)
})

type Run = TestCluster.Run<Services, State>

const livingOn = ({ lives }: State, node: string) => lives.findLast((life) => life.node === node)!.by

/** I7: a node hears what it has readers for, and no more. */
const checkKeys = (run: Run) =>
  onAll(run, (node) =>
    Effect.flatMap(node.fork(Effect.flatMap(Cluster.Cluster, ({ links }) => links)), (fiber) =>
      Effect.sync(() => {
        const { ledger } = run.state
        const by = livingOn(run.state, node.name)
        const readers = ledger.readers.filter((reader) => reader.by === by && reader.endedAt === undefined)
        const some = new Set(readers.filter(({ liveAt }) => liveAt !== undefined).map(({ key }) => key)).size
        const most = new Set(readers.map(({ key }) => key)).size
        const exit = fiber.pollUnsafe()
        const keys = exit !== undefined && Exit.isSuccess(exit) ? exit.value.keys : -1
        if (keys < some || keys > most) ledger.found(`${by} hears ${keys} keys, and has readers of ${some} to ${most} (I7)`)
      })
    )
  )

const tell = ({ state }: Run) =>
  state.ledger.problem === undefined ? Effect.void : Effect.fail(new Error(state.ledger.problem))

const always = Effect.fnUntraced(function* (run: Run) {
  const { ledger, lives } = run.state
  const up = run.cluster.nodes.filter(({ status }) => status === "up").map((node) => livingOn(run.state, node.name))
  ledger.checkBus(
    lives.map(({ by }) => by),
    (by) => up.includes(by)
  )
  yield* checkKeys(run)
  yield* tell(run)
})

/** Timers a node may have that does nothing: its bus, its heartbeats, its tails. */
const idleTimers = 6

/** Everybody unsubscribes: nothing is left behind (I7). */
const checkIdle = Effect.fnUntraced(function* (run: Run) {
  const { cluster, state } = run
  for (const listening of state.listening.filter(isOpen)) {
    listening.reader.endBeganAt = state.ledger.moment
    yield* listening.node.run(Scope.close(listening.scope, Exit.void))
    listening.reader.endedAt = state.ledger.moment
  }
  yield* cluster.pass("4 seconds")
  yield* checkKeys(run)
  yield* onAll(run, (node) =>
    Effect.gen(function* () {
      const topics = yield* cluster.network.subscribed(node.name)
      if (topics.length !== 2) state.ledger.found(`${node.name} is idle and subscribes to ${topics.join(", ")} (I7)`)
      if (node.timers > idleTimers) state.ledger.found(`${node.name} is idle and waits for ${node.timers} timers (I7)`)
      const sizes = yield* node.run(Effect.all([Effect.flatMap(Chat, ({ size }) => size), Effect.flatMap(Other, ({ size }) => size)]))
      if (sizes.some((size) => size > 0)) state.ledger.found(`${node.name} is idle and holds keys (I7)`)
    })
  )
})

const atRest = Effect.fnUntraced(function* (run: Run) {
  const { cluster, faults, state } = run
  const present: Array<{ readonly by: string; readonly epoch: string }> = []
  yield* onAll(run, (node) =>
    Effect.map(
      node.run(Effect.all([Effect.map(Life, ({ by }) => by), Effect.flatMap(Cluster.Cluster, ({ epoch }) => epoch)])),
      ([by, epoch]) => void present.push({ by, epoch })
    )
  )
  state.boards.check(present)
  const open = new Set(state.listening.filter(isOpen).map(({ reader }) => reader))
  state.ledger.checkLosses((reader) => open.has(reader), faults.some((fault) => !fault.includes("jump")))
  yield* tell(run)
  yield* checkIdle(run)
  const { inFlight, overflows } = yield* cluster.network.counts
  if (overflows > 0) state.ledger.found(`the network was full ${overflows} times (I10)`)
  if (inFlight > 20) state.ledger.found(`${inFlight} messages are under way at rest (I10)`)
  yield* tell(run)
})

/** Channels and entries over nodes; where there are `twins`, two nodes have one name. */
export const channelsSpec = (twins = false): TestCluster.Spec<Services, State> => ({
  nodes: { min: 2, max: 5 },
  state: () => new State(),
  layer: (node, state) => layerOf(node, state, twins),
  network: { maxPayload, latency: { min: 1, max: 8 }, answer: { min: 0, max: 3 } },
  acts,
  always,
  atRest
})
