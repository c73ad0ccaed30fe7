/**
 * The options of `npm run bench`.
 */
import { parseArgs } from "node:util"

export interface Options {
  /** Scenarios whose name begins with one of these; all when empty. */
  readonly only: ReadonlyArray<string>
  /** Rows to measure; all when empty. */
  readonly contenders: ReadonlyArray<string>
  readonly rounds: number
  readonly quick: boolean
  /** Waits until the machine is idle, and measures again what had to share it. */
  readonly patient: boolean
  /** Writes docs/benchmarks.md. */
  readonly write: boolean
}

const list = (text: string | undefined): ReadonlyArray<string> => (text === undefined ? [] : text.split(","))

export const parse = (args: ReadonlyArray<string>): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      contenders: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      patient: { type: "boolean", default: false },
      write: { type: "boolean", default: false }
    }
  })
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error("--rounds must be a whole number of at least 1")
  return {
    only: list(values.only),
    contenders: list(values.contenders),
    rounds,
    quick: values.quick,
    patient: values.patient,
    write: values.write
  }
}
