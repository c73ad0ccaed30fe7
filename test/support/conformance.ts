/**
 * Runs the clauses of event buses as tests, against a broker that runs for one test file.
 */
import { it } from "@effect/vitest"
import { EventBusConformance } from "effect-rooms/testing"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type { Broker } from "./broker.ts"
import type { DialProxy } from "./dialProxy.ts"

/** What can be done to a broker that is a process. */
export const processFaults = (broker: () => Broker) =>
  ({
    kill: Effect.promise(() => broker().kill()),
    restart: Effect.promise(() => broker().start()),
    stall: Effect.sync(() => broker().stall()),
    resume: Effect.sync(() => broker().resume())
  }) satisfies EventBusConformance.Faults

/** What can be done on the way to a broker. */
export const wayFaults = (proxy: () => DialProxy) =>
  ({
    cut: Effect.sync(() => proxy().cut()),
    refuseDials: (attempts: number) => Effect.sync(() => proxy().refuse(attempts))
  }) satisfies EventBusConformance.Faults

/** Buses log every outage. */
const silence = Logger.layer([])

/** Tests every clause once, with the first of the options that allow it; what none of them allows is skipped by name. */
export const testConformance = (...options: ReadonlyArray<EventBusConformance.Options>): void =>
  testClauses(() => true, options)

/** Tests the clauses a broker can be tested by: the others are about what it has no notion of. */
export const testClauses = (
  applies: (clause: EventBusConformance.Clause) => boolean,
  options: ReadonlyArray<EventBusConformance.Options>
): void => {
  const lists = options.map((each) => EventBusConformance.clauses(each))
  for (const [index, first] of (lists[0] ?? []).entries()) {
    const clause = lists.map((list) => list[index]!).find(({ skipped }) => skipped === undefined) ?? first
    if (!applies(clause)) continue
    const name = clause.bugs.length === 0 ? clause.name : `${clause.bugs.join(", ")}: ${clause.name}`
    const run = Effect.provide(clause.run, silence)
    it.live(name, ({ skip }) => (clause.skipped === undefined ? run : skip(clause.skipped)), 60_000)
  }
}
