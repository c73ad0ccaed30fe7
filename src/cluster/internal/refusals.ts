/**
 * Packets this node does not take: each is counted, and one of many is logged, as it is mostly a mistake of whoever set up
 * the nodes.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { envelopesRefused } from "./metrics.ts"
import type { Malformed } from "./packet.ts"
import type { Self } from "./self.ts"

/** Time between two log lines about the same, in milliseconds. */
const interval = 60_000

const reasons: Record<Malformed, string> = {
  signature: "signed with another secret than that of this node, or only one of the two signs",
  version: "of another version of effect-rooms, or of something else",
  malformed: "not understood"
}

export interface RefusalsOptions {
  readonly namespace: string
  readonly self: Self
  readonly context: Context.Context<never>
}

export class Refusals {
  readonly #options: RefusalsOptions
  readonly #logged = new Map<Malformed, number>()

  constructor(options: RefusalsOptions) {
    this.#options = options
  }

  add(reason: Malformed): void {
    const { context, namespace, self } = this.#options
    Metric.withAttributes(envelopesRefused, { reason }).updateUnsafe(1, context)
    const now = self.now()
    if (now - (this.#logged.get(reason) ?? Number.NEGATIVE_INFINITY) < interval) return
    this.#logged.set(reason, now)
    const log = Effect.logWarning(
      `what others say in the namespace "${namespace}" is dropped: it is ${reasons[reason]}`
    )
    Effect.runForkWith(context)(log)
  }
}
