/**
 * One room: light load at a fixed rate, then members who each keep one message in flight: as many as saturate the plain
 * loop, and more.
 */
import type { Load } from "../load/messages.ts"
import { contenderNames, loadColumns, loadMetrics, openCrowd, type Scenario, warmUpMillis } from "./scenario.ts"

/** Deliveries a second that every contender can do. */
export const lightDeliveries = 20_000

const contentBytes = 64

export const fanOut = (
  members: number,
  publishers: { readonly saturating: number; readonly many: number }
): Scenario => ({
  name: `room-${members}`,
  rows: contenderNames,
  phases: [
    { name: "light", title: `one room of ${members}, ${lightDeliveries} deliveries/s`, columns: loadColumns },
    {
      name: "saturated",
      title: `one room of ${members}, saturated by ${publishers.saturating} publishers`,
      columns: loadColumns
    },
    { name: "many", title: `one room of ${members}, ${publishers.many} publishers`, columns: loadColumns }
  ],
  measure: async (row, settings) => {
    const { quick } = settings
    await using crowd = await openCrowd(row, { rooms: 1, members })
    const load = (pace: Load["pace"], before: number, millis: number) =>
      crowd.generator.ask({ kind: "load", pace, contentBytes, warmUpMillis: before, millis })
    await load({ inFlight: publishers.saturating }, warmUpMillis(settings), 0)
    const pause = quick ? 200 : 300
    return {
      light: loadMetrics(await load({ perSecond: lightDeliveries / members }, pause, quick ? 700 : 1500)),
      saturated: loadMetrics(await load({ inFlight: publishers.saturating }, pause, quick ? 500 : 1000)),
      many: loadMetrics(await load({ inFlight: publishers.many }, pause, quick ? 500 : 1000))
    }
  }
})
