/**
 * Reads TypeScript sources for the checks: syntax tree and comments of one file, and the files of a folder.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { parseSync } from "vite"
import { root } from "./run.ts"

export type Comment = { readonly type: string; readonly value: string; readonly start: number; readonly end: number }

export interface Source {
  /** Path from the repository's folder, with forward slashes. */
  readonly file: string
  readonly text: string
  readonly body: ReturnType<typeof parseSync>["program"]["body"]
  readonly comments: ReadonlyArray<Comment>
  /** Every module named in an import, export-from, dynamic import or import type. */
  readonly imports: ReadonlyArray<string>
  /** Lines that are neither blank nor comment. */
  readonly codeLines: number
}

const cache = new Map<string, Source>()

/** Parses a file once; throws on a syntax error. */
export const read = (file: string): Source => {
  const known = cache.get(file)
  if (known !== undefined) return known
  const text = readFileSync(path.join(root, file), "utf8")
  const { program, comments, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`)
  const code = withoutComments(text, comments)
  const statements = program.body.flatMap((node) =>
    "source" in node && node.source !== null ? [node.source.value] : []
  )
  const calls = [...code.matchAll(/\bimport\s*\(\s*(["'])(.+?)\1/g)].map((match) => match[2]!)
  const source: Source = {
    file,
    text,
    body: program.body,
    comments,
    imports: [...new Set([...statements, ...calls])],
    codeLines: code.split("\n").filter((line) => line.trim() !== "").length
  }
  cache.set(file, source)
  return source
}

/** Lists the TypeScript files of a folder, sorted; empty when there is no such folder. */
export const list = (folder: string): ReadonlyArray<string> =>
  existsSync(path.join(root, folder))
    ? readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => /\.[cm]?tsx?$/.test(file))
        .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
        .toSorted()
    : []

/** Resolves a relative import to a path from the repository's folder. */
export const resolve = (from: string, specifier: string): string => path.posix.join(path.posix.dirname(from), specifier)

const withoutComments = (text: string, comments: ReadonlyArray<Comment>): string => {
  let code = ""
  let position = 0
  for (const comment of comments) {
    code += text.slice(position, comment.start) + text.slice(comment.start, comment.end).replace(/[^\n]+/g, "")
    position = comment.end
  }
  return code + text.slice(position)
}
