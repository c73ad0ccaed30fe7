/**
 * The simulated cluster itself: nodes end and start in the ways they are told to, time passes as it is told to, and what
 * fails is found, made short, and the same each time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Channels, Ref } from "effect-rooms"
import { Cluster } from "effect-rooms/cluster"
import { TestCluster } from "effect-rooms/testing"
import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"

class Room extends Ref.Entity<Room>()("Room") {}
class Chat extends Channels.Service<Chat>()("test/Chat", { key: Room, message: Schema.String }) {}
const red = Room.ref`red`

const layer = (node: string) => Chat.layer.pipe(Layer.provideMerge(Cluster.layer({ namespace: "test", node })))
const make = (seed = 0) => TestCluster.make({ nodes: 2, layer, seed })
type Node = TestCluster.Node<Chat | Cluster.Cluster>

const epochOf = (node: Node) => node.run(Effect.flatMap(Cluster.Cluster, ({ epoch }) => epoch))
const statusesOf = (node: Node) =>
  Effect.map(node.run(Effect.flatMap(Cluster.Cluster, ({ nodes }) => nodes)), (nodes) =>
    nodes.map(({ name, status }) => `${name} ${status}`).toSorted()
  )
const publish = (text: string) => Effect.flatMap(Chat, (chat) => chat.publish(red, text))

/** What two nodes log in two minutes. */
const life = (seed: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const cluster = yield* make(seed)
      yield* cluster.network.set({ loss: 0.3 })
      yield* cluster.pass("1 minute")
      yield* cluster.node("a").crash
      yield* cluster.pass("1 minute")
      return cluster.log
    })
  )

describe("TestCluster.make", () => {
  it.effect("is the same for the same seed, and another for another", () =>
    Effect.gen(function* () {
      const [one, again, other] = [yield* life(1), yield* life(1), yield* life(2)]
      assert.isAbove(one.length, 4)
      assert.deepStrictEqual(one, again)
      assert.notDeepEqual(one, other)
    })
  )

  it.effect("time passes when it is told to, and for what runs on nodes", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const before = cluster.now
      yield* cluster.pass("1 hour")
      assert.strictEqual(cluster.now - before, 3_600_000)
      const slept = yield* cluster.node("a").run(Effect.as(Effect.sleep("10 seconds"), "slept"))
      assert.strictEqual(slept, "slept")
      assert.strictEqual(cluster.now - before, 3_610_000)
    })
  )

  it.effect("a node that crashes says nothing, one that stops says goodbye, and both come back as others", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      const first = yield* epochOf(b!)
      yield* b!.crash
      assert.strictEqual(b!.status, "down")
      yield* cluster.pass("100 millis")
      assert.deepStrictEqual(yield* statusesOf(a!), ["a up", "b up"])
      yield* cluster.pass("10 seconds")
      assert.deepStrictEqual(yield* statusesOf(a!), ["a up", "b down"])
      yield* b!.start
      const second = yield* epochOf(b!)
      assert.notStrictEqual(first, second)
      yield* b!.stop
      yield* cluster.pass("100 millis")
      assert.deepStrictEqual(yield* statusesOf(a!), ["a up", "b down", "b leaving"])
      assert.strictEqual(b!.starts, 2)
    })
  )

  it.effect("finalizers run when a node stops, and not when it crashes", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const ended: Array<string> = []
      for (const { name, run } of cluster.nodes) {
        yield* run(Effect.addFinalizer(() => Effect.sync(() => ended.push(name))))
      }
      yield* cluster.node("a").crash
      yield* cluster.node("b").stop
      yield* cluster.pass("1 minute")
      assert.deepStrictEqual(ended, ["b"])
    })
  )

  it.effect("a frozen node does nothing and hears nothing, and catches up afterwards", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      const lines = yield* b!.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
      const woken: Array<number> = []
      yield* b!.fork(
        Effect.forever(
          Effect.andThen(
            Effect.sleep(1_000),
            Effect.sync(() => woken.push(cluster.now))
          )
        )
      )
      const start = cluster.now
      yield* b!.freeze("5 seconds")
      assert.strictEqual(b!.status, "frozen")
      yield* a!.run(publish("meanwhile"))
      yield* cluster.pass(4_999)
      assert.deepStrictEqual([woken, lines.pending], [[], 0])
      yield* cluster.pass(1)
      assert.deepStrictEqual([woken, lines.pending], [[start + 5_000], 1])
      assert.strictEqual(b!.status, "up")
    })
  )

  it.effect("nodes stop with the scope, also one that is frozen", () =>
    Effect.gen(function* () {
      const ended: Array<string> = []
      const program = Effect.gen(function* () {
        const cluster = yield* make()
        for (const { name, run } of cluster.nodes) {
          yield* run(Effect.addFinalizer(() => Effect.sync(() => ended.push(name))))
        }
        yield* cluster.node("a").freeze("1 hour")
      })
      yield* Effect.scoped(program)
      assert.deepStrictEqual(ended, ["a", "b"])
    })
  )

  it.effect("clocks of the wall are wrong where they are told to be, and monotonic ones are not", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const read = Effect.all([Clock.currentTimeMillis, Clock.monotonicTimeNanos])
      yield* cluster.node("a").jump("-1 hour")
      const [[wallA, timeA], [wallB, timeB]] = [yield* cluster.node("a").run(read), yield* cluster.node("b").run(read)]
      assert.deepStrictEqual([wallB - wallA, timeB - timeA], [3_600_000, 0n])
    })
  )

  it.effect("groups that are split do not hear each other", () =>
    Effect.gen(function* () {
      const cluster = yield* TestCluster.make({ nodes: 3, layer })
      yield* cluster.split(["a", "b"])
      yield* cluster.pass("10 seconds")
      assert.deepStrictEqual(yield* Effect.forEach(cluster.nodes, statusesOf), [
        ["a up", "b up", "c down"],
        ["a up", "b up", "c down"],
        ["a down", "b down", "c up"]
      ])
      yield* cluster.heal
      yield* cluster.settle
      assert.deepStrictEqual(yield* statusesOf(cluster.node("c")), ["a up", "b up", "c up"])
    })
  )

  it.effect("settling fails with what the nodes do not agree on", () =>
    Effect.gen(function* () {
      const cluster = yield* make(7)
      yield* cluster.network.partition("a", "b")
      yield* cluster.pass("20 seconds")
      const error = yield* Effect.flip(cluster.settle)
      assert.strictEqual(error.problem, "node b does not see node a")
      assert.include(error.message, "replay: SEED=7")
    })
  )

  it.effect("what waits for promises goes on before time does", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      const seen: Array<string> = []
      const lines = yield* b!.run(Effect.flatMap(Chat, (chat) => chat.subscribe(red)))
      yield* b!.fork(
        Effect.promise(async () => {
          for await (const line of lines) seen.push(line)
        })
      )
      yield* a!.run(publish("one"))
      yield* cluster.pass("100 millis")
      assert.deepStrictEqual(seen, ["one"])
      lines.unsubscribe()
      yield* cluster.pass("10 seconds")
      assert.strictEqual(
        yield* b!.run(Effect.flatMap(Cluster.Cluster, ({ links }) => Effect.map(links, ({ keys }) => keys))),
        0
      )
    })
  )

  it.effect("nothing runs on a node that is down", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a] = cluster.nodes
      yield* a!.crash
      const exit = yield* Effect.exit(a!.run(Effect.void))
      assert.include(String(exit), "node a is down")
      assert.strictEqual(a!.timers, 0)
    })
  )

  it.effect("an effect that does not end dies after a minute, one whose node ends dies with it", () =>
    Effect.gen(function* () {
      const cluster = yield* make()
      const [a, b] = cluster.nodes
      assert.include(String(yield* Effect.exit(a!.run(Effect.never))), "not done within 60 s")
      yield* b!.fork(Effect.andThen(Effect.sleep(10), b!.crash))
      assert.include(String(yield* Effect.exit(b!.run(Effect.never))), "node b: it ended")
    })
  )

  it.effect("names of nodes differ, and there is one at least", () =>
    Effect.gen(function* () {
      for (const nodes of [0, 27, ["a", "a"], []]) {
        assert.include(
          String(yield* Effect.exit(Effect.scoped(TestCluster.make({ nodes, layer })))),
          "nodes have to be"
        )
      }
    })
  )

  it.effect("layers may need services of whoever makes the cluster, and chance is that of the node", () =>
    Effect.gen(function* () {
      class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}
      class Drawn extends Context.Service<Drawn, string>()("test/Drawn") {}
      const drawn = Layer.effect(
        Drawn,
        Effect.gen(function* () {
          return `${yield* Greeting} ${yield* Random.next}`
        })
      )
      const program = Effect.scoped(
        Effect.gen(function* () {
          const cluster = yield* TestCluster.make({
            nodes: 2,
            layer: (node) => Layer.provideMerge(drawn, Cluster.layer({ namespace: "test", node }))
          })
          return yield* Effect.forEach(cluster.nodes, (node) => node.run(Drawn))
        })
      )
      const first = yield* Effect.provideService(program, Greeting, "hello")
      const second = yield* Effect.provideService(program, Greeting, "hello")
      assert.deepStrictEqual(first, second)
      assert.strictEqual(new Set(first).size, 2)
      assert.match(first[0]!, /^hello 0\.\d+$/)
    })
  )
})

/** Counts to three on every node, which is one too many. */
const counting: TestCluster.Spec<Chat, Array<string>> = {
  layer,
  state: () => [],
  acts: {
    count: (draw) => {
      const number = Math.floor(draw() * 10)
      return { shown: number, run: ({ state }) => Effect.sync(() => state.push(`${number}`)) }
    },
    idle: () => ({ run: () => Effect.void })
  },
  weights: { idle: 5 },
  always: ({ state }) => (state.length < 3 ? Effect.void : Effect.fail(`counted ${state.length}`))
}

const failure = <R, S>(spec: TestCluster.Spec<R, S>, options?: TestCluster.CheckOptions) =>
  Effect.flip(TestCluster.check(spec, { seed: 1, runs: 20, ...options }))

const acting = (run: Effect.Effect<void, string>) => ({
  ...counting,
  always: () => Effect.void,
  acts: { act: () => ({ run: () => run }) }
})

describe("TestCluster.check", () => {
  it.effect("leaves out all acts that a failure does not need, and keeps the others as they were", () =>
    Effect.gen(function* () {
      const error = yield* failure(counting)
      assert.isAtLeast(error.drawn, 40)
      assert.strictEqual(error.schedule.length, 3)
      for (const line of error.schedule) assert.match(line, /^\d+\.\d{3} s {2}[a-d]: count \d$/)
      assert.match(error.problem, /^always: counted 3$/)
      assert.include(error.message, `replay: SEED=${error.seed}`)
      const again = yield* failure(counting, { seed: error.seed, runs: 1 })
      assert.deepStrictEqual(again, error)
    })
  )

  it.effect("SEED in the environment replays one schedule", () =>
    Effect.gen(function* () {
      const error = yield* failure(counting)
      const provider = ConfigProvider.fromEnv({ env: { SEED: String(error.seed) } })
      const again = yield* Effect.provide(failure(counting, { seed: 999 }), ConfigProvider.layer(provider))
      assert.deepStrictEqual(again, error)
    })
  )

  it.effect("a failure that needs a fault keeps the fault", () =>
    Effect.gen(function* () {
      const error = yield* failure({
        ...counting,
        faults: ["crash"],
        always: ({ cluster }) =>
          cluster.nodes.every(({ status }) => status === "up") ? Effect.void : Effect.fail("gone")
      })
      assert.strictEqual(error.problem, "always: gone")
      assert.strictEqual(error.schedule.length, 1)
      assert.match(error.schedule[0]!, /crash \{"node":"[a-d]"\}$/)
    })
  )

  it.effect("an act that fails, dies or does not end fails the check", () =>
    Effect.gen(function* () {
      for (const [run, problem] of [
        [Effect.fail("no"), /act: no$/],
        [Effect.die(new Error("broken")), /act: broken$/],
        [Effect.never, /act: is not done$/]
      ] as const) {
        const error = yield* failure(acting(run), { runs: 1 })
        assert.match(error.problem, problem)
        assert.strictEqual(error.schedule.length, 1)
      }
    })
  )

  it.effect("what has to hold at rest is asked once all is healed", () =>
    Effect.gen(function* () {
      const seen = { asked: 0, faults: 0 }
      const spec: TestCluster.Spec<Chat, Array<string>> = {
        ...counting,
        always: () => Effect.void,
        atRest: ({ cluster, faults }) =>
          Effect.gen(function* () {
            seen.asked++
            seen.faults += faults.length
            const up = cluster.nodes.filter(({ status }) => status === "up")
            for (const node of up) {
              const nodes = (yield* statusesOf(node)).filter((status) => status.endsWith("up"))
              assert.strictEqual(nodes.length, up.length)
            }
          })
      }
      yield* TestCluster.check(spec, { seed: 1, runs: 20 })
      assert.strictEqual(seen.asked, 20)
      assert.isAbove(seen.faults, 20)
    })
  )

  it.effect("a layer that fails is told with the schedule", () =>
    Effect.gen(function* () {
      const error = yield* failure(
        { ...counting, layer: () => Layer.effectDiscard(Effect.fail("no bus")) as never },
        { runs: 1 }
      )
      assert.include(error.problem, "no bus")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.fail(error))))
    })
  )
})
