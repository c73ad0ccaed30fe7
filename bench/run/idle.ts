/**
 * Waits for others to be done with the machine.
 */
import * as Os from "node:os"

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Milliseconds of all cores so far: idle, and altogether. */
const times = () => {
  let idle = 0
  let all = 0
  for (const { times: core } of Os.cpus()) {
    idle += core.idle
    all += core.idle + core.user + core.sys + core.nice + core.irq
  }
  return { idle, all }
}

/** Returns once the cores were idle for a second, or after 20 seconds. */
export const untilIdle = async (): Promise<void> => {
  const startedAt = performance.now()
  while (performance.now() - startedAt < 20_000) {
    const before = times()
    await sleep(1000)
    const after = times()
    if ((after.idle - before.idle) / (after.all - before.all) > 0.9) return
  }
}
