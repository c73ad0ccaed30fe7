/**
 * What a bus promises while nothing goes wrong: who hears what, when, how often and in which order.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ClauseSpec, numbered } from "./clause.ts"
import { same } from "./difference.ts"
import { sameList } from "./waiting.ts"

const rounds = 30
const burst = 200

export const deliveryClauses: ReadonlyArray<ClauseSpec> = [
  {
    name: "what a node publishes reaches every other node that subscribes",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b, c] = yield* Effect.all([bench.node, bench.node, bench.node])
      const topic = bench.topic("news")
      const [atB, atC] = yield* Effect.all([b.listen(topic), c.listen(topic)])
      yield* a.publish(topic, "one")
      yield* bench.hear([atB, ["one"]], [atC, ["one"]])
    })
  },
  {
    name: "every listener of a topic at a node hears a message once",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const listeners = yield* Effect.all([b.listen(topic), b.listen(topic), b.listen(topic)])
      yield* a.publish(topic, "one")
      yield* a.publish(topic, "two")
      yield* bench.hear(...listeners.map((listener) => [listener, ["one", "two"]] as const))
    })
  },
  {
    name: "who subscribes at the same time as others is live when told so, too",
    bugs: ["TRAP3"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const listeners = yield* Effect.all(
        Array.from({ length: 10 }, () => b.listen(topic)),
        { concurrency: "unbounded" }
      )
      yield* a.publish(topic, "one")
      yield* bench.hear(...listeners.map((listener) => [listener, ["one"]] as const))
    })
  },
  {
    name: "a topic is heard by those who subscribe to it and nobody else",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const [news, sports] = [bench.topic("news"), bench.topic("sports")]
      const [atNews, atSports] = yield* Effect.all([b.listen(news), b.listen(sports)])
      yield* a.publish(news, "one")
      yield* a.publish(sports, "two")
      yield* a.publish(bench.topic("nobody"), "three")
      yield* bench.hear([atNews, ["one"]], [atSports, ["two"]])
    })
  },
  {
    name: "a subscription is live when subscribe succeeds",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      for (const name of numbered("topic", rounds)) {
        const listener = yield* b.listen(bench.topic(name))
        yield* a.publish(bench.topic(name), name)
        yield* bench.eventually(listener.observable, [name], () => listener.payloads, bench.bounds.delivered)
      }
    })
  },
  {
    name: "a subscriber hears nothing that was published before it came",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const early = yield* b.listen(topic)
      yield* a.publish(topic, "before")
      yield* bench.hear([early, ["before"]])
      const [late, there] = yield* Effect.all([b.listen(topic), Effect.flatMap(bench.node, (c) => c.listen(topic))])
      yield* a.publish(topic, "after")
      yield* bench.hear([early, ["before", "after"]], [late, ["after"]], [there, ["after"]])
    })
  },
  {
    name: "what nodes publish concurrently arrives once each, in the order of each node where the bus keeps one",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b, c] = yield* Effect.all([bench.node, bench.node, bench.node])
      const topic = bench.topic("news")
      const listener = yield* c.listen(topic)
      const [ofA, ofB] = [numbered("a", burst), numbered("b", burst)]
      yield* Effect.all([a.publishAll(topic, ofA), b.publishAll(topic, ofB)], { concurrency: "unbounded" })
      yield* bench.eventually("messages heard", 2 * burst, () => listener.payloads.length, bench.bounds.delivered)
      const { ordered } = c.bus
      const of = (name: string) => listener.payloads.filter((payload) => payload.startsWith(name))
      const arrange = (payloads: ReadonlyArray<string>) => (ordered ? payloads : payloads.toSorted())
      yield* sameList(`what ${c.name} hears of ${a.name}`, arrange(ofA), arrange(of("a")))
      yield* sameList(`what ${c.name} hears of ${b.name}`, arrange(ofB), arrange(of("b")))
      yield* Effect.sleep(bench.bounds.quiet)
      yield* same("messages heard", 2 * burst, listener.payloads.length)
    })
  },
  {
    name: "a node hears what it publishes itself where the bus says that it echoes, and not where it does not",
    bugs: ["TRAP10"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const [atA, alsoAtA, atB] = yield* Effect.all([a.listen(topic), a.listen(topic), b.listen(topic)])
      const sent = numbered("news", 3)
      yield* Effect.forEach(sent, (payload) => a.publish(topic, payload))
      const own = a.bus.echo ? sent : []
      yield* bench.hear([atB, sent], [atA, own], [alsoAtA, own])
    })
  },
  {
    name: "equal payloads are as many messages as were published",
    bugs: ["TRAP16"],
    check: Effect.fnUntraced(function* (bench) {
      const [a, b, c] = yield* Effect.all([bench.node, bench.node, bench.node])
      const topic = bench.topic("news")
      const listener = yield* c.listen(topic)
      yield* Effect.all([a.publishAll(topic, ["same", "same"]), b.publishAll(topic, ["same", "same"])], {
        concurrency: "unbounded"
      })
      yield* bench.hear([listener, ["same", "same", "same", "same"]])
    })
  },
  {
    name: "a node that goes takes nobody with it",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b, c] = yield* Effect.all([bench.node, bench.node, bench.node])
      const topic = bench.topic("news")
      const [atB, atC] = yield* Effect.all([b.listen(topic), c.listen(topic)])
      yield* b.close
      yield* a.publish(topic, "one")
      yield* bench.hear([atB, []], [atC, ["one"]])
    })
  },
  {
    name: "a bus that works is up and stays so, and speaks of no gaps",
    check: Effect.fnUntraced(function* (bench) {
      const [a, b] = yield* bench.pair
      const topic = bench.topic("news")
      const listener = yield* b.listen(topic)
      yield* Effect.sleep(Duration.sum(bench.bounds.noticed, Duration.millis(500)))
      yield* bench.health([a, b], "Up", Duration.zero)
      yield* a.publish(topic, "one")
      yield* bench.hear([listener, ["one"]])
      yield* same(listener.observable, 0, listener.gaps)
    })
  }
]
