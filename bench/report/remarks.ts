/**
 * What throws doubt on the numbers: a generator at its limit, a machine that was shared.
 */
import type { Results } from "./results.ts"
import { summarize } from "./stats.ts"

const busy = 0.9
const tolerable = 0.1

interface Doubt {
  readonly where: string
  readonly busy: number
  readonly waited: number
}

const collect = (results: Results): ReadonlyArray<Doubt> =>
  Object.entries(results.numbers).flatMap(([scenario, phases]) =>
    Object.entries(phases).flatMap(([phase, rows]) =>
      Object.keys(rows).map((row) => {
        const median = (key: string) => {
          const values = results.values(scenario, phase, row, key)
          return values.length === 0 ? 0 : summarize(values).median
        }
        return { where: `${scenario}/${phase}/${row}`, busy: median("generatorBusy"), waited: median("waited") }
      })
    )
  )

const percent = (share: number): string => `${Math.round(share * 100)} %`

/** In sentences; none when all is well. */
export const remarks = (results: Results): ReadonlyArray<string> => {
  const all = collect(results)
  const limited = all.filter((doubt) => doubt.busy > busy)
  const shared = all.filter((doubt) => doubt.waited > tolerable)
  const sentences: Array<string> = []
  if (limited.length > 0) {
    const list = limited.map((doubt) => `${doubt.where} (${percent(doubt.busy)})`).join(", ")
    sentences.push(`The generator used more than ${percent(busy)} of its core in ${list}: the server may do more.`)
  }
  if (shared.length > 0) {
    const worst = Math.max(...shared.map(({ waited }) => waited))
    sentences.push(
      `The machine was shared: in ${shared.length} of ${all.length} lines the server or the generator waited for a core ` +
        `more than ${percent(tolerable)} of the time, at worst ${percent(worst)}. Rates and latencies there say little; ` +
        "CPU times of those that write once per turn are too high, since less was written per turn."
    )
  }
  return sentences
}
