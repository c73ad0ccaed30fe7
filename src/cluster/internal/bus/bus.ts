/**
 * Makes an event bus from a driver: keeps a connection for as long as the bus lives, and everything that listeners are
 * promised over it.
 *
 * The parts know one thing each: `busTopics.ts` what has to be said to the broker, `busLink.ts` one connection,
 * `busLiveness.ts` whether it works. This file connects, watches, gives up, waits and connects again, for ever.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Turn from "../../../internal/turn.ts"
import type { EventBusError } from "../../EventBusError.ts"
import type { BusEvent, EventBusService } from "../../EventBusService.ts"
import { type Asking, ask, detailOf, diedOf, failureOf, unreachable } from "./ask.ts"
import { Closing, closeTimeout } from "./closing.ts"
import { Health } from "./health.ts"
import { Link } from "./link.ts"
import * as Liveness from "./liveness.ts"
import { backoff, badPayload, badTopic, type Options, probePrefix, timesOf } from "./options.ts"
import { Report } from "./report.ts"
import { BusTime, Later } from "./time.ts"
import { Topics } from "./topicsState.ts"
import type { Driver, DriverConnection } from "./driver.ts"

export { type Options, probePrefix } from "./options.ts"

/** Topics without listeners that are kept subscribed for a while, at most. */
const maxKept = 4096

/** Milliseconds until what was refused, though it has to be, is tried again. */
const retryRefused = 5000

/** Milliseconds a connection has to have worked for the waits between attempts to begin anew. */
const stable = 5000

/**
 * Makes a bus that lives until the scope closes; nothing it promised is kept after that, and listeners are told so.
 * Dies with a `RangeError` when a time is no time.
 */
export const make = Effect.fnUntraced(function* (
  driver: Driver,
  options: Options = {}
): Effect.fn.Return<EventBusService, never, Scope.Scope> {
  const times = timesOf(options)
  const context = Context.omit(Scope.Scope)(yield* Effect.context())
  const time = new BusTime(yield* Clock.Clock)
  const monotonic = () => time.monotonic()
  const random = yield* Random.Random
  const turn = yield* Turn.make
  const report = new Report(driver.kind, context, monotonic)
  const health = new Health(monotonic)
  const fork = Effect.runForkWith(context)
  const forkScoped = yield* FiberSet.makeRuntime()
  const later = (millis: number, max?: number) => new Later(time, millis, forkScoped, max)
  const asking: Asking = { deadlines: later(times.answer), fork }

  let closed = false
  let link: Link | undefined
  let liveness = Liveness.initial(time.now())
  /** Counts connections; probes carry it, so that none of an earlier one is taken for life of this one. */
  let connections = 0
  let workedSince: number | undefined
  const started = Deferred.makeUnsafe<void>()
  const probeTopic =
    probePrefix + random.nextDoubleUnsafe().toString(36).slice(2) + random.nextDoubleUnsafe().toString(36).slice(2)

  const works = () => {
    liveness = Liveness.answered(liveness, time.now())
    workedSince ??= time.now()
    if (health.answered()) report.up()
  }
  const fails = (why: string) => {
    if (health.degrade(why)) report.degraded(why)
  }
  const noProbes = (refusal: EventBusError) => {
    const why = `it takes no probes: ${detailOf(refusal)}`
    liveness = Liveness.refused(liveness, why)
    fails(why)
  }

  const probe = () => {
    link?.publish(probeTopic, `${connections}`, (exit) => {
      if (Exit.isSuccess(exit)) {
        if (!driver.echo) works()
      } else {
        const failure = failureOf(exit.cause)
        if (failure.reason._tag !== "BusUnreachable") noProbes(failure)
      }
    })
  }
  const onProbe = (event: BusEvent) => {
    if (event._tag === "Message") {
      if (event.payload === `${connections}`) works()
    } else if (event.reason === "reconnected") {
      liveness = Liveness.answered(liveness, time.now())
      probe()
    }
  }

  let flushing = false
  const flush = () => {
    flushing = false
    for (let command = topics.next(); command !== undefined; command = topics.next()) link!.run(command)
  }
  const release = later(times.release, maxKept)
  const retries = later(retryRefused)
  let retrying = false
  const retryLater = () => {
    if (retrying) return
    retrying = true
    retries.add(() => {
      retrying = false
      topics.retry()
    })
  }
  const topics = new Topics({
    onCommands: () => {
      if (flushing) return
      flushing = true
      turn.atEnd(flush)
    },
    later: (task) => release.add(task),
    onThrow: (topic, defect) => report.threw(topic, defect),
    onKept: (refusal) => {
      report.kept(refusal)
      retryLater()
    },
    onRefused: (topic, refusal, first) => {
      report.refused(topic, refusal, first)
      if (topic === probeTopic) noProbes(refusal)
      retryLater()
    }
  })
  // Alone in its command, so that no other topic is in the way of it.
  if (driver.echo) topics.add(probeTopic, onProbe, () => {}, 1)

  const closing = new Closing(fork, later(closeTimeout), report)

  const open = (
    connection: DriverConnection,
    scope: Scope.Closeable,
    lost: Deferred.Deferred<never, EventBusError>
  ) => {
    link = new Link({ ...asking, connection, scope, lost, topics, onDied: (cause) => report.died(cause) })
    if (++connections > 1) report.reconnected()
    liveness = Liveness.initial(time.now())
    topics.connect()
    Deferred.doneUnsafe(started, Exit.void)
    return link
  }

  const shut = (why: EventBusError) => {
    const own = link
    if (own === undefined) return
    link = undefined
    topics.disconnect()
    own.end(why)
    closing.close(own.scope)
  }

  const connect = Effect.callback<Link, EventBusError>((resume) => {
    const scope = Scope.makeUnsafe()
    const lost = Deferred.makeUnsafe<never, EventBusError>()
    let own: Link | undefined
    const isCurrent = () => own !== undefined && own === link
    const events = {
      onMessage: (topic: string, payload: string) => {
        if (isCurrent()) topics.deliver(topic, payload)
      },
      onOverflow: (topic: string) => {
        if (isCurrent()) topics.overflow(topic)
      }
    }
    const stop = ask(asking, Scope.provide(driver.connect(events, lost), scope), (exit) => {
      if (Exit.isSuccess(exit)) {
        own = open(exit.value, scope, lost)
        return resume(Effect.succeed(own))
      }
      closing.close(scope)
      resume(Effect.failCause(exit.cause))
    })
    return Effect.sync(() => stop(unreachable("nobody waits for the connection")))
  })

  /** Looks after the connection until it has to be given up. */
  const watch: Effect.Effect<never, EventBusError> = Effect.suspend(() => {
    const [next, todo, wait] = Liveness.step(liveness, time.now(), times)
    liveness = next
    if (todo === "giveUp") return Effect.fail(unreachable(`no probe came back for ${times.patience} ms`))
    if (todo === "probe") probe()
    return Effect.flatMap(time.sleep(wait), () => watch)
  })

  const session = Effect.flatMap(connect, (own) => Effect.raceFirst(Deferred.await(own.lost), watch))
  /** Nothing that breaks ends the trying. */
  const ended = Effect.matchCause(session, {
    onFailure: (cause) => {
      if (diedOf(cause)) report.died(cause)
      return failureOf(cause)
    },
    onSuccess: (why: never) => why
  })
  const keepConnected = Effect.gen(function* () {
    for (let failures = 0; ; failures++) {
      const why = yield* ended
      if (workedSince !== undefined && time.now() - workedSince >= stable) failures = 0
      workedSince = undefined
      shut(why)
      if (!starting || !health.note(detailOf(why))) fails(detailOf(why))
      yield* time.sleep(backoff(failures, random.nextDoubleUnsafe()))
    }
  })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      shut(unreachable("the bus is closed"))
      health.close("the bus is closed")
      report.closed()
      return closing.awaitAll
    })
  )
  let starting = true
  yield* Effect.forkScoped(keepConnected, { startImmediately: true })
  if (link === undefined && times.start > 0) yield* Effect.raceFirst(Deferred.await(started), time.sleep(times.start))
  starting = false
  if (link === undefined) fails(health.why)

  return {
    kind: driver.kind,
    get maxPayload() {
      return driver.maxPayload
    },
    echo: driver.echo,
    ordered: driver.ordered,
    isLocal: driver.isLocal,
    // One step, so that publishes are handed over in the order in which they begin.
    publish: (topic, payload) =>
      Effect.callback((resume) => {
        const bad = badTopic(topic) ?? badPayload(payload, driver.maxPayload)
        const own = link
        const fail = (why: EventBusError) => {
          report.publishFailed()
          resume(Effect.fail(why))
        }
        if (bad !== undefined) return fail(bad)
        if (own === undefined) return fail(unreachable(closed ? "the bus is closed" : health.why))
        const stop = own.publish(topic, payload, (exit) => {
          if (Exit.isFailure(exit)) report.publishFailed()
          resume(exit)
        })
        return Effect.sync(stop)
      }),
    subscribe: (topic, onEvent) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.scope, (parent) => {
          const bad = closed ? unreachable("the bus is closed") : badTopic(topic)
          if (bad !== undefined) return Effect.fail(bad)
          const settled = Deferred.makeUnsafe<void, EventBusError>()
          let overdueNoLonger: (() => void) | undefined
          const listener = topics.add(topic, onEvent, (refusal) => {
            overdueNoLonger?.()
            Deferred.doneUnsafe(settled, refusal === undefined ? Exit.void : Exit.fail(refusal))
          })
          if (listener.hearing === "waiting") overdueNoLonger = asking.deadlines.add(() => topics.giveUp(listener))
          const scope = Scope.forkUnsafe(parent)
          const remove = Effect.sync(() => topics.remove(listener))
          // A subscription that was refused or not waited for leaves nothing behind, though the scope stays open.
          return Scope.addFinalizer(scope, remove).pipe(
            Effect.andThen(restore(Deferred.await(settled))),
            Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
          )
        })
      ),
    health: Effect.sync(() => health.current),
    healthChanges: health.changes
  }
})
