/**
 * What becomes of an incoming text: a typed message in the inbox, or an error reply. Runs in the socket's callback.
 */
import * as Duration from "effect/Duration"
import * as CloseCode from "../CloseCode.ts"
import type { Limits } from "../Limits.ts"
import type { InvalidMessage } from "../Session.ts"
import { Bucket } from "./bucket.ts"
import type { Decoded } from "./codec.ts"
import type { Inbox } from "./inbox.ts"
import type { Peer } from "./peer.ts"
import type { Quota } from "./quota.ts"
import { Strikes } from "./strikes.ts"

export interface ReceiverOptions<In> {
  readonly limits: Limits
  readonly decode: (text: string) => Decoded<In>
  readonly invalidReply: (invalid: InvalidMessage) => unknown
  readonly inbox: Inbox<In>
  readonly peer: Peer
  readonly quota: Quota
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Counts a refused message. */
  readonly onInvalid: (reason: string) => void
  /** A defect in code of the application: a schema, or `invalidReply`. */
  readonly onDefect: (defect: unknown) => void
}

/** Makes the callback for incoming text; it never throws. */
export const makeReceiver = <In>(options: ReceiverOptions<In>): ((text: string, bytes: number) => void) => {
  const { limits, peer } = options
  const window = Duration.toMillis(limits.invalidWindow)
  const strikes = new Strikes(limits.maxInvalidMessages, window)
  const rateStrikes = new Strikes(limits.maxRateStrikes, window)
  const messages = new Bucket(limits.messagesPerSecond, limits.messageBurst, options.now())
  const volume = new Bucket(limits.bytesPerSecond, limits.bytesPerSecond, options.now())
  let struckAt = Number.NEGATIVE_INFINITY

  const reply = (invalid: InvalidMessage) => {
    peer.send(JSON.stringify(options.invalidReply(invalid)))
  }

  const refuse = (invalid: InvalidMessage) => {
    options.onInvalid(invalid.code)
    reply(invalid)
    if (strikes.strike(options.now())) peer.close(CloseCode.badProtocol, "too many invalid messages")
  }

  /** One reply and one strike a second at most: a flood must not be answered with a flood. */
  const refuseRate = (now: number) => {
    options.onInvalid("rate_limited")
    if (now - struckAt < 1000) return
    struckAt = now
    reply({ code: "rate_limited", message: "too many messages, this one was dropped", input: undefined })
    if (rateStrikes.strike(now)) peer.close(CloseCode.rateLimited, "too many messages")
  }

  return (text, bytes) => {
    try {
      const now = options.now()
      if (!messages.take(1, now) || !volume.take(bytes, now) || options.quota.exhausted) return refuseRate(now)
      const decoded = options.decode(text)
      if (decoded._tag === "Valid") options.inbox.push(decoded.message, bytes)
      else refuse({ code: decoded.reason, message: decoded.message, input: decoded.input })
    } catch (defect) {
      options.onDefect(defect)
      peer.close(CloseCode.internalError, "internal error")
    }
  }
}

/** The reply of a route that names no other. */
export const defaultInvalidReply = ({ code, message }: InvalidMessage): unknown => ({ type: "error", code, message })
