/**
 * docs/operations.md names every metric, and none that is not there.
 */
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { assert, it } from "@effect/vitest"

const root = path.resolve(import.meta.dirname, "..")

const namesIn = (text: string, pattern: RegExp): ReadonlyArray<string> =>
  Array.from(text.matchAll(pattern), ([, name]) => name!)

it("an operator finds all metrics in the documentation", () => {
  const sources = readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts")
  )
  const made = sources.flatMap((file) =>
    namesIn(readFileSync(path.join(root, "src", file), "utf8"), /Metric\.\w+\("(effect_rooms_\w+)"/g)
  )
  const page = readFileSync(path.join(root, "docs/operations.md"), "utf8")
  const table = page.slice(page.indexOf("## All metrics"))
  assert.isAbove(made.length, 30)
  assert.deepStrictEqual(
    Array.from(new Set(namesIn(table, /^\| `(effect_rooms_\w+)`/gm))).toSorted(),
    Array.from(new Set(made)).toSorted()
  )
})
