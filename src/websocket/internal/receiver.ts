/**
 * What becomes of an incoming text: a typed message in the inbox, or an error reply. Runs in the socket's callback.
 */
import * as Duration from "effect/Duration"
import * as CloseCode from "../CloseCode.ts"
import type { Limits } from "../Limits.ts"
import type { InvalidMessage } from "../Session.ts"
import type { Decoded } from "./codec.ts"
import type { Inbox } from "./inbox.ts"
import type { Peer } from "./peer.ts"
import type { Quota } from "./quota.ts"
import { Rates } from "./rates.ts"
import { Strikes } from "./strikes.ts"

export interface ReceiverOptions<In> {
  readonly limits: Limits
  readonly decode: (text: string) => Decoded<In>
  readonly invalidReply: (invalid: InvalidMessage) => unknown
  readonly inbox: Inbox<In>
  readonly peer: Peer
  readonly quota: Quota
  /** What all connections of the user share, where it is known who that is. */
  readonly userRates: Rates | undefined
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Counts a refused message under a reason. */
  readonly onInvalid: (reason: string) => void
  /** A defect in code of the application: a schema, or `invalidReply`. */
  readonly onDefect: (defect: unknown) => void
}

/** What is said of a message over a rate, by the reason it is counted under. */
const rateReplies = {
  message_rate: "too many messages",
  byte_rate: "too many bytes",
  user_rate: "too many messages of the user",
  fan_out_rate: "too much was sent to others"
}

/** Makes the callback for incoming text; it never throws. */
export const makeReceiver = <In>(options: ReceiverOptions<In>): ((text: string, bytes: number) => void) => {
  const { limits, peer, quota, userRates } = options
  const window = Duration.toMillis(limits.invalidWindow)
  const strikes = new Strikes(limits.maxInvalidMessages, window)
  const rateStrikes = new Strikes(limits.maxRateStrikes, window)
  const rates = new Rates(limits, 1, options.now())
  let struckAt = Number.NEGATIVE_INFINITY

  const reply = (invalid: InvalidMessage) => {
    peer.send(JSON.stringify(options.invalidReply(invalid)))
  }

  const refuse = (invalid: InvalidMessage) => {
    options.onInvalid(invalid.code)
    reply(invalid)
    if (strikes.strike(options.now())) peer.close(CloseCode.badProtocol, "too many invalid messages")
  }

  /** Takes a message from everything that bounds it; what it is over, if it is over anything. */
  const overRate = (bytes: number, now: number): keyof typeof rateReplies | undefined => {
    const over = rates.take(bytes, now)
    if (over !== undefined) return over === "messages" ? "message_rate" : "byte_rate"
    if (userRates?.take(bytes, now) !== undefined) return "user_rate"
    return quota.exhausted ? "fan_out_rate" : undefined
  }

  /** One reply and one strike a second at most: a flood must not be answered with a flood. */
  const refuseRate = (over: keyof typeof rateReplies, now: number) => {
    options.onInvalid(over)
    if (now - struckAt < 1000) return
    struckAt = now
    reply({ code: "rate_limited", message: `${rateReplies[over]}, this one was dropped`, input: undefined })
    if (rateStrikes.strike(now)) peer.close(CloseCode.rateLimited, rateReplies[over])
  }

  return (text, bytes) => {
    try {
      const now = options.now()
      const over = overRate(bytes, now)
      if (over !== undefined) return refuseRate(over, now)
      const decoded = options.decode(text)
      if (decoded._tag === "Invalid") {
        return refuse({ code: decoded.reason, message: decoded.message, input: decoded.input })
      }
      peer.messages++
      options.inbox.push(decoded.message, bytes)
    } catch (defect) {
      options.onDefect(defect)
      peer.close(CloseCode.internalError, "internal error")
    }
  }
}

/** The reply of a route that names no other. */
export const defaultInvalidReply = ({ code, message }: InvalidMessage): unknown => ({ type: "error", code, message })
