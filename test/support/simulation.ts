/**
 * What a simulated cluster is asked to do, and what has to hold of it: channels and entries over nodes that crash, freeze
 * and part.
 */
import { Channels, Ref } from "effect-rooms"
import { Cluster, EventBus } from "effect-rooms/cluster"
import type { TestCluster } from "effect-rooms/testing"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Boards, Entries } from "./boards.ts"
import { Ledger, type Message, type Reader } from "./ledger.ts"

class Room extends Ref.Entity<Room>()("Room") {}
/** Names so long that a bus does not take what is made of them and of a long key. */
const chatName = `simulation/chat/${"-".repeat(48)}`
const message = Schema.Struct({ by: Schema.String, key: Schema.String, n: Schema.Int, padding: Schema.String })
class Chat extends Channels.Service<Chat>()("simulation/Chat", { key: Room, message, name: chatName }) {}
/** A second channel with the same keys, so that channels that mix are seen. */
class Other extends Channels.Service<Other>()("simulation/Other", { key: Room, message }) {}
/** This life of a node. */
export class Life extends Context.Service<Life, { readonly by: string }>()("simulation/Life") {}

export type Services = Chat | Other | Life | Entries

interface Listening {
  readonly reader: Reader
  readonly node: TestCluster.Node<Services | Cluster.Cluster>
  readonly starts: number
  readonly scope: Scope.Closeable
}

interface ALife {
  readonly by: string
  readonly node: string
  /** When it was found to have ended, in virtual milliseconds. */
  endedAt: number | undefined
}

/** Everything a run has to show for itself. */
export class State {
  readonly ledger = new Ledger()
  readonly boards = new Boards((problem) => this.ledger.found(problem))
  readonly listening: Array<Listening> = []
  readonly lives: Array<ALife> = []
  values = 0

  begin(node: string): string {
    const by = `${node}${this.lives.filter((life) => life.node === node).length + 1}`
    this.lives.push({ by, node, endedAt: undefined })
    return by
  }
}

const namespace = "simulation"
/** Small packets, so that a turn may need several. */
export const maxPayload = 4_096

/** Two of them only differ after a bus has stopped looking. */
const long = "long".repeat(31)
export const keys = ["red", "blue", `${long}1`, `${long}2`]

/** Looks at what goes over the bus of a node. */
const watched = (ledger: Ledger, by: string) =>
  Layer.effect(
    EventBus.EventBus,
    Effect.map(EventBus.EventBus, (bus) => ({
      ...bus,
      publish: (topic: string, payload: string) => {
        const messages = payload.split("\n").flatMap((line) => {
          const body = line.slice(line.indexOf("\t") + 1)
          return body.startsWith('{"by":') ? [JSON.parse(body) as Message] : []
        })
        for (const sent of messages) ledger.cross(by, sent)
        return Effect.tap(bus.publish(topic, payload), () =>
          Effect.sync(() => messages.forEach((sent) => ledger.took(sent)))
        )
      }
    }))
  )

/** A node, with the name of another where there are twins. */
export const layerOf = (node: string, state: State, twins: boolean) =>
  Layer.unwrap(
    Effect.sync(() => {
      const by = state.begin(node)
      const name = twins && node === "b" ? "a" : node
      const cluster = Cluster.layer({ namespace, node: name }).pipe(Layer.provide(watched(state.ledger, by)))
      return Layer.mergeAll(Chat.layer, Other.layer, state.boards.layer(by), Layer.succeed(Life, { by })).pipe(
        Layer.provideMerge(cluster)
      )
    })
  )

type Draw = () => number
export const pick = <A>(draw: Draw, some: ReadonlyArray<A>): A => some[Math.floor(draw() * some.length)]!
const channelOf = (name: string) => (name === "other" ? Other : Chat)
const channels = ["chat", "chat", "chat", "other"]
const place = (draw: Draw) => ({ channel: pick(draw, channels), key: Math.min(Math.floor(draw() * 6), 5) })
type Place = ReturnType<typeof place>
const keyOf = ({ key }: Place) => keys[key < 2 ? 0 : key - 2]!
const nameOf = (where: Place) => `${where.channel} ${where.key < 2 ? 0 : where.key - 2}`

const subscribe = Effect.fnUntraced(function* (state: State, node: Listening["node"], where: Place) {
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

/** Subscribes, and thinks better of it before that is done. */
const glance = Effect.fnUntraced(function* ({ ledger }: State, where: Place & { readonly millis: number }) {
  const { by } = yield* Life
  const channel = yield* channelOf(where.channel)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const reader = ledger.subscribe(by, nameOf(where))
  const subscribed = Scope.provide(channel.subscribe(Room.ref.make(keyOf(where))), scope)
  yield* Effect.timeoutOption(subscribed, where.millis)
  reader.endBeganAt = ledger.moment
  yield* Scope.close(scope, Exit.void)
  reader.endedAt = ledger.moment
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
  const reader = args.except < 1 ? readers[Math.floor(args.except * readers.length)] : undefined
  const except = reader === undefined ? [] : [{ id: reader.reader.id }]
  for (let count = 0; count < args.count; count++) {
    const time = Number(yield* Clock.monotonicTimeNanos) / 1_000_000
    const left = except.map(({ id }) => id)
    const sent = ledger.publish(by, nameOf(args), "x".repeat(args.padding), left, time)
    const ref = Room.ref.make(keyOf(args))
    if (args.ack) {
      const { reached } = yield* channel.publishAck(ref, sent, { except })
      if (reached === "everyone") ledger.acknowledge(sent)
    } else yield* channel.publish(ref, sent, { except })
  }
})

/** The acts of a schedule. */
const acts: TestCluster.Spec<Services, State>["acts"] = {
  subscribe: (draw) => {
    const where = place(draw)
    return { shown: where, run: ({ node, state }) => subscribe(state, node, where) }
  },
  unsubscribe: (draw) => {
    const which = draw()
    return { shown: which, run: ({ node, state }) => unsubscribe(state, node, which) }
  },
  glance: (draw) => {
    const where = { ...place(draw), millis: Math.floor(draw() * 8) }
    return { shown: where, run: ({ state }) => glance(state, where) }
  },
  publish: (draw) => {
    const publishing = {
      ...place(draw),
      count: pick(draw, [1, 1, 1, 2, 5]),
      padding: pick(draw, [0, 0, 0, 0, 900]),
      except: draw() * 8,
      ack: draw() < 0.2
    }
    return { shown: publishing, run: ({ state }) => publish(state, publishing) }
  },
  set: (draw) => {
    const entry = { key: pick(draw, ["1", "2", "3", "4", "5"]), padding: pick(draw, [0, 0, 0, 800]) }
    return {
      shown: entry,
      run: ({ state }) =>
        Effect.map(Entries, (board) => {
          const value = `${++state.values} ${"x".repeat(entry.padding)}`
          board.own.set(entry.key, value)
          board.table.set(entry.key, value)
        })
    }
  },
  unset: (draw) => {
    const key = pick(draw, ["1", "2"])
    return {
      shown: key,
      run: () =>
        Effect.map(Entries, (board) => {
          if (!board.own.delete(key)) return
          board.unset.add(key)
          board.table.delete(key)
        })
    }
  }
}

const weights = { subscribe: 4, glance: 1, unsubscribe: 2, publish: 12, set: 3, unset: 1 }

/** Looks at every node that is up, one after the other. */
export const onAll = Effect.fnUntraced(function* <R, E>(
  { nodes }: TestCluster.TestCluster<R>,
  look: (node: TestCluster.Node<R | Cluster.Cluster>) => Effect.Effect<void, E>
) {
  for (const node of nodes) if (node.status === "up") yield* look(node)
})

type Run = TestCluster.Run<Services, State>

const livingOn = ({ lives }: State, node: string) => lives.findLast((life) => life.node === node)!.by

/** I7: a node hears what it has readers for, and no more. */
const checkKeys = (run: Run) =>
  onAll(run.cluster, (node) =>
    Effect.flatMap(node.fork(Effect.flatMap(Cluster.Cluster, ({ links }) => links)), (fiber) =>
      Effect.sync(() => {
        const { ledger } = run.state
        const by = livingOn(run.state, node.name)
        const readers = ledger.readers.filter((reader) => reader.by === by && reader.endedAt === undefined)
        const some = new Set(readers.filter(({ liveAt }) => liveAt !== undefined).map(({ key }) => key)).size
        const most = new Set(readers.map(({ key }) => key)).size
        const exit = fiber.pollUnsafe()
        const hears = exit !== undefined && Exit.isSuccess(exit) ? exit.value.keys : -1
        if (hears < some || hears > most)
          ledger.found(`${by} hears ${hears} keys, and has readers of ${some} to ${most} (I7)`)
      })
    )
  )

const tell = ({ state }: Run) => (state.ledger.problem === undefined ? Effect.void : Effect.fail(state.ledger.problem))

/** Notes which lives have ended. */
const bury = ({ cluster, state }: Run) => {
  for (const life of state.lives) {
    const { starts, status } = cluster.node(life.node)
    const isLast = life.by === `${life.node}${starts}`
    if (!isLast || status === "down") life.endedAt ??= cluster.now
  }
}

/** What nodes do, and the network does not notice. */
const harmless = /s {2}(crash|start|stop|jump) /
/** How long a message is on its way from its node, in milliseconds. */
const onItsWay = 10

/**
 * Whether a message may be lost with its node: it ended while the message was on its way, or after it was lost on the
 * way and before anybody could be told.
 */
const isGone = ({ faults, state }: Run, by: string, time: number) => {
  const { endedAt } = state.lives.find((life) => life.by === by)!
  return endedAt !== undefined && (time > endedAt - onItsWay || faults.some((fault) => !harmless.test(fault)))
}

const always = Effect.fnUntraced(function* (run: Run) {
  bury(run)
  yield* checkKeys(run)
  yield* tell(run)
})

/** After all that was wrong, everything works: what is published now is heard by all, and nothing is missed. */
const checkWorks = Effect.fnUntraced(function* (run: Run) {
  const { cluster, state } = run
  const { ledger } = state
  const readers = state.listening.filter(isOpen).map(({ reader }) => reader)
  const before = readers.map(({ items }) => items.length)
  let published = 0
  yield* onAll(run.cluster, (node) =>
    Effect.forEach(
      channels.slice(2).flatMap((channel) => keys.map((_, key) => ({ channel, key: key + 2 }))),
      (where) => {
        published++
        return node.run(publish(state, { ...where, count: 1, padding: 0, except: 1, ack: false }))
      },
      { discard: true }
    )
  )
  yield* cluster.pass("1 second")
  const nodes = published / (2 * keys.length)
  for (const [index, reader] of readers.entries()) {
    const fresh = reader.items.slice(before[index])
    const heard = fresh.filter(({ _tag }) => _tag === "Message").length
    if (heard !== nodes || heard !== fresh.length) {
      ledger.found(
        `${reader.id} on ${reader.by} (${reader.key}): all is well, and it hears ${heard} of ${nodes} messages`
      )
    }
  }
})

/** Timers a node may have that does nothing: its bus, its heartbeats, its tails. */
export const idleTimers = 6

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
  yield* onAll(run.cluster, (node) =>
    Effect.gen(function* () {
      const topics = (yield* cluster.network.subscribed(node.name)).filter((topic) => /\/(key|long)\//.test(topic))
      if (topics.length > 0) state.ledger.found(`${node.name} is idle and subscribes to ${topics.join(", ")} (I7)`)
      if (node.timers > idleTimers) state.ledger.found(`${node.name} is idle and waits for ${node.timers} timers (I7)`)
      const sizes = yield* node.run(
        Effect.all([Effect.flatMap(Chat, ({ size }) => size), Effect.flatMap(Other, ({ size }) => size)])
      )
      if (sizes.some((size) => size > 0)) state.ledger.found(`${node.name} is idle and holds keys (I7)`)
    })
  )
})

const atRest = Effect.fnUntraced(function* (run: Run) {
  const { cluster, faults, state } = run
  const present: Array<{ readonly by: string; readonly epoch: string }> = []
  yield* onAll(run.cluster, (node) =>
    Effect.map(
      node.run(Effect.all([Effect.map(Life, ({ by }) => by), Effect.flatMap(Cluster.Cluster, ({ epoch }) => epoch)])),
      ([by, epoch]) => void present.push({ by, epoch })
    )
  )
  state.boards.check(present)
  const open = new Set(state.listening.filter(isOpen).map(({ reader }) => reader))
  state.ledger.checkLosses(
    (reader) => open.has(reader),
    (by, time) => isGone(run, by, time),
    faults.some((fault) => !fault.includes("jump"))
  )
  yield* tell(run)
  yield* checkWorks(run)
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
  weights,
  always,
  atRest
})
