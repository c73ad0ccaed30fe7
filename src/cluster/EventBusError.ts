/**
 * How using an event bus can fail.
 */
import * as Schema from "effect/Schema"

/** The bus said no: no permission, a name it does not take, a limit of its own. Trying again changes nothing. */
export class BusRefused extends Schema.TaggedError<BusRefused>()("BusRefused", { detail: Schema.String }) {
  override get message(): string {
    return `the event bus refused: ${this.detail}`
  }
}

/** The bus does not answer, or there is no connection to it now; it is being restored. */
export class BusUnreachable extends Schema.TaggedError<BusUnreachable>()("BusUnreachable", {
  detail: Schema.String
}) {
  override get message(): string {
    return `the event bus is out of reach: ${this.detail}`
  }
}

/** The payload has more bytes than the bus takes. */
export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge>()("PayloadTooLarge", {
  bytes: Schema.Int,
  maxPayload: Schema.Int
}) {
  override get message(): string {
    return `the payload has ${this.bytes} bytes, and the event bus takes ${this.maxPayload}`
  }
}

/** Fails publishing to an event bus and subscribing to it; `reason` says why. */
export class EventBusError extends Schema.TaggedError<EventBusError>()("EventBusError", {
  reason: Schema.Union([BusRefused, BusUnreachable, PayloadTooLarge])
}) {
  override get message(): string {
    return this.reason.message
  }
}
