/**
 * The conformance kit of event buses finds what is wrong with one, says what, and skips what it cannot do by name.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "effect-rooms/cluster"
import { EventBusConformance } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as MemoryBus from "../../src/cluster/MemoryBus.ts"
import { clausesOverMemory, onNetwork } from "../support/memoryConformance.ts"
import { inVirtualTime } from "../support/virtual.ts"
import { brokenBuses } from "./brokenBuses.ts"

const find = <R>(clauses: ReadonlyArray<EventBusConformance.Clause<R>>, start: string) => {
  const [clause, ...others] = clauses.filter(({ name }) => name.startsWith(start))
  assert.isDefined(clause, `there is a clause that begins with: ${start}`)
  assert.isEmpty(others, `there is one clause that begins with: ${start}`)
  return clause
}

describe("a bus that", () => {
  for (const { change, clause: start, network, options, what } of brokenBuses) {
    it.effect(`${what} breaks the clause: ${start} …`, () =>
      Effect.gen(function* () {
        const clause = find(clausesOverMemory(change, options), start)
        const error = yield* Effect.flip(onNetwork(clause.run, network))
        assert.instanceOf(error, EventBusConformance.EventBusConformanceError)
        assert.strictEqual(error.clause, clause.name)
      }).pipe(Random.withSeed("broken"))
    )
  }
})

it("every clause is broken by some bus", () => {
  const broken = new Set(brokenBuses.map(({ clause }) => clause))
  const safe = clausesOverMemory().filter(({ name }) => !Array.from(broken).some((start) => name.startsWith(start)))
  assert.deepStrictEqual(
    safe.map(({ name }) => name),
    []
  )
})

describe("a clause that fails", () => {
  it.effect("says what it looked at, what should have been and what was", () =>
    Effect.gen(function* () {
      const clause = find(
        clausesOverMemory((bus) => Effect.succeed({ ...bus, echo: false })),
        "a node hears what it publishes"
      )
      const error = yield* Effect.flip(onNetwork(clause.run))
      const [name, observable, ...rest] = error.message.split("\n")
      assert.strictEqual(name, clause.name)
      assert.match(observable!, /^ {2}what a hears of "\w+:news"$/)
      assert.deepStrictEqual(rest, ["  expected: []", '  actual:   ["news 0","news 1","news 2"]'])
    })
  )

  it.effect("leaves a broker that works", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make()
      const deaf = EventBusConformance.clauses({
        node: (name) =>
          Layer.effect(
            EventBus.EventBus,
            Effect.map(network.bus(name), (bus) => ({ ...bus, health: Effect.succeed({ _tag: "Up" } as const) }))
          ),
        faults: { kill: network.crash, restart: network.restart }
      })
      yield* Effect.flip(find(deaf, "a broker that is killed").run)
      const sound = EventBusConformance.clauses({ node: network.layer })
      yield* find(sound, "what a node publishes reaches").run
    }).pipe(inVirtualTime, Effect.provide(Logger.layer([])))
  )

  it.effect("says so when making a node is what fails", () =>
    Effect.gen(function* () {
      const clauses = EventBusConformance.clauses({
        node: () => Layer.effect(EventBus.EventBus, Effect.fail("no bus"))
      })
      const error = yield* Effect.flip(find(clauses, "what a node publishes reaches").run)
      assert.strictEqual(error.observable, "making the node a")
      assert.strictEqual(error.cause, "no bus")
    })
  )
})

describe("check", () => {
  it.effect("passes a bus that does what it should, and names what was skipped for want of faults", () =>
    Effect.gen(function* () {
      const network = yield* MemoryBus.make()
      const faults = { kill: network.crash, stall: network.stall(), cut: network.cut() }
      const { passed, skipped } = yield* EventBusConformance.check({ node: network.layer, faults })
      assert.strictEqual(passed.length + skipped.length, clausesOverMemory().length)
      assert.include(
        passed,
        "connections ended by the broker's administrator are told as a Gap and restored, once each"
      )
      assert.deepStrictEqual(
        skipped.map((name) => name.split(" ").slice(0, 4).join(" ")),
        [
          "a refused subscribe fails",
          "a broker that is",
          "what is published without",
          "what is subscribed without",
          "a node made without",
          "a broker may be",
          "a node can leave",
          "healthChanges begins with the",
          "a broker that refuses",
          "a broker that stands"
        ]
      )
      const clauses = EventBusConformance.clauses({ node: network.layer, faults })
      assert.strictEqual(find(clauses, "a refused subscribe").skipped, "needs faults that are not given: refuse, allow")
    }).pipe(inVirtualTime, Effect.provide(Logger.layer([])))
  )

  it.effect("fails with the first clause that does not hold", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(EventBusConformance.check({ node: () => EventBus.layerNoop }))
      assert.strictEqual(error.clause, "what a node publishes reaches every other node that subscribes")
    }).pipe(inVirtualTime)
  )
})
