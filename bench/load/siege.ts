/**
 * Members that stop reading, and what became of their connections when they read again.
 */
import type { Crowd } from "./crowd.ts"
import type { Besieged, Siege } from "./messages.ts"
import { load } from "./publish.ts"

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** How long the stalled may take to read what lies there for them, and to see the end. */
const readingMillis = 1500

/** Lets the stalled read again; answers how each connection has ended, undefined where it lives. */
export const resume = async (crowd: Crowd): Promise<ReadonlyArray<string | undefined>> => {
  for (const client of crowd.stalled) client.resume()
  await sleep(readingMillis)
  return Array.from(crowd.stalled, ({ ended }) => ended)
}

/** Keeps some members stalled: from time to time they read again, and are replaced by others that stall. */
export const besiege = async (crowd: Crowd, { load: request, stallMillis, stalled }: Siege): Promise<Besieged> => {
  const ended: Record<string, number> = {}
  let survived = 0
  const over = new AbortController()
  const cycle = async () => {
    while (!over.signal.aborted) {
      await sleep(stallMillis)
      for (const how of await resume(crowd)) {
        if (how === undefined) survived++
        else ended[how] = (ended[how] ?? 0) + 1
      }
      for (const client of crowd.stalled) client.reset()
      crowd.stalled.clear()
      for (let i = 0; i < stalled; i++) crowd.addStalled()
    }
  }
  crowd.stall(stalled)
  const cycles = cycle()
  const loaded = await load(crowd, request)
  over.abort()
  await cycles
  return { loaded, ended, survived }
}
