/**
 * When a connection is pinged, given up, or cut: a pure function of what was seen of it. Times are monotonic
 * milliseconds. Any byte from the peer is life; pongs need no special treatment. Who lives may still be idle: that is
 * about messages.
 */

export interface HeartbeatLimits {
  readonly pingInterval: number
  readonly pongTimeout: number
  readonly helloTimeout: number
  readonly idleTimeout: number
  readonly closeTimeout: number
  readonly outboxTimeout: number
  readonly inboxTimeout: number
}

/** What can be seen of a connection from outside. */
export interface Vitals {
  readonly bytesRead: number
  /** Valid messages that were received. */
  readonly messages: number
  /** Whether the client has to send a message before anything happens. */
  readonly awaitsHello: boolean
  /** Bytes the peer's side of the socket has taken. */
  readonly bytesTaken: number
  /** Whether bytes wait to be taken. */
  readonly unsent: boolean
  /** What the system has of the write it is at; it moves while a long write makes progress. */
  readonly inFlight: number
  /** Whether the socket is not being read because the handler is behind. */
  readonly paused: boolean
  readonly closing: boolean
}

export interface Heartbeat {
  readonly bytesRead: number
  /** When a byte was last read. */
  readonly lifeAt: number
  readonly messages: number
  /** When a valid message was last received, or the connection was first seen. */
  readonly messageAt: number
  readonly pingedAt: number | undefined
  readonly bytesTaken: number
  readonly unsent: boolean
  readonly inFlight: number
  /** When the outbox last made progress, or had nothing to do. */
  readonly progressAt: number
  readonly pausedAt: number | undefined
  readonly closingAt: number | undefined
}

export type Action = "none" | "ping" | "noPong" | "noHello" | "idle" | "slowConsumer" | "inboxStalled" | "terminate"

export const initial = (now: number): Heartbeat => ({
  bytesRead: 0,
  lifeAt: now,
  messages: 0,
  messageAt: now,
  pingedAt: undefined,
  bytesTaken: 0,
  unsent: false,
  inFlight: 0,
  progressAt: now,
  pausedAt: undefined,
  closingAt: undefined
})

const since = (at: number | undefined, now: number): number | undefined => (at === undefined ? now : at)

/** Takes a look at a connection and says what is to be done about it. */
export const step = (
  state: Heartbeat,
  vitals: Vitals,
  now: number,
  limits: HeartbeatLimits
): readonly [Heartbeat, Action] => {
  const taken = vitals.bytesTaken > state.bytesTaken || vitals.inFlight !== state.inFlight
  const progress = taken || !vitals.unsent
  // While the socket is not read, silence says nothing about the peer: the handler is the one to be timed. A peer that
  // takes what had to wait lives, too: it may not have come to the ping behind it. What did not have to wait says
  // nothing, since the system takes it for a peer that is gone.
  const alive = vitals.bytesRead !== state.bytesRead || vitals.paused || (state.unsent && taken)
  const heard = vitals.messages !== state.messages || vitals.paused
  const next: Heartbeat = {
    bytesRead: vitals.bytesRead,
    lifeAt: alive ? now : state.lifeAt,
    messages: vitals.messages,
    messageAt: heard ? now : state.messageAt,
    pingedAt: alive ? undefined : state.pingedAt,
    // Frames of our own that are not messages, such as pings, make it fall while they wait: that is no progress.
    bytesTaken: Math.max(vitals.bytesTaken, state.bytesTaken),
    unsent: vitals.unsent,
    inFlight: vitals.inFlight,
    progressAt: progress ? now : state.progressAt,
    pausedAt: vitals.paused ? since(state.pausedAt, now) : undefined,
    closingAt: vitals.closing ? since(state.closingAt, now) : undefined
  }
  if (next.closingAt !== undefined) {
    return [next, now - next.closingAt >= limits.closeTimeout ? "terminate" : "none"]
  }
  if (now - next.progressAt >= limits.outboxTimeout) return [next, "slowConsumer"]
  if (next.pausedAt !== undefined && now - next.pausedAt >= limits.inboxTimeout) return [next, "inboxStalled"]
  const unheard = now - next.messageAt
  if (vitals.awaitsHello && vitals.messages === 0 && unheard >= limits.helloTimeout) return [next, "noHello"]
  if (unheard >= limits.idleTimeout) return [next, "idle"]
  if (next.pingedAt !== undefined) return [next, now - next.pingedAt >= limits.pongTimeout ? "noPong" : "none"]
  if (now - next.lifeAt >= limits.pingInterval) return [{ ...next, pingedAt: now }, "ping"]
  return [next, "none"]
}
