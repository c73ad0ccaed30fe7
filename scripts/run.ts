/**
 * What the other scripts share: the repository's folder, and running a program of node_modules/.bin with its output
 * shown.
 */
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")

/** Runs a program in the repository's folder and answers its exit code. */
export const run = (command: string, ...args: ReadonlyArray<string>): number => {
  // npm's own commands are .cmd files on Windows, which only a shell can start.
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: process.platform === "win32" })
  if (result.error !== undefined) throw result.error
  return result.status ?? 1
}

/** Runs a program and ends this process when it fails. */
export const runOrExit = (command: string, ...args: ReadonlyArray<string>): void => {
  const code = run(command, ...args)
  if (code !== 0) process.exit(code)
}
