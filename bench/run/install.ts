/**
 * Installs what is measured against, where it is missing: it is no dependency of the project.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import * as path from "node:path"

const folder = path.resolve(import.meta.dirname, "..")

const peers = ["ws", "socket.io", "@wooksjs/event-ws"]

/** Runs `npm ci` in this folder unless all peers are there. */
export const installPeers = (): void => {
  const missing = peers.filter((name) => !existsSync(path.join(folder, "node_modules", name)))
  if (missing.length === 0) return
  console.log(`installing ${missing.join(", ")} into bench/node_modules (npm ci)`)
  const shell = process.platform === "win32"
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    stdio: "inherit",
    shell
  })
  if (status !== 0) throw new Error("npm ci failed in bench/")
}
