/**
 * The times a bus keeps, and what it takes for a topic and a payload.
 */
import * as Duration from "effect/Duration"
import { BusRefused, EventBusError, PayloadTooLarge } from "../../EventBusError.ts"

/** What can be set about a bus, whatever carries it. */
export interface Options {
  /** How long a topic stays subscribed after its last listener has left; 1 second by default. */
  readonly releaseAfter?: Duration.Input | undefined
  /** How often the bus sends a probe to itself; 1 second by default. */
  readonly probeInterval?: Duration.Input | undefined
  /** How long no probe comes back before the connection is given up; 3 seconds by default. */
  readonly probePatience?: Duration.Input | undefined
  /** How long the broker may take over an answer, and over a connection; 5 seconds by default. */
  readonly answerTimeout?: Duration.Input | undefined
  /** How long making the bus waits for the first connection; 3 seconds by default. Then it begins without. */
  readonly startTimeout?: Duration.Input | undefined
}

export interface Times {
  readonly release: number
  readonly interval: number
  readonly patience: number
  readonly answer: number
  readonly start: number
}

/** Milliseconds; throws a `RangeError` when a time is no time. */
const millis = (name: string, input: Duration.Input | undefined, fallback: number, least: number): number => {
  if (input === undefined) return fallback
  const value = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (Number.isFinite(value) && value >= least) return value
  throw new RangeError(`${name} has to be ${least} ms at least and finite`)
}

export const timesOf = (options: Options): Times => ({
  release: millis("releaseAfter", options.releaseAfter, 1000, 0),
  interval: millis("probeInterval", options.probeInterval, 1000, 1),
  patience: millis("probePatience", options.probePatience, 3000, 1),
  answer: millis("answerTimeout", options.answerTimeout, 5000, 1),
  start: millis("startTimeout", options.startTimeout, 3000, 0)
})

/** Topics of probes begin with it. */
export const probePrefix = "effect-rooms.probe."

const maxTopic = 200

/** Why a topic is none. */
export const badTopic = (topic: string): EventBusError | undefined =>
  topic.length > 0 && topic.length <= maxTopic
    ? undefined
    : new EventBusError({ reason: new BusRefused({ detail: `a topic has 1 to ${maxTopic} characters` }) })

/** Why a payload is too large. A character is three bytes at most, so most payloads need no counting. */
export const badPayload = (payload: string, maxPayload: number): EventBusError | undefined => {
  if (payload.length * 3 <= maxPayload) return undefined
  const bytes = Buffer.byteLength(payload)
  return bytes <= maxPayload ? undefined : new EventBusError({ reason: new PayloadTooLarge({ bytes, maxPayload }) })
}

const firstDelay = 50
const lastDelay = 2000
const growth = 3

/**
 * Milliseconds to wait after so many failures in a row; `random` is in [0, 1).
 *
 * Any time below a bound that grows: nodes that lost a broker together come back apart. Once the bound is at its last,
 * a little below it, so that a broker that is gone is tried 40 times a minute at most, and found within 2 seconds.
 */
export const backoff = (failures: number, random: number): number => {
  const bound = firstDelay * growth ** failures
  return bound < lastDelay ? random * bound : lastDelay * (0.85 + 0.15 * random)
}
