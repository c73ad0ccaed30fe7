/**
 * A broker that dies and comes back: told at once, forgotten soon, and nothing twice.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Bench } from "./bench.ts"
import type { Node } from "./busNode.ts"
import { type ClauseSpec, numbered } from "./clause.ts"
import { type Difference, differs, same } from "./difference.ts"

const cycles = 2
const flood = 2_000
const hasty = 50

/** Kills the broker; every one of the nodes knows. */
const kill = Effect.fnUntraced(function* (bench: Bench, nodes: ReadonlyArray<Node>) {
  yield* bench.faults.kill
  yield* bench.degraded(nodes)
})

const restart = Effect.fnUntraced(function* (bench: Bench, nodes: ReadonlyArray<Node>) {
  yield* bench.faults.restart
  yield* bench.up(nodes)
})

/** Fails unless every publish answers, and fails because the bus is out of reach. */
export const refusesAll = (
  bench: Bench,
  node: Node,
  topic: string,
  payloads: ReadonlyArray<string>
): Effect.Effect<void, Difference> =>
  Effect.forEach(
    payloads,
    (payload) =>
      bench.fails(`publishing at ${node.name} without a broker`, node.bus.publish(topic, payload), "BusUnreachable"),
    { concurrency: "unbounded", discard: true }
  )

export const outageClauses: ReadonlyArray<ClauseSpec> = [
  {
    name: "a broker that is killed is noticed, told, and everything is as before soon after it is back, once each",
    bugs: ["P12", "BUG1", "BUG19", "BUG20"],
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topics = [bench.topic("news"), bench.topic("sports")] as const
      const atB = yield* Effect.all([b.listen(topics[0]), b.listen(topics[0])])
      const atA = yield* a.listen(topics[1])
      const all = [...atB, atA]
      for (let cycle = 0; cycle < cycles; cycle++) {
        for (const listener of all) listener.forget()
        yield* bench.faults.kill
        yield* Effect.all([bench.degraded([a, b]), bench.told(all)], { concurrency: "unbounded" })
        yield* bench.faults.restart
        yield* Effect.all([bench.up([a, b]), bench.live(all)], { concurrency: "unbounded" })
        for (const listener of all) listener.forget()
        const [there, back] = [numbered("there", 20), numbered("back", 20)]
        yield* Effect.all([a.publishAll(topics[0], there), b.publishAll(topics[1], back)])
        yield* bench.hear([atB[0], there], [atB[1], there], [atA, back])
      }
    })
  },
  {
    name: "what is published without a broker fails with BusUnreachable, and nothing of it is sent later",
    bugs: ["TRAP6", "BUG15"],
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      // The others may be back too late to hear what a node sends as soon as it is back itself.
      const listeners = yield* Effect.all([b.listen(topic), ...(a.bus.echo ? [a.listen(topic)] : [])])
      yield* kill(bench, [a, b])
      yield* refusesAll(bench, a, topic, numbered("lost", flood))
      yield* restart(bench, [a, b])
      yield* bench.live(listeners)
      yield* a.publish(topic, "after")
      yield* bench.hear(...listeners.map((listener) => [listener, ["after"]] as const))
    })
  },
  {
    name: "what is subscribed without a broker is told a Gap at once and hears when it is back; what was left stays so",
    bugs: ["BUG2", "BUG17"],
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const [kept, left, again, fresh] = ["kept", "left", "again", "fresh"].map((name) => bench.topic(name)) as [
        string,
        string,
        string,
        string
      ]
      const [atKept, atLeft, atAgain] = yield* Effect.all([b.listen(kept), b.listen(left), b.listen(again)])
      yield* kill(bench, [a, b])
      yield* Effect.all([atLeft.stop, atAgain.stop])
      const [atAgainTwice, atFresh] = yield* Effect.all([b.listen(again), b.listen(fresh)])
      yield* bench.told([atAgainTwice, atFresh], Duration.zero)
      yield* Effect.flatMap(b.listen(fresh), (listener) => listener.stop)
      yield* restart(bench, [a, b])
      const live = [atKept, atAgainTwice, atFresh]
      yield* bench.live(live)
      yield* Effect.forEach([kept, left, again, fresh], (topic) => a.publish(topic, "one"))
      const heard = live.map((listener) => [listener, ["one"]] as const)
      yield* bench.hear(...heard, [atLeft, []], [atAgain, []])
    })
  },
  {
    name: "a node made without a broker begins degraded and works when there is one",
    bugs: ["BUG14"],
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const topic = bench.topic("news")
      yield* bench.faults.kill
      const a = yield* bench.bareNode
      yield* bench.health([a], "Degraded", Duration.zero)
      const listener = yield* a.listen(topic)
      yield* bench.told([listener], Duration.zero)
      yield* refusesAll(bench, a, topic, ["lost"])
      yield* restart(bench, [a])
      yield* bench.live([listener])
      const b = yield* bench.node
      yield* b.publish(topic, "one")
      yield* bench.hear([listener, ["one"]])
    })
  },
  {
    name: "a broker may be killed while nodes subscribe and publish: all is answered, and works when it is back",
    bugs: ["BUG2", "BUG14", "BUG17"],
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topics = numbered("topic", hasty).map((name) => bench.topic(name))
      const subscribing = yield* Effect.forkChild(
        Effect.forEach(topics, (topic) => b.listen(topic), { concurrency: "unbounded" })
      )
      const publishing = yield* Effect.forkChild(
        Effect.forEach(
          topics,
          (topic) => bench.answers(`publishing to ${topic} while the broker dies`, a.bus.publish(topic, "lost")),
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.yieldNow
      yield* bench.faults.kill
      const listeners = yield* Fiber.join(subscribing)
      for (const exit of yield* Fiber.join(publishing)) {
        if (Exit.isSuccess(exit)) continue
        yield* bench.fails("publishing while the broker dies", exit, "BusUnreachable")
      }
      yield* bench.degraded([a, b])
      yield* restart(bench, [a, b])
      const whole = () => listeners.filter((listener) => !listener.isLive).map(({ observable }) => observable)
      yield* bench.eventually("listeners that are not live", [], whole, bench.bounds.recovered)
      for (const listener of listeners) listener.forget()
      yield* Effect.forEach(topics, (topic) => a.publish(topic, "one"), { concurrency: "unbounded" })
      yield* bench.hear(...listeners.map((listener) => [listener, ["one"]] as const))
    })
  },
  {
    name: "a node can leave while there is no broker, and the others go on",
    bugs: ["BUG14"],
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const [atA, atB] = yield* Effect.all([a.listen(topic), b.listen(topic)])
      yield* kill(bench, [a, b])
      yield* b.close
      yield* restart(bench, [a])
      yield* bench.live([atA])
      for (const listener of [atA, atB]) listener.forget()
      const c = yield* bench.node
      yield* c.publish(topic, "one")
      yield* bench.hear([atA, ["one"]], [atB, []])
    })
  },
  {
    name: "healthChanges begins with the health and tells each turn, with the reason and since when",
    needs: ["kill", "restart"],
    check: Effect.fnUntraced(function* (bench) {
      const a = yield* bench.node
      const changes = yield* bench.watch(a)
      yield* bench.eventually("the first of healthChanges", "Up", () => changes[0]?._tag, bench.bounds.delivered)
      yield* kill(bench, [a])
      const degraded = yield* a.bus.health
      if (degraded._tag === "Up") return yield* differs("health", "Degraded", degraded)
      const { forMillis, why } = degraded
      yield* same("whether health says why and since when", true, why.length > 0 && forMillis >= 0)
      yield* restart(bench, [a])
      const turned = () => [changes.some(({ _tag }) => _tag === "Degraded"), changes.at(-1)?._tag]
      const observable = "whether healthChanges told that it was degraded, and the last it told"
      yield* bench.eventually(observable, [true, "Up"], turned, bench.bounds.delivered)
      const twice = changes.filter((change, index) => change._tag === changes[index - 1]?._tag)
      yield* same("changes of health that are none", [], twice)
    })
  }
]
