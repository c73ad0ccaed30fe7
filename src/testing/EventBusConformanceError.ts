/**
 * How an event bus can differ from what is promised of all of them.
 */
import * as Formatter from "effect/Formatter"
import * as Schema from "effect/Schema"

/** Fails a clause: something about the bus is not what the clause says. */
export class EventBusConformanceError extends Schema.TaggedError<EventBusConformanceError>()(
  "EventBusConformanceError",
  {
    clause: Schema.String,
    /** What was looked at, such as `what b hears of news`. */
    observable: Schema.String,
    expected: Schema.Unknown,
    actual: Schema.Unknown,
    /** What the bus failed or died with, where it did. */
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message(): string {
    return [
      this.clause,
      `  ${this.observable}`,
      `  expected: ${show(this.expected)}`,
      `  actual:   ${show(this.actual)}`,
      ...(this.cause === undefined
        ? []
        : [`  because:  ${show(this.cause instanceof Error ? this.cause.message : this.cause)}`])
    ].join("\n")
  }
}

const maxShown = 2_000

/** Payloads can be large. */
const show = (value: unknown): string => {
  const text = typeof value === "string" ? value : Formatter.format(value)
  return text.length > maxShown ? `${text.slice(0, maxShown)} … (${text.length} characters)` : text
}
