/**
 * Tests a cluster of real processes under faults: three nodes, a private broker and 300 clients, one fault every two
 * seconds, and a checker of what the clients have heard.
 *
 * `npm run nemesis -- --bus redis|nats|postgres --seed n --seconds 60`; `--clients`, `--rooms`, `--rate` (messages
 * of a client in a second), `--kinds "kill node,freeze broker"`. What a seed fixes is the schedule.
 */
import { parseArgs } from "node:util"
import { type BusName, missingFor } from "../test/support/nemesis/brokers.ts"
import { runNemesis } from "../test/support/nemesis/nemesis.ts"
import { findings } from "../test/support/nemesis/report.ts"
import { allKinds, type FaultKind } from "../test/support/nemesis/schedule.ts"

const { values } = parseArgs({
  // `npm run` and people put it in front of options.
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    bus: { type: "string", default: "redis" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    seconds: { type: "string", default: "60" },
    clients: { type: "string" },
    rooms: { type: "string" },
    rate: { type: "string" },
    kinds: { type: "string" },
    quiet: { type: "boolean", default: false }
  }
})

const exitWith = (message: string): never => {
  console.error(message)
  process.exit(2)
}

const isBus = (name: string): name is BusName => name in missingFor
const bus = isBus(values.bus) ? values.bus : exitWith(`--bus is one of ${Object.keys(missingFor).join(", ")}`)
if (missingFor[bus] !== undefined) exitWith(missingFor[bus])

const numberOf = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined || Number(text) > 0 || text === "0") return text === undefined ? undefined : Number(text)
  return exitWith(`--${name} is a number, not ${text}`)
}
const isKind = (name: string): name is FaultKind => allKinds.some((kind) => kind === name)
const kinds = values.kinds
  ?.split(",")
  .map((name) => (isKind(name) ? name : exitWith(`--kinds are some of ${allKinds.join(", ")}`)))

// Processes it has started end with it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

const report = await runNemesis({
  bus,
  seed: numberOf("seed", values.seed)!,
  seconds: numberOf("seconds", values.seconds)!,
  clients: numberOf("clients", values.clients),
  rooms: numberOf("rooms", values.rooms),
  rate: numberOf("rate", values.rate),
  kinds,
  log: values.quiet ? undefined : (line) => console.log(line)
})
for (const line of findings(report)) console.log(`! ${line}`)
for (const line of report.summary) console.log(line)
process.exit(report.isGood ? 0 : 1)
