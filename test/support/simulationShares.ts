/**
 * What there is to simulate, and how much of each; on its own for those who only plan.
 */

export type SimulationName = "channels" | "channels of twins" | "people" | "people of twins"

/** How many of a thousand schedules are of each kind. */
export const share: Record<SimulationName, number> = {
  channels: 450,
  "channels of twins": 150,
  people: 300,
  "people of twins": 100
}
