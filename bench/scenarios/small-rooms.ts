/**
 * 500 rooms of four, where everybody publishes: every member keeps a message in flight.
 */
import { contenderNames, loadColumns, loadMetrics, openCrowd, type Scenario, warmUpMillis } from "./scenario.ts"

const rooms = 500
const members = 4

export const smallRooms: Scenario = {
  name: "small-rooms",
  rows: contenderNames,
  phases: [{ name: "all", title: `${rooms} rooms of ${members}, everybody publishing`, columns: loadColumns }],
  measure: async (row, settings) => {
    await using crowd = await openCrowd(row, { rooms, members })
    const loaded = await crowd.generator.ask({
      kind: "load",
      pace: { inFlight: members },
      contentBytes: 64,
      warmUpMillis: warmUpMillis(settings),
      millis: settings.quick ? 500 : 1200
    })
    return { all: loadMetrics(loaded) }
  }
}
