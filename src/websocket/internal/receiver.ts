/**
 * What becomes of an incoming text: a typed message in the inbox, or an error reply. Runs in the socket's callback.
 */
import * as Duration from "effect/Duration"
import * as CloseCode from "../CloseCode.ts"
import type { ErrorReply } from "../ErrorReply.ts"
import type { Limits } from "../Limits.ts"
import type { InvalidMessage } from "../Session.ts"
import type { Decoded } from "./codec.ts"
import type { Inbox } from "./inbox.ts"
import type { Peer } from "./peer.ts"
import type { Quota } from "./quota.ts"
import { Rates } from "./rates.ts"
import { Strikes } from "./strikes.ts"

/** What all connections of a route share. */
export interface ReceiverParts<In> {
  readonly limits: Limits
  readonly decode: (text: string) => Decoded<In>
  readonly invalidReply: (invalid: InvalidMessage) => unknown
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Counts a refused message under a reason. */
  readonly onInvalid: (reason: string) => void
}

/** The connection, as far as its messages concern it. */
export interface Receiving {
  readonly quota: Pick<Quota, "exhausted">
  /** A defect in code of the application: a schema, or `invalidReply`. */
  readonly die: (defect: unknown) => void
}

/** What is said of a message over a rate, by the reason it is counted under. */
const rateReplies = {
  message_rate: "too many messages",
  byte_rate: "too many bytes",
  user_rate: "too many messages of the user",
  fan_out_rate: "too much was sent to others"
}

export class Receiver<In> {
  readonly #parts: ReceiverParts<In>
  readonly #owner: Receiving
  readonly #peer: Peer
  readonly #inbox: Inbox<In>
  readonly #rates: Rates
  readonly #userRates: Rates | undefined
  #strikes: Strikes | undefined
  #rateStrikes: Strikes | undefined
  #struckAt = Number.NEGATIVE_INFINITY

  constructor(parts: ReceiverParts<In>, owner: Receiving, peer: Peer, inbox: Inbox<In>, userRates: Rates | undefined) {
    this.#parts = parts
    this.#owner = owner
    this.#peer = peer
    this.#inbox = inbox
    this.#rates = new Rates(parts.limits, 1, parts.now())
    this.#userRates = userRates
  }

  /** Takes what came over the socket; it never throws. */
  receive(text: string, bytes: number): void {
    try {
      const now = this.#parts.now()
      const over = this.#overRate(bytes, now)
      if (over !== undefined) return this.#refuseRate(over, now)
      const decoded = this.#parts.decode(text)
      if (decoded._tag === "Invalid") {
        return this.#refuse({ code: decoded.reason, message: decoded.message, input: decoded.input })
      }
      this.#peer.messages++
      this.#inbox.push(decoded.message, bytes)
    } catch (defect) {
      this.#owner.die(defect)
      this.#peer.close(CloseCode.internalError, "internal error")
    }
  }

  #reply(invalid: InvalidMessage): void {
    this.#peer.send(JSON.stringify(this.#parts.invalidReply(invalid)))
  }

  #refuse(invalid: InvalidMessage): void {
    const { limits, now, onInvalid } = this.#parts
    onInvalid(invalid.code)
    this.#reply(invalid)
    this.#strikes ??= new Strikes(limits.maxInvalidMessages, Duration.toMillis(limits.invalidWindow))
    if (this.#strikes.strike(now())) this.#peer.close(CloseCode.badProtocol, "too many invalid messages")
  }

  /** Takes a message from everything that bounds it; what it is over, if it is over anything. */
  #overRate(bytes: number, now: number): keyof typeof rateReplies | undefined {
    const over = this.#rates.take(bytes, now)
    if (over !== undefined) return over === "messages" ? "message_rate" : "byte_rate"
    if (this.#userRates?.take(bytes, now) !== undefined) return "user_rate"
    return this.#owner.quota.exhausted ? "fan_out_rate" : undefined
  }

  /** One reply and one strike a second at most: a flood must not be answered with a flood. */
  #refuseRate(over: keyof typeof rateReplies, now: number): void {
    const { limits, onInvalid } = this.#parts
    onInvalid(over)
    if (now - this.#struckAt < 1000) return
    this.#struckAt = now
    this.#reply({ code: "rate_limited", message: `${rateReplies[over]}, this one was dropped`, input: undefined })
    this.#rateStrikes ??= new Strikes(limits.maxRateStrikes, Duration.toMillis(limits.invalidWindow))
    if (this.#rateStrikes.strike(now)) this.#peer.close(CloseCode.rateLimited, rateReplies[over])
  }
}

/** The reply of a route that names no other. */
export const defaultInvalidReply = ({ code, message }: InvalidMessage): ErrorReply => ({ type: "error", code, message })
