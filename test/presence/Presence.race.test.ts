/**
 * Interleavings of track, close, drop, heartbeat, sweep and reading (T-RACE): thousands of seeds, each another order.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Presence } from "effect-rooms"
import { drain, general, takeNow, type User } from "../support/channels.ts"
import { FakeConnection } from "../support/rooms.ts"
import { runSeeds } from "../support/SeededScheduler.ts"
import { alice, bob, brief, end, endUnsafe, lines, ManualClock, options } from "./support.ts"

/** A presence whose time is turned by hand, in steps other fibers run between. */
const makeTurned = Effect.gen(function* () {
  const clock = new ManualClock()
  const chat = yield* Presence.make(options).pipe(Effect.provideService(Clock.Clock, clock))
  const pass = (steps: number, millis: number) =>
    Effect.forEach(
      Array.from({ length: steps }),
      () =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => clock.advance(millis))
        ),
      { discard: true }
    )
  /** Time passes, and other fibers run between, until nobody is present; a fiber may be late for many steps. */
  const settle = Effect.gen(function* () {
    for (let n = 0; n < 500 && (yield* chat.size) > 0; n++) yield* pass(1, 5_000)
    assert.strictEqual(yield* chat.size, 0)
  })
  return { chat, clock, pass, settle }
})

describe("races", () => {
  it("P5: tracking, dropping, beating and sweeping in any order leaves nothing once all scopes are closed", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { chat, pass, settle } = yield* makeTurned
        const visitor = (device: string, drops: boolean) =>
          Effect.scoped(
            Effect.gen(function* () {
              const session = yield* chat.track(general, alice, { device, meta: "x" })
              yield* Effect.yieldNow
              yield* session.heartbeat
              if (drops) yield* session.drop
              yield* Effect.yieldNow
              yield* session.update({ status: "busy" })
            })
          )
        const fibers = yield* Effect.all([
          Effect.forkChild(visitor("tab", false)),
          Effect.forkChild(visitor("tab", true)),
          Effect.forkChild(visitor("phone", false)),
          Effect.forkChild(chat.heartbeat(general, alice, { device: "tab" })),
          Effect.forkChild(Effect.scoped(Effect.andThen(chat.changes(general), Effect.yieldNow))),
          Effect.forkChild(pass(6, 5_000))
        ])
        const interrupted = yield* Effect.forkChild(Effect.andThen(visitor("tv", false), Effect.never))
        yield* Effect.forkChild(Fiber.interrupt(interrupted))
        yield* Fiber.joinAll(fibers)
        yield* Fiber.await(interrupted)
        // A drop leaves a grace period behind, and a heartbeat after it a time to live.
        yield* settle
      }, Effect.scoped)
    ))

  it("P19: the device of the newest scope is there as long as that scope, whatever the older ones do", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { chat, pass } = yield* makeTurned
        const scopes: Array<Scope.Closeable> = []
        const old = yield* Effect.forEach([0, 1, 2], () =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            scopes.push(scope)
            return yield* Scope.provide(chat.track(general, alice, { device: "tab", meta: "old" }), scope)
          })
        )
        const newest = yield* Scope.make()
        const ready = yield* Scope.provide(chat.track(general, alice, { device: "tab", meta: "new" }), newest)
        const late = yield* Effect.all([
          Effect.forkChild(Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { concurrency: 3 })),
          Effect.forkChild(Effect.forEach(old, (session) => session.drop)),
          Effect.forkChild(Effect.forEach(old, (session) => session.update({ meta: "late", status: "away" }))),
          Effect.forkChild(pass(5, 20_000)),
          Effect.forkChild(chat.cleanup(0))
        ])
        yield* Fiber.joinAll(late)
        const entry = Option.getOrThrow(yield* chat.get(general, alice))
        assert.strictEqual(brief(entry), "alice online new [tab online new]")
        assert.isTrue(yield* ready.heartbeat)
        yield* Scope.close(newest, Exit.void)
        assert.strictEqual(yield* chat.size, 0)
      }, Effect.scoped)
    ))

  it("P5: connections that are lost, say goodbye or are taken over while they track leave nothing, in any order", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* (seed) {
        const { chat, pass, settle } = yield* makeTurned
        const connections = [0, 1, 2, 3].map((n) => new FakeConnection(`c${n}`))
        const handler = (connection: FakeConnection, device: string) =>
          Effect.scoped(
            Effect.gen(function* () {
              yield* Effect.yieldNow
              const session = yield* chat.track(general, alice, { device, meta: "x", as: connection })
              yield* Effect.yieldNow
              yield* session.update({ status: "busy" })
              // Its receiver is gone in one step, and nothing it does later is seen.
              if (connection.closed) assert.isFalse(yield* session.heartbeat, `seed ${seed}`)
            })
          )
        const isPresent = (device: string) =>
          Option.exists(Effect.runSync(chat.get(general, alice)), ({ devices }) =>
            devices.some((one) => one.device === device)
          )
        const closing = (connection: FakeConnection, ending: "clean" | "lost") =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => {
              endUnsafe(connection, ending)
              // Gone in the very step, wherever the fiber that tracks it is.
              if (connection === connections[3]) assert.isFalse(isPresent("phone"), `seed ${seed}`)
            })
          )
        const fibers = yield* Effect.all(
          connections.flatMap((connection, n) => [
            Effect.forkChild(handler(connection, n < 3 ? "tab" : "phone")),
            Effect.forkChild(closing(connection, n % 2 === 0 ? "lost" : "clean"))
          ])
        )
        const interrupted = new FakeConnection("interrupted")
        const interrupting = yield* Effect.forkChild(Effect.andThen(handler(interrupted, "tv"), Effect.never))
        yield* Effect.forkChild(Fiber.interrupt(interrupting))
        yield* Effect.forkChild(pass(4, 5_000))
        yield* Fiber.joinAll(fibers)
        yield* Fiber.await(interrupting)
        for (const { waiting } of [...connections, interrupted]) assert.strictEqual(waiting, 0)
        yield* settle
      }, Effect.scoped)
    ))

  it("P19: the device of the newest connection stays, whatever earlier ones of that name come to in whatever order", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { chat, pass } = yield* makeTurned
        const fields = { device: "tab", meta: "x" }
        const old = [0, 1, 2, 3].map((n) => new FakeConnection(`c${n}`))
        const scopes = yield* Effect.forEach(old, (connection) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            yield* Scope.provide(chat.track(general, alice, { ...fields, as: connection }), scope)
            return scope
          })
        )
        yield* end(old[0]!, "lost")
        yield* chat.track(general, alice, { ...fields, meta: "new", as: new FakeConnection("new") })
        const late = yield* Effect.all([
          Effect.forkChild(Effect.forEach(old, (connection, n) => end(connection, n % 2 === 0 ? "lost" : "clean"))),
          Effect.forkChild(Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void))),
          Effect.forkChild(Effect.scoped(chat.track(general, alice, { ...fields, meta: "late", as: old[0]! }))),
          Effect.forkChild(pass(5, 20_000))
        ])
        yield* Fiber.joinAll(late)
        assert.strictEqual(
          brief(Option.getOrThrow(yield* chat.get(general, alice))),
          "alice online new [tab online new]"
        )
      }, Effect.scoped)
    ))

  it("a heartbeat that races the sweep either saves the device for another timeToLive or finds it gone", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { chat, clock, pass, settle } = yield* makeTurned
        yield* chat.set(general, alice, { meta: "x" })
        clock.advance(55_000)
        const beating = yield* Effect.forkChild(chat.heartbeat(general, alice))
        yield* Effect.forkChild(pass(1, 5_000)).pipe(Effect.flatMap(Fiber.join))
        const saved = yield* Fiber.join(beating)
        clock.advance(54_000)
        assert.strictEqual(Option.isSome(yield* chat.get(general, alice)), saved)
        yield* settle
      }, Effect.scoped)
    ))

  it("I8, I9: readers that come, wait and are interrupted at any step see each user enter and leave in turn", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* (seed) {
        const { chat, pass } = yield* makeTurned
        const changes = yield* chat.changes(general)
        let known = Exit.getSuccess(takeNow(changes)!).pipe(Option.getOrThrow) as Presence.Listing<User, string>
        const there = new Set<string>()
        const learn = (change: Presence.Change<User, string>) => {
          for (const line of lines(change)) {
            const [sign, user] = line.split(" ") as [string, string]
            assert.strictEqual(there.has(user), sign !== "+", `seed ${seed}: ${line}`)
            if (sign === "-") there.delete(user)
            else there.add(user)
          }
          known = Presence.apply(known, change)
        }
        const read = Effect.forever(Effect.map(changes.take, learn))
        // What an interrupted reader has not got, the next one gets.
        const first = yield* Effect.forkChild(read)
        const visit = (user: typeof alice) =>
          Effect.forEach([1, 2], () =>
            Effect.scoped(
              Effect.andThen(
                chat.track(general, user, { meta: "x" }),
                Effect.forEach([1, 2, 3, 4], () => Effect.yieldNow)
              )
            )
          )
        const visits = yield* Effect.all([
          Effect.forkChild(visit(alice)),
          Effect.forkChild(visit(bob)),
          Effect.forkChild(pass(8, 100))
        ])
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        const second = yield* Effect.forkChild(read)
        yield* Fiber.joinAll(visits)
        yield* chat.set(general, bob, { meta: "last" })
        yield* pass(20, 100)
        yield* Fiber.interrupt(second)
        drain(changes).forEach(learn)
        assert(known._tag === "Snapshot")
        assert.deepStrictEqual(known.entries.map(brief), ["bob online last [default online last]"])
      }, Effect.scoped)
    ))

  it("a change at any moment of a flush is told within the next window", () =>
    runSeeds(
      2_000,
      Effect.fnUntraced(function* () {
        const { chat, pass } = yield* makeTurned
        const changes = yield* chat.changes(general)
        const passing = yield* Effect.forkChild(pass(4, 50))
        const setting = yield* Effect.forkChild(
          Effect.forEach(["a", "b", "c", "d"], (meta) =>
            Effect.andThen(chat.set(general, alice, { meta }), Effect.yieldNow)
          )
        )
        yield* Fiber.joinAll([passing, setting])
        yield* chat.set(general, alice, { meta: "last" })
        // The fiber that flushes begins to wait when the scheduler lets it.
        yield* pass(20, 100)
        const [first, ...diffs] = drain(changes)
        assert(first?._tag === "Snapshot")
        const known = diffs.reduce<Presence.Listing<User, string>>(Presence.apply, first)
        assert(known._tag === "Snapshot")
        assert.deepStrictEqual(known.entries.map(brief), ["alice online last [default online last]"])
      }, Effect.scoped)
    ))
})
