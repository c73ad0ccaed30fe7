/**
 * An outbox with a peer that takes what the test says, and a turn the test ends.
 */
import { Batch } from "../../src/websocket/internal/batch.ts"
import { Budget } from "../../src/websocket/internal/budget.ts"
import { Flusher } from "../../src/websocket/internal/flusher.ts"
import { Outbox, type OutboxLimits } from "../../src/websocket/Outbox.ts"
import { FakeWriter, HandTurn, wsFrame } from "./outbound.ts"

export const makeOutbox = (limits: Partial<OutboxLimits> = {}) => {
  const writer = new FakeWriter()
  const turn = new HandTurn()
  const flusher = new Flusher(turn)
  const seen = { overflows: 0 }
  const outbox = new Outbox({
    budget: new Budget(Number.POSITIVE_INFINITY),
    writer,
    flusher,
    limits: { outboxBytes: 100, outboxMessages: 5, ...limits },
    onOverflow: () => void seen.overflows++
  })
  const batch = () => new Batch<string>({ flusher, encode: (text) => text, onDelivered: () => {} })
  return { writer, turn, outbox, seen, batch, offer: (text: string) => outbox.offer(wsFrame(text)) }
}

export const numbered = (count: number) => Array.from({ length: count }, (_, n) => `m${n}`)
