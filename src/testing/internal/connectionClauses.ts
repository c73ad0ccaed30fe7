/**
 * Connections that are cut, refused, or open and dead: what client libraries do not tell.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Bench } from "./bench.ts"
import type { Listener, Node } from "./busNode.ts"
import { type ClauseSpec, numbered } from "./clause.ts"
import { same } from "./difference.ts"
import { refusesAll } from "./outageClauses.ts"

const cuts = 3
/** Attempts that are refused: at least two for each of two nodes that dial with two sockets. */
const refusals = 8
const stallTime = Duration.seconds(6)

/** Everything said afterwards is heard, once. */
const saysAll = Effect.fnUntraced(function* (
  bench: Bench,
  from: Node,
  topic: string,
  listeners: ReadonlyArray<Listener>
) {
  for (const listener of listeners) listener.forget()
  const fresh = numbered("fresh", 20)
  yield* from.publishAll(topic, fresh)
  yield* bench.hear(...listeners.map((listener) => [listener, fresh] as const))
})

export const connectionClauses: ReadonlyArray<ClauseSpec> = [
  {
    name: "connections ended by the broker's administrator are told as a Gap and restored, once each",
    bugs: ["BUG18", "BUG19", "BUG20"],
    needs: ["cut"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const listeners = yield* Effect.all([b.listen(topic), b.listen(topic)])
      for (let cut = 0; cut < cuts; cut++) {
        for (const listener of listeners) listener.forget()
        yield* bench.faults.cut
        yield* bench.told(listeners)
        yield* bench.live(listeners)
        yield* bench.up([a, b])
        yield* saysAll(bench, a, topic, listeners)
      }
    })
  },
  {
    name: "a broker that refuses to be dialled several times is dialled until it does not",
    bugs: ["BUG1", "BUG17"],
    needs: ["refuseDials"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const listener = yield* b.listen(topic)
      yield* bench.faults.refuseDials(refusals)
      yield* bench.told([listener])
      const dialling = Duration.sum(bench.bounds.noticed, Duration.times(bench.bounds.recovered, 2))
      yield* bench.live([listener], dialling)
      yield* bench.health([a, b], "Up", dialling)
      yield* saysAll(bench, a, topic, [listener])
    })
  },
  {
    name: "a broker that stands still is noticed, and nothing old is sent when it goes on",
    bugs: ["K7", "BUG2", "BUG18"],
    needs: ["stall", "resume"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const listener = yield* b.listen(topic)
      const since = yield* Clock.monotonicTimeNanos
      yield* bench.faults.stall
      const asking = yield* Effect.forkChild(
        Effect.forEach(
          numbered("asked", 20),
          (payload) => bench.answers("publishing while the broker stands still", a.bus.publish(topic, payload)),
          { concurrency: "unbounded" }
        )
      )
      const joining = yield* Effect.forkChild(b.listen(bench.topic("sports")))
      yield* Effect.all([bench.degraded([a, b]), bench.told([listener])], { concurrency: "unbounded" })
      const joined = yield* Fiber.join(joining)
      yield* bench.told([joined])
      yield* refusesAll(bench, a, topic, numbered("stale", 100))
      yield* Fiber.join(asking)
      const stalled = Duration.nanos((yield* Clock.monotonicTimeNanos) - since)
      yield* Effect.sleep(Duration.max(Duration.zero, Duration.subtract(stallTime, stalled)))
      yield* bench.faults.resume
      yield* Effect.all([bench.up([a, b]), bench.live([listener, joined])], { concurrency: "unbounded" })
      const old = () => listener.payloads.filter((payload) => payload.startsWith("stale"))
      const twice = () => listener.payloads.filter((payload, index) => listener.payloads.indexOf(payload) !== index)
      yield* Effect.sleep(bench.bounds.quiet)
      yield* same("what was heard of what had failed", [], old())
      yield* same("what was heard twice", [], twice())
      yield* saysAll(bench, a, topic, [listener])
      yield* saysAll(bench, a, bench.topic("sports"), [joined])
    })
  }
]
