/**
 * The system's Chromium, where there is one.
 */
import { accessSync, constants } from "node:fs"
import * as path from "node:path"
import { type Browser, chromium } from "playwright-core"

const names = ["chromium", "chromium-browser", "google-chrome"]

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const executablePath = names
  .flatMap((name) => (process.env.PATH ?? "").split(path.delimiter).map((folder) => path.join(folder, name)))
  .find(isExecutable)

/** Why browser tests cannot run here; `undefined` where they can. */
export const missing =
  executablePath === undefined ? `Chromium is not installed (looked for ${names.join(", ")} on PATH)` : undefined

/** Starts Chromium without a window. */
export const launch = (): Promise<Browser> =>
  chromium.launch({
    ...(executablePath !== undefined && { executablePath }),
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync"
    ]
  })
