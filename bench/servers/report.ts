/**
 * What every server tells the runner over IPC: its port, and when asked its memory or a CPU profile.
 */
import * as Inspector from "node:inspector/promises"

/** What the runner may ask. */
export type ServerRequest = "memory" | "profile" | "profile-end"

export interface Memory {
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  /** The most bytes that ever waited for one client, where the server watches that. */
  readonly mostUnsent: number
}

/** What a server says. */
export type ServerReport =
  | { readonly port: number }
  | { readonly memory: Memory }
  | { readonly profiling: boolean }
  | { readonly profile: Inspector.Profiler.Profile }

const say = (report: ServerReport) => process.send?.(report)

const session = new Inspector.Session()

const answers: Record<ServerRequest, (mostUnsent: () => number) => Promise<ServerReport>> = {
  memory: async (mostUnsent) => {
    // Twice: what the first run's finalizers let go of.
    globalThis.gc?.()
    globalThis.gc?.()
    const { external, heapUsed, rss } = process.memoryUsage()
    return { memory: { rss, heapUsed, external, mostUnsent: mostUnsent() } }
  },
  profile: async () => {
    session.connect()
    await session.post("Profiler.enable")
    await session.post("Profiler.setSamplingInterval", { interval: 500 })
    await session.post("Profiler.start")
    return { profiling: true }
  },
  "profile-end": async () => {
    const { profile } = await session.post("Profiler.stop")
    return { profile }
  }
}

/** Tells the port, and from then on answers; ends with the runner. */
export const listening = (port: number, mostUnsent: () => number = () => 0): void => {
  process.on("message", (request) => {
    answers[request as ServerRequest](mostUnsent).then(say, (error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  })
  process.on("disconnect", () => process.exit())
  say({ port })
}
