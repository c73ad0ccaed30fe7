/**
 * All scenarios, in the order in which they run.
 */
import { connections } from "./connections.ts"
import { fanOut } from "./fan-out.ts"
import { inProcess } from "./in-process.ts"
import { nodes } from "./nodes.ts"
import type { Scenario } from "./scenario.ts"
import { smallRooms } from "./small-rooms.ts"
import { stalled } from "./stalled.ts"
import { tenThousand } from "./ten-thousand.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  fanOut(100, { saturating: 32, many: 100 }),
  fanOut(1000, { saturating: 8, many: 128 }),
  fanOut(5000, { saturating: 4, many: 64 }),
  smallRooms,
  connections,
  inProcess,
  tenThousand,
  stalled,
  ...nodes
]
