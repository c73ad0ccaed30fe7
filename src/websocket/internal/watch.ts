/**
 * One fiber that looks after all connections of a server: pings, silent peers, idle, stalled and closing ones.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Limits } from "../Limits.ts"
import type { Acceptor } from "./acceptor.ts"
import * as Heartbeat from "./heartbeat.ts"
import type { Peer } from "./peer.ts"

const toHeartbeatLimits = (limits: Limits): Heartbeat.HeartbeatLimits => ({
  pingInterval: Duration.toMillis(limits.pingInterval),
  pongTimeout: Duration.toMillis(limits.pongTimeout),
  helloTimeout: Duration.toMillis(limits.helloTimeout),
  idleTimeout: Duration.toMillis(limits.idleTimeout),
  closeTimeout: Duration.toMillis(limits.closeTimeout),
  outboxTimeout: Duration.toMillis(limits.outboxTimeout),
  inboxTimeout: Duration.toMillis(limits.inboxTimeout)
})

/** Looks at every connection once a second, or more often where limits are that short. */
export const run = Effect.fnUntraced(function* (
  acceptor: Acceptor,
  limits: Limits,
  clock: Clock.Clock
): Effect.fn.Return<void, never, Scope.Scope> {
  const bounds = toHeartbeatLimits(limits)
  const every = Math.max(10, Math.min(1000, ...Object.values(bounds).map((millis) => millis / 4)))
  const states = new WeakMap<Peer, Heartbeat.Heartbeat>()
  const read = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  let lookedAt = read()
  let stalled = 0
  const look = Effect.sync(() => {
    // Time in which this process was held up counts for nobody: what peers sent meanwhile has not been read yet.
    const clockNow = read()
    stalled += Math.max(0, clockNow - lookedAt - 2 * every)
    lookedAt = clockNow
    const now = clockNow - stalled
    for (const peer of acceptor.peers) {
      const [state, action] = Heartbeat.step(states.get(peer) ?? Heartbeat.initial(now), peer.vitals, now, bounds)
      states.set(peer, state)
      peer.act(action)
    }
    acceptor.admission.forget(clockNow)
    acceptor.budget.check()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(every), look)))
})
