/**
 * Goodbye: no new connections, every client told when to come back, what was sent is flushed, then the sockets go.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as CloseCode from "../CloseCode.ts"
import type { Acceptor } from "./acceptor.ts"

export interface DrainOptions {
  readonly retryWithin: Duration.Input
  readonly timeout: Duration.Input
}

/** Clients told in one go; more would hold up the event loop. */
const batchSize = 1000
const batchPause = Duration.millis(100)
const poll = Duration.millis(5)

/** Tells everybody, waits until all sockets are closed, and destroys those that take longer than `timeout`. */
export const drain = Effect.fnUntraced(function* (acceptor: Acceptor, options: DrainOptions) {
  acceptor.draining = true
  const retryWithin = Duration.toMillis(options.retryWithin)
  let told = 0
  for (const peer of Array.from(acceptor.peers)) {
    if (told > 0 && told % batchSize === 0) yield* Effect.sleep(batchPause)
    told++
    const retryInMs = yield* Random.nextIntBetween(0, Math.max(1, Math.round(retryWithin)))
    peer.close(CloseCode.serviceRestart, `retryInMs=${retryInMs}`)
  }
  const allClosed = Effect.sleep(poll).pipe(Effect.repeat({ while: () => acceptor.peers.size > 0 }))
  if (acceptor.peers.size > 0) yield* Effect.timeoutOption(allClosed, options.timeout)
  for (const peer of Array.from(acceptor.peers)) peer.terminate()
  yield* acceptor.sessionsOver
})
