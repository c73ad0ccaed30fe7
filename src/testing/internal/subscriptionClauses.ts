/**
 * Subscribing and unsubscribing in every order: what counts is how things stand in the end.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Bench } from "./bench.ts"
import type { Node } from "./busNode.ts"
import { type ClauseSpec, numbered } from "./clause.ts"
import { type Difference, same } from "./difference.ts"

const rounds = 100

/** Longer than a bus keeps a topic that lost its last listener. */
const releaseTime = Duration.seconds(2)

/** Subscribes and unsubscribes, not always waiting for the one or the other; what is left is nothing. */
const storm = Effect.fnUntraced(function* (
  bench: Bench,
  node: Node,
  topic: string,
  onPayload: (payload: string) => void
): Effect.fn.Return<void, Difference> {
  const leaving: Array<Fiber.Fiber<void>> = []
  for (let round = 0; round < rounds; round++) {
    const scope = yield* Scope.make()
    const subscribe = node.bus.subscribe(topic, (event) => {
      if (event._tag === "Message") onPayload(event.payload)
    })
    const fiber = yield* Effect.forkChild(Scope.provide(subscribe, scope))
    const style = round % 5
    if (style === 1) yield* Effect.yieldNow
    if (style > 1) yield* bench.answers(`subscribing to ${topic} in a hurry`, Fiber.await(fiber))
    const leave = Effect.andThen(Fiber.interrupt(fiber), Scope.close(scope, Exit.void))
    const left = yield* Effect.forkChild(leave, { startImmediately: true })
    if (style === 3) leaving.push(left)
    else yield* bench.answers(`leaving ${topic} in a hurry`, Fiber.await(left))
  }
  yield* bench.answers(`leaving ${topic} in a hurry`, Fiber.awaitAll(leaving))
})

export const subscriptionClauses: ReadonlyArray<ClauseSpec> = [
  {
    name: "a listener hears nothing after its scope has closed, and the others go on",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const [gone, stays] = yield* Effect.all([b.listen(topic), b.listen(topic)])
      yield* a.publish(topic, "one")
      yield* bench.hear([gone, ["one"]], [stays, ["one"]])
      yield* gone.stop
      yield* a.publish(topic, "two")
      yield* bench.hear([gone, ["one"]], [stays, ["one", "two"]])
      yield* stays.stop
      yield* a.publish(topic, "three")
      yield* bench.hear([gone, ["one"]], [stays, ["one", "two"]])
    })
  },
  {
    name: "after the last unsubscribe a new subscribe hears",
    bugs: ["BUG16"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      for (const wait of [Duration.zero, releaseTime, Duration.zero]) {
        const topic = bench.topic("news")
        const listener = yield* b.listen(topic)
        const other = yield* b.listen(bench.topic("sports"))
        yield* a.publish(topic, "one")
        yield* a.publish(bench.topic("sports"), "two")
        yield* bench.hear([listener, ["one"]], [other, ["two"]])
        yield* Effect.all([listener.stop, other.stop])
        yield* Effect.sleep(wait)
      }
    })
  },
  {
    name: "after a thousand rapid subscribes and unsubscribes the last one holds",
    bugs: ["BUG7", "BUG17"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const late: Array<string> = []
      const topics = numbered("topic", 10).map((name) => bench.topic(name))
      const onLate = (payload: string) => void late.push(payload)
      yield* Effect.forEach(topics, (topic) => storm(bench, b, topic, onLate), { concurrency: "unbounded" })
      const kept = topics.filter((_, index) => index % 2 === 0)
      const listeners = yield* Effect.forEach(kept, (topic) => b.listen(topic), { concurrency: "unbounded" })
      for (const [round, wait] of [Duration.zero, releaseTime].entries()) {
        yield* Effect.sleep(wait)
        listeners.forEach((listener) => listener.forget())
        yield* Effect.forEach(topics, (topic) => a.publish(topic, `${round}`), { concurrency: "unbounded" })
        yield* bench.hear(...listeners.map((listener) => [listener, [`${round}`]] as const))
      }
      yield* same("what was heard after leaving", [], late)
    })
  },
  {
    name: "a refused subscribe fails for all who wait for it, costs others nothing, and works once it is allowed",
    bugs: ["TRAP3"],
    needs: ["refuse", "allow"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const other = bench.topic("news")
      const topic = yield* bench.faults.refuse
      const [first, second, listener] = yield* Effect.all([b.tryListen(topic), b.tryListen(topic), b.listen(other)], {
        concurrency: "unbounded"
      })
      for (const [, exit] of [first, second])
        yield* bench.fails(`subscribing to the refused ${JSON.stringify(topic)}`, exit, "BusRefused")
      yield* bench.faults.allow
      const [retried, again] = yield* Effect.all([b.listen(topic), b.listen(topic)])
      yield* a.publish(topic, "one")
      yield* a.publish(other, "two")
      yield* bench.hear([retried, ["one"]], [again, ["one"]], [listener, ["two"]])
      yield* same("what was heard by those who were refused", [], [...first[0].payloads, ...second[0].payloads])
    })
  }
]
