/**
 * Compiles every TypeScript example: those in docstrings of src/ and those in the pages of the repository. The README's
 * chat must also be the tested file examples/chat.ts, to the letter.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { root, run } from "./run.ts"
import { list, read } from "./source.ts"

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
const examples = texts.flatMap(([file, text]) =>
  [...text.matchAll(block)].map((match, index) => ({
    name: `${file.replaceAll(/[/.]/g, "-")}-${index + 1}.ts`,
    code: match[1]!
  }))
)

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)
writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts"] }))
for (const { code, name } of examples) writeFileSync(path.join(folder, name), code)

const chat = readFileSync(path.join(root, "examples/chat.ts"), "utf8")
const readmeIsTested = examples.some(({ code, name }) => name.startsWith("README") && code === chat)
if (!readmeIsTested) console.error("error: the chat in README.md differs from examples/chat.ts")

const code = run("tsc", "-p", ".examples/tsconfig.json")
rmSync(folder, { recursive: true, force: true })
console.log(`examples: ${examples.length} compiled, ${code === 0 && readmeIsTested ? "all in order" : "with problems"}`)
process.exitCode = code === 0 && readmeIsTested ? 0 : 1
