/**
 * Event buses that are wrong in one thing each, made from one that is right; and which clause says so.
 */
import type { EventBus } from "effect-rooms/cluster"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BusUnreachable, EventBusError, PayloadTooLarge } from "../../src/cluster/EventBusError.ts"
import type * as MemoryBus from "../../src/cluster/MemoryBus.ts"
import type { Change } from "../support/memoryConformance.ts"

type Bus = EventBus.EventBusService
type OnEvent = (event: EventBus.BusEvent) => void

export interface Broken {
  readonly what: string
  /** Begins the name of the clause it breaks. */
  readonly clause: string
  readonly change: Change
  readonly options?: MemoryBus.BusOptions
  readonly network?: MemoryBus.Options
}

const unreachable = (detail: string) => new EventBusError({ reason: new BusUnreachable({ detail }) })
const up = { _tag: "Up" } as const

const broken = (
  what: string,
  clause: string,
  change: (bus: Bus, network: MemoryBus.Network) => Partial<Bus>
): Broken => ({
  what,
  clause,
  change: (bus, network) => Effect.sync(() => ({ ...bus, ...change(bus, network) }))
})

/** Hands events to listeners in another way; `hear` makes the listener of each subscription. */
const hearing = (what: string, clause: string, hear: (onEvent: OnEvent, topic: string) => OnEvent): Broken =>
  broken(what, clause, (bus) => ({ subscribe: (topic, onEvent) => bus.subscribe(topic, hear(onEvent, topic)) }))

/** Takes topics for others. */
const naming = (what: string, clause: string, name: (topic: string) => string): Broken =>
  broken(what, clause, (bus) => ({
    publish: (topic, payload) => bus.publish(name(topic), payload),
    subscribe: (topic, onEvent) => bus.subscribe(name(topic), onEvent)
  }))

/** Publishes other payloads. */
const writing = (what: string, clause: string, write: (payload: string) => string): Broken =>
  broken(what, clause, (bus) => ({ publish: (topic, payload) => bus.publish(topic, write(payload)) }))

/** A bus whose scope does more or other than it should; for what has to go on longer than its subscriber. */
const within = (what: string, clause: string, make: (bus: Bus, scope: Scope.Scope) => Partial<Bus>): Broken => ({
  what,
  clause,
  change: (bus) => Effect.map(Effect.scope, (scope) => ({ ...bus, ...make(bus, scope) }))
})

const reaches = "what a node publishes reaches"
const everyListener = "every listener of a topic"
const concurrently = "what nodes publish concurrently"
const whole = "a payload arrives as it was published"
const tooLarge = "a payload one byte over"
const mixed = "topics never mix"
const gone = "a listener hears nothing after its scope"
const last = "after the last unsubscribe"
const thousand = "after a thousand"
const refused = "a refused subscribe"
const killed = "a broker that is killed"
const withoutBroker = "what is published without a broker"
const subscribedWithout = "what is subscribed without a broker"
const madeWithout = "a node made without a broker"
const whileDying = "a broker may be killed while"
const leaving = "a node can leave while"
const changes = "healthChanges"
const cut = "connections ended"
const dials = "a broker that refuses to be dialled"
const stands = "a broker that stands still"

const untilGap = (onEvent: OnEvent): OnEvent => {
  let deaf = false
  return (event) => {
    if (event._tag === "Gap") deaf = true
    if (event._tag === "Gap" || !deaf) onEvent(event)
  }
}

/** Each time it is live again, everything is heard once more. */
const accumulates = (onEvent: OnEvent): OnEvent => {
  let handlers = 1
  return (event) => {
    if (event._tag === "Gap") {
      if (event.reason === "reconnected") handlers++
      return onEvent(event)
    }
    for (let handler = 0; handler < handlers; handler++) onEvent(event)
  }
}

/** Keeps what could not be published, and publishes it when it can be. */
const queues = (bus: Bus, scope: Scope.Scope): Partial<Bus> => {
  const waiting: Array<readonly [string, string]> = []
  const flush = Effect.gen(function* () {
    while ((yield* bus.health)._tag !== "Up") yield* Effect.sleep(10)
    for (const [topic, payload] of waiting.splice(0)) yield* Effect.ignore(bus.publish(topic, payload))
  })
  return {
    publish: (topic, payload) =>
      Effect.tapError(bus.publish(topic, payload), () => {
        waiting.push([topic, payload])
        return Effect.forkIn(flush, scope)
      })
  }
}

/** A topic is unsubscribed a second after its last listener has left, whoever has come since. */
const releasesBlindly = (bus: Bus, scope: Scope.Scope): Partial<Bus> => {
  const listeners = new Map<string, number>()
  const deaf = new Set<string>()
  const add = (topic: string, change: number) => {
    const count = (listeners.get(topic) ?? 0) + change
    listeners.set(topic, count)
    return count
  }
  return {
    subscribe: (topic, onEvent) =>
      Effect.andThen(
        Effect.acquireRelease(
          Effect.sync(() => add(topic, 1)),
          () => {
            const release = Effect.sync(() => deaf.add(topic))
            return add(topic, -1) === 0 ? Effect.forkIn(Effect.delay(release, "1 second"), scope) : Effect.void
          }
        ),
        bus.subscribe(topic, (event) => {
          if (!deaf.has(topic)) onEvent(event)
        })
      )
  }
}

/** Remembers that a topic was refused. */
const remembersRefusals = (bus: Bus): Partial<Bus> => {
  const refusals = new Map<string, EventBusError>()
  return {
    subscribe: (topic, onEvent) =>
      Effect.suspend(() => {
        const refusal = refusals.get(topic)
        if (refusal !== undefined) return Effect.fail(refusal)
        return Effect.tapError(bus.subscribe(topic, onEvent), (error) => Effect.sync(() => refusals.set(topic, error)))
      })
  }
}

/** Reorders by handing every other payload over later. */
const reorders = (bus: Bus): Partial<Bus> => {
  let count = 0
  return {
    publish: (topic, payload) =>
      Effect.suspend(() =>
        ++count % 2 === 0 ? Effect.delay(bus.publish(topic, payload), 20) : bus.publish(topic, payload)
      )
  }
}

/** Tells a payload it has seen within five seconds from a new one by what it says. */
const dropsEqual = (onEvent: OnEvent): OnEvent => {
  const seen = new Set<string>()
  return (event) => {
    if (event._tag === "Message" && seen.has(event.payload)) return
    if (event._tag === "Message") seen.add(event.payload)
    onEvent(event)
  }
}

/** One listener of each topic. */
const oneListener = (bus: Bus): Partial<Bus> => {
  const listeners = new Map<string, OnEvent>()
  return {
    subscribe: (topic, onEvent) => {
      listeners.set(topic, onEvent)
      return bus.subscribe(topic, (event) => {
        if (listeners.get(topic) === onEvent) onEvent(event)
      })
    }
  }
}

/** New listeners are handed the last message. */
const retains = (bus: Bus): Partial<Bus> => {
  const kept = new Map<string, EventBus.BusEvent>()
  return {
    subscribe: (topic, onEvent) =>
      Effect.andThen(
        bus.subscribe(topic, (event) => {
          if (event._tag === "Message") kept.set(topic, event)
          onEvent(event)
        }),
        Effect.sync(() => {
          const message = kept.get(topic)
          if (message !== undefined) onEvent(message)
        })
      )
  }
}

/** Works until the last listener has left. */
const dropsLast = (bus: Bus): Partial<Bus> => {
  let listeners = 0
  let ended = false
  return {
    subscribe: (topic, onEvent) =>
      Effect.gen(function* () {
        listeners++
        yield* bus.subscribe(topic, (event) => {
          if (!ended) onEvent(event)
        })
        yield* Effect.addFinalizer(() => Effect.sync(() => (ended = --listeners === 0)))
      })
  }
}

const inBackground =
  (bus: Bus, scope: Scope.Scope): Bus["subscribe"] =>
  (topic, onEvent) =>
    Effect.onInterrupt(bus.subscribe(topic, onEvent), () =>
      Effect.forkIn(Effect.ignore(Scope.provide(bus.subscribe(topic, onEvent), scope)), scope)
    )

export const brokenBuses: ReadonlyArray<Broken> = [
  broken("publishes nothing", reaches, () => ({ publish: () => Effect.void })),
  broken("hears nothing", reaches, () => ({ subscribe: () => Effect.void })),
  broken("fails to publish", reaches, () => ({ publish: () => Effect.fail(unreachable("it is broken")) })),
  broken("dies when it publishes", reaches, () => ({ publish: () => Effect.die("boom") })),
  broken("never answers", reaches, () => ({ publish: () => Effect.never })),
  hearing("hears twice", everyListener, (onEvent) => (event) => [event, event].forEach(onEvent)),
  broken("has one listener for each topic", everyListener, oneListener),
  naming("has one topic", "a topic is heard by those", () => "everything"),
  within("is live later than it says", "a subscription is live", (bus, scope) => ({
    subscribe: (topic, onEvent) =>
      Effect.asVoid(Effect.forkIn(Effect.delay(Scope.provide(bus.subscribe(topic, onEvent), scope), 5), scope))
  })),
  within("is live for the first of those who subscribe together", "who subscribes at the same time", (bus, scope) => {
    const topics = new Set<string>()
    return {
      subscribe: (topic, onEvent) => {
        if (!topics.has(topic)) {
          topics.add(topic)
          return bus.subscribe(topic, onEvent)
        }
        return Effect.asVoid(Effect.forkIn(Effect.delay(Scope.provide(bus.subscribe(topic, onEvent), scope), 5), scope))
      }
    }
  }),
  broken("keeps the last message for those who come later", "a subscriber hears nothing", retains),
  broken("reorders", concurrently, reorders),
  hearing("loses one of a hundred", concurrently, (onEvent) => {
    let count = 0
    return (event) => (++count % 100 === 0 ? undefined : onEvent(event))
  }),
  broken("says that it echoes and does not, or the other way round", "a node hears what it publishes", (bus) => ({
    echo: !bus.echo
  })),
  hearing("takes equal payloads for one", "equal payloads", dropsEqual),
  {
    what: "ends the others when a node leaves",
    clause: "a node that goes",
    change: (bus, network) =>
      Effect.as(
        Effect.addFinalizer(() => network.crash),
        bus
      )
  },
  {
    what: "takes itself for broken after a while",
    clause: "a bus that works is up",
    change: (bus) =>
      Effect.map(Clock.monotonicTimeNanos, (since) => ({
        ...bus,
        health: Effect.map(Clock.monotonicTimeNanos, (now) =>
          now - since < 3_000_000_000n ? up : { _tag: "Degraded", forMillis: 3_000, why: "no probe came back" }
        )
      }))
  },
  writing("trims payloads", whole, (payload) => payload.trim()),
  writing("normalises text", whole, (payload) => payload.normalize()),
  hearing("hears no empty payloads", whole, (onEvent) => (event) => {
    if (event._tag === "Gap" || event.payload !== "") onEvent(event)
  }),
  writing("ends payloads at a NUL", "a payload with a NUL", (payload) => payload.split("\0")[0]!),
  broken("takes one byte less than it says", "a payload of exactly", (bus) => ({ maxPayload: bus.maxPayload + 1 })),
  broken("counts characters for bytes", tooLarge, (bus) => {
    const maxPayload = 8_000
    return {
      maxPayload,
      publish: (topic, payload) =>
        payload.length <= maxPayload
          ? bus.publish(topic, payload)
          : Effect.fail(new EventBusError({ reason: new PayloadTooLarge({ bytes: payload.length, maxPayload }) }))
    }
  }),
  broken("says nothing of what is too large", tooLarge, (bus) => ({
    publish: (topic, payload) => Effect.ignore(bus.publish(topic, payload))
  })),
  naming("cuts topics off", mixed, (topic) => topic.slice(0, 63)),
  naming("folds topics", mixed, (topic) => topic.toLowerCase()),
  naming("takes topics for others in normal form", mixed, (topic) => topic.normalize()),
  within("hears after the scope has closed", gone, (bus, scope) => ({
    subscribe: (topic, onEvent) => Scope.provide(bus.subscribe(topic, onEvent), scope)
  })),
  broken("is deaf once the last listener has left", last, dropsLast),
  within("stays subscribed when it is left while it subscribes", thousand, (bus, scope) => ({
    subscribe: inBackground(bus, scope)
  })),
  within("unsubscribes a topic that has listeners again", thousand, releasesBlindly),
  within("unsubscribes a topic that has listeners again", last, releasesBlindly),
  broken("remembers a refusal", refused, remembersRefusals),
  broken("says nothing of a refusal", refused, (bus) => ({
    subscribe: (topic, onEvent) => Effect.ignore(bus.subscribe(topic, onEvent))
  })),
  hearing("is deaf after an outage", killed, untilGap),
  hearing("says nothing of an outage", killed, (onEvent) => (event) => {
    if (event._tag === "Message") onEvent(event)
  }),
  hearing("says nothing of the end of an outage", killed, (onEvent) => (event) => {
    if (event._tag === "Message" || event.reason === "unreachable") onEvent(event)
  }),
  hearing("hears twice after an outage", killed, accumulates),
  broken("is always up", killed, () => ({ health: Effect.succeed(up) })),
  broken("says nothing of what it could not publish", withoutBroker, (bus) => ({
    publish: (topic, payload) => Effect.ignore(bus.publish(topic, payload))
  })),
  within("publishes later what it could not", withoutBroker, queues),
  broken("refuses to subscribe without a broker", subscribedWithout, (bus) => ({
    subscribe: (topic, onEvent) =>
      Effect.flatMap(bus.health, ({ _tag }) =>
        _tag === "Up" ? bus.subscribe(topic, onEvent) : Effect.fail(unreachable("there is no broker"))
      )
  })),
  broken("waits to subscribe until there is a broker", subscribedWithout, (bus) => ({
    subscribe: (topic, onEvent) => {
      const wait: Effect.Effect<void> = Effect.flatMap(bus.health, ({ _tag }) =>
        _tag === "Up" ? Effect.void : Effect.flatMap(Effect.sleep(10), () => wait)
      )
      return Effect.andThen(wait, bus.subscribe(topic, onEvent))
    }
  })),
  {
    what: "waits for a broker before it begins",
    clause: madeWithout,
    change: (bus) =>
      Effect.gen(function* () {
        while ((yield* bus.health)._tag !== "Up") yield* Effect.sleep(10)
        return bus
      })
  },
  {
    what: "dies without a broker",
    clause: madeWithout,
    change: (bus) =>
      Effect.flatMap(bus.health, ({ _tag }) => (_tag === "Up" ? Effect.succeed(bus) : Effect.die("boom")))
  },
  {
    ...broken("never answers what the broker did not", whileDying, (bus) => ({
      publish: (topic, payload) => Effect.catch(bus.publish(topic, payload), () => Effect.never)
    })),
    network: { answer: 20 }
  },
  {
    what: "waits for a broker before it ends",
    clause: leaving,
    change: (bus) =>
      Effect.as(
        Effect.addFinalizer(() =>
          Effect.gen(function* () {
            while ((yield* bus.health)._tag !== "Up") yield* Effect.sleep(10)
          })
        ),
        bus
      )
  },
  broken("says nothing of changes", changes, (bus) => ({
    healthChanges: Stream.concat(Stream.take(bus.healthChanges, 1), Stream.never)
  })),
  broken("speaks of changes that are none", changes, (bus) => ({
    healthChanges: Stream.flatMap(bus.healthChanges, (health) => Stream.make(health, health))
  })),
  broken("does not say why it is degraded", changes, (bus) => ({
    health: Effect.map(bus.health, (health) => (health._tag === "Up" ? health : { ...health, why: "" }))
  })),
  hearing("is deaf after its connection was cut", cut, untilGap),
  hearing("hears twice after its connection was cut", cut, accumulates),
  hearing("is deaf after it was refused", dials, untilGap),
  {
    what: "notices a stall after ten seconds",
    clause: stands,
    change: Effect.succeed,
    options: { probePatience: "10 seconds" }
  },
  within("publishes later what it could not", stands, queues),
  {
    what: "lets who subscribes wait until the broker goes on",
    clause: stands,
    change: (bus) =>
      Effect.succeed({
        ...bus,
        subscribe: (topic, onEvent) => {
          const wait: Effect.Effect<void> = Effect.flatMap(Effect.delay(bus.health, 10), ({ _tag }) =>
            _tag === "Up" ? Effect.void : wait
          )
          // As one whose broker is asked in turn: the answer comes with that of what was asked before.
          return Effect.andThen(
            Effect.andThen(Effect.exit(bus.publish(topic, "")), wait),
            bus.subscribe(topic, onEvent)
          )
        }
      })
  },
  hearing("hears twice after a stall", stands, accumulates)
]
