/**
 * Compiles every TypeScript example: those in docstrings of src/ and those in the pages of the repository. Some must be
 * tested files of examples/, to the letter; those are compiled where they are.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { root, run } from "./run.ts"
import { list, read } from "./source.ts"

/** Pages, and the files of examples/ they show whole. */
const shown: ReadonlyArray<readonly [page: string, file: string]> = [
  ["README.md", "examples/chat.ts"],
  ["docs/testing.md", "examples/testing/seats.ts"],
  ["docs/testing.md", "examples/testing/seats.test.ts"],
  ["docs/testing.md", "examples/testing/prices.ts"],
  ["docs/testing.md", "examples/testing/prices.test.ts"]
]

const folder = path.join(root, ".examples")
const block = /^[ \t]*```ts\n([\s\S]*?)^[ \t]*```$/gm

const pages = [
  "README.md",
  ...readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file.replaceAll("\\", "/")}`)
]

const docstrings = (file: string): string =>
  read(file)
    .comments.map((comment) => comment.value.replace(/^[ \t]*\* ?/gm, ""))
    .join("\n")

const texts = [
  ...list("src").map((file) => [file, docstrings(file)] as const),
  ...pages.map((file) => [file, readFileSync(path.join(root, file), "utf8")] as const)
]
const blocks = texts.flatMap(([file, text]) =>
  [...text.matchAll(block)].map((match, index) => ({
    file,
    name: `${file.replaceAll(/[/.]/g, "-")}-${index + 1}.ts`,
    code: match[1]!
  }))
)
const sources = new Map(shown.map(([, file]) => [file, readFileSync(path.join(root, file), "utf8")]))
const examples = blocks.filter(({ code }) => ![...sources.values()].includes(code))

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)
writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts"] }))
for (const { code, name } of examples) writeFileSync(path.join(folder, name), code)

const missing = shown.filter(
  ([page, example]) => !blocks.some(({ code, file }) => file === page && code === sources.get(example))
)
for (const [page, example] of missing) console.error(`error: ${page} does not show ${example} as it is`)

const code = run("tsc", "-p", ".examples/tsconfig.json")
rmSync(folder, { recursive: true, force: true })
const inOrder = code === 0 && missing.length === 0
console.log(`examples: ${examples.length} compiled, ${inOrder ? "all in order" : "with problems"}`)
process.exitCode = inOrder ? 0 : 1
