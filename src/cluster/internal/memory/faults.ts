/**
 * What a simulated network does wrong at the moment.
 */
import * as Duration from "effect/Duration"

/** A time, or a range of which each use draws one. */
export type Span = Duration.Input | { readonly min: Duration.Input; readonly max: Duration.Input }

/** What can be wrong with a network; what is left out stays as it is. */
export interface FaultsInput {
  /** From the broker to a node; zero by default, which is the end of the turn. */
  readonly latency?: Span | undefined
  /** Until the broker has answered: connecting, publishing, subscribing, unsubscribing; zero by default. */
  readonly answer?: Span | undefined
  /** Probability that a message does not reach a node; 0 by default. */
  readonly loss?: number | undefined
  /** Probability that a message reaches a node twice; 0 by default. */
  readonly duplication?: number | undefined
  /** Probability that a message is overtaken by later ones; 0 by default. */
  readonly reorder?: number | undefined
  /**
   * Whether a node gets back what it publishes; true by default. A bus that was made while it was true takes the lack of
   * its own probes for a connection that does not work.
   */
  readonly echo?: boolean | undefined
}

interface Range {
  readonly min: number
  readonly max: number
}

export interface Faults {
  readonly latency: Range
  readonly answer: Range
  readonly loss: number
  readonly duplication: number
  readonly reorder: number
  readonly echo: boolean
}

const zero: Range = { min: 0, max: 0 }
export const none: Faults = { latency: zero, answer: zero, loss: 0, duplication: 0, reorder: 0, echo: true }

/** Whole milliseconds: clocks know no others. */
const millis = (input: Duration.Input): number => Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(input)))

const isRange = (span: Span): span is Exclude<Span, Duration.Input> => typeof span === "object" && "min" in span

const rangeOf = (name: string, span: Span): Range => {
  const range = isRange(span)
    ? { min: millis(span.min), max: millis(span.max) }
    : { min: millis(span), max: millis(span) }
  if (Number.isFinite(range.max) && range.min >= 0 && range.min <= range.max) return range
  throw new RangeError(`${name} has to be a finite time, or a range of two`)
}

const probability = (name: string, value: number): number => {
  if (value >= 0 && value <= 1) return value
  throw new RangeError(`${name} is a probability, from 0 to 1`)
}

/** The faults after a change; throws a `RangeError` when one is not possible. */
export const change = (faults: Faults, input: FaultsInput): Faults => ({
  latency: input.latency === undefined ? faults.latency : rangeOf("latency", input.latency),
  answer: input.answer === undefined ? faults.answer : rangeOf("answer", input.answer),
  loss: input.loss === undefined ? faults.loss : probability("loss", input.loss),
  duplication: input.duplication === undefined ? faults.duplication : probability("duplication", input.duplication),
  reorder: input.reorder === undefined ? faults.reorder : probability("reorder", input.reorder),
  echo: input.echo ?? faults.echo
})

/** Draws a time from a range; `random` is in [0, 1). */
export const draw = ({ max, min }: Range, random: () => number): number =>
  min === max ? min : min + Math.floor(random() * (max - min + 1))
