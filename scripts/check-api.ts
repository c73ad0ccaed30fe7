/**
 * Compares the public names of every entry point in package.json with docs/api.md, and writes that page with --write.
 * A public name needs a docstring. Text above the first entry point's heading is kept.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { root } from "./run.ts"
import { read, resolve, type Source } from "./source.ts"

type Row = { readonly name: string; readonly kind: string; readonly summary: string }
type Declared = { readonly name: string; readonly kind: string; readonly doc: string | undefined }

const page = "docs/api.md"
const sourceCondition = "effect-rooms-source"
const preface = `# Public API

Written by \`npm run api -- --write\` from the docstrings in \`src/\`; CI compares it with what the package exports.

`

const problems: Array<string> = []

/** The text of the documentation comment that ends right before a position. */
const docBefore = (source: Source, start: number): string | undefined => {
  const comment = source.comments.findLast((it) => it.end <= start)
  const isDoc = comment !== undefined && comment.type === "Block" && comment.value.startsWith("*")
  return isDoc && source.text.slice(comment.end, start).trim() === "" ? comment.value : undefined
}

/** The documentation comment a file opens with, unless that one belongs to the file's first declaration. */
const moduleDoc = (source: Source): string | undefined => {
  const first = source.body[0]
  const comments = source.comments.filter((it) => first === undefined || it.end <= first.start)
  const opening = comments.find((it) => it.type === "Block" && it.value.startsWith("*"))
  if (opening === undefined) return undefined
  const isImport = first?.type === "ImportDeclaration" || first?.type === "ExportAllDeclaration"
  return isImport || comments.at(-1) !== opening ? opening.value : undefined
}

const summaryOf = (doc: string): string => {
  const text = doc.replace(/^[ \t]*\*+[ \t]?/gm, "").trim()
  const paragraph = text
    .split(/\n\s*\n|\n\s*@/)[0]!
    .replace(/\s+/g, " ")
    .trim()
  const sentence = /^.*?(?<!\b(?:e\.g|i\.e|vs|etc))[.!?](?=\s+[^a-z]|$)/.exec(paragraph)?.[0] ?? paragraph
  return sentence.replace(/\{@link\s+([^}|]+?)(?:\s*\|[^}]*)?\}/g, "`$1`").replace(/\|/g, "\\|")
}

/** The names a file declares at its top level, exported or not, with kind and documentation. */
const declarations = (source: Source): ReadonlyArray<Declared> =>
  source.body.flatMap((node): ReadonlyArray<Declared> => {
    const isExport = node.type === "ExportNamedDeclaration" || node.type === "ExportDefaultDeclaration"
    const declaration = isExport ? node.declaration : node
    const doc = docBefore(source, node.start)
    switch (declaration?.type) {
      case "VariableDeclaration":
        return declaration.declarations.flatMap((it) => {
          const isFunction =
            it.init?.type === "ArrowFunctionExpression" ||
            it.init?.type === "FunctionExpression" ||
            (it.init !== null && source.text.startsWith("Effect.fn", it.init.start))
          return it.id.type === "Identifier" ? [{ name: it.id.name, kind: isFunction ? "function" : "const", doc }] : []
        })
      case "FunctionDeclaration":
      case "TSDeclareFunction":
        return [{ name: declaration.id?.name ?? "default", kind: "function", doc }]
      case "ClassDeclaration":
        return [{ name: declaration.id?.name ?? "default", kind: "class", doc }]
      case "TSInterfaceDeclaration":
        return [{ name: declaration.id.name, kind: "interface", doc }]
      case "TSTypeAliasDeclaration":
        return [{ name: declaration.id.name, kind: "type", doc }]
      case "TSModuleDeclaration":
        return declaration.id.type === "Identifier" ? [{ name: declaration.id.name, kind: "namespace", doc }] : []
      default:
        return []
    }
  })

/** One row for a name of a file: several declarations of it (a type and a value, overloads) are one name. */
const describe = (source: Source, local: string, exported: string): ReadonlyArray<Row> => {
  for (const node of source.body) {
    if (node.type !== "ImportDeclaration") continue
    const specifier = node.specifiers.find((it) => it.local.name === local)
    if (specifier === undefined) continue
    return specifier.type === "ImportNamespaceSpecifier"
      ? namespace(source, node.source.value, exported)
      : exportOf(source, node.source.value, "imported" in specifier ? nameOf(specifier.imported) : "default", exported)
  }
  const found = declarations(source).filter((it) => it.name === local)
  const doc = found.find((it) => it.doc !== undefined)?.doc
  if (found.length === 0) problems.push(`${source.file}: cannot find what "${local}" is`)
  else if (doc === undefined || summaryOf(doc) === "") problems.push(`${source.file}: "${local}" has no docstring`)
  const kind = [...new Set(found.map((it) => it.kind))].join(", ")
  return [{ name: exported, kind, summary: summaryOf(doc ?? "") }]
}

const nameOf = (node: { readonly type: string; readonly name?: string; readonly value?: unknown }): string =>
  node.name ?? String(node.value)

const namespace = (from: Source, specifier: string, exported: string): ReadonlyArray<Row> => {
  if (!specifier.startsWith(".")) return [{ name: exported, kind: "module", summary: `All of \`${specifier}\`.` }]
  const target = read(resolve(from.file, specifier))
  const doc = moduleDoc(target)
  if (doc === undefined) problems.push(`${target.file}: the module, exported as "${exported}", has no docstring`)
  const members = exportsOf(target).map((row) => ({ ...row, name: `${exported}.${row.name}` }))
  return [{ name: exported, kind: "module", summary: summaryOf(doc ?? "") }, ...members]
}

/** One export of another file, under the name it is exported as here. */
const exportOf = (from: Source, specifier: string, name: string, exported: string): ReadonlyArray<Row> => {
  if (!specifier.startsWith(".")) return [{ name: exported, kind: "re-export", summary: `From \`${specifier}\`.` }]
  const file = resolve(from.file, specifier)
  const rows = exportsOf(read(file)).filter((row) => row.name === name || row.name.startsWith(`${name}.`))
  if (rows.length === 0) problems.push(`${from.file}: ${file} does not export "${name}"`)
  return rows.map((row) => ({ ...row, name: exported + row.name.slice(name.length) }))
}

/** The rows of everything a file exports. */
const exportsOf = (source: Source): ReadonlyArray<Row> => {
  const rows = new Map<string, Row>()
  const add = (found: ReadonlyArray<Row>) => found.forEach((row) => rows.set(row.name, row))
  for (const node of source.body) {
    if (node.type === "ExportAllDeclaration") {
      const specifier = node.source.value
      if (node.exported !== null) add(namespace(source, specifier, nameOf(node.exported)))
      else if (specifier.startsWith("."))
        add(exportsOf(read(resolve(source.file, specifier))).filter((row) => row.name !== "default"))
      else problems.push(`${source.file}: export * from "${specifier}" hides what is public; name the exports`)
    } else if (node.type === "ExportNamedDeclaration" && node.declaration === null) {
      for (const it of node.specifiers) {
        const [local, exported] = [nameOf(it.local), nameOf(it.exported)]
        add(
          node.source === null
            ? describe(source, local, exported)
            : exportOf(source, node.source.value, local, exported)
        )
      }
    } else if (node.type === "ExportDefaultDeclaration") {
      add(describe(source, "default", "default"))
    }
  }
  const exported = source.body.filter((node) => node.type === "ExportNamedDeclaration" && node.declaration !== null)
  const names = declarations({ ...source, body: exported }).map((it) => it.name)
  for (const name of new Set(names)) add(describe(source, name, name))
  return [...rows.values()]
}

const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly exports: Record<string, null | string | Record<string, string>>
}
let names = 0
const sections = Object.entries(manifest.exports).flatMap(([entry, target]) => {
  const file = typeof target === "object" ? target?.[sourceCondition] : undefined
  if (file === undefined) return []
  if (!existsSync(path.join(root, file))) {
    problems.push(`package.json: the entry point "${entry}" has no ${file}`)
    return []
  }
  const rows = [...exportsOf(read(path.posix.normalize(file)))].toSorted((a, b) =>
    a.name < b.name ? -1 : a.name > b.name ? 1 : 0
  )
  names += rows.length
  const table = rows.map((row) => `| \`${row.name}\` | ${row.kind} | ${row.summary} |\n`).join("")
  return [`## ${path.posix.join(manifest.name, entry)}\n\n| name | kind | summary |\n| --- | --- | --- |\n${table}`]
})

const full = path.join(root, page)
const before = existsSync(full) ? readFileSync(full, "utf8") : ""
const heading = before.search(/^## /m)
const wanted = (heading > 0 ? before.slice(0, heading) : preface) + sections.join("\n")

if (process.argv.includes("--write")) {
  mkdirSync(path.dirname(full), { recursive: true })
  writeFileSync(full, wanted)
} else if (before !== wanted) {
  const [has, needs] = [before.split("\n"), wanted.split("\n")]
  for (const line of before === "" ? [] : needs.filter((it) => !has.includes(it)))
    problems.push(`${page} lacks: ${line}`)
  for (const line of before === "" ? [] : has.filter((it) => !needs.includes(it)))
    problems.push(`${page} should not have: ${line}`)
  problems.push(`${page} is not what the package exports; run: npm run api -- --write`)
}

for (const problem of new Set(problems)) console.error(`error: ${problem}`)
console.log(`api: ${sections.length} entry points, ${names} names, ${new Set(problems).size} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
