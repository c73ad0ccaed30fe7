/**
 * Three projects by file name: unit, integration (real sockets and processes), browser (the system's Chromium).
 * The package's own name resolves to src/ through the export condition below; processes that tests start inherit it.
 */
import { defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"

const condition = "effect-rooms-source"
const conditions = [condition, ...defaultServerConditions]

const integration = "test/**/*.integration.test.ts"
const browser = "test/**/*.browser.test.ts"

const project = (name: string, include: Array<string>, exclude: Array<string> = []) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name,
    include,
    exclude,
    globals: false,
    retry: 0,
    testTimeout: 60_000,
    hookTimeout: 20_000,
    env: { NODE_OPTIONS: `--conditions=${condition}` }
  }
})

export default defineConfig({
  test: {
    projects: [
      project("unit", ["test/**/*.test.ts"], [integration, browser]),
      project("integration", [integration]),
      project("browser", [browser])
    ]
  }
})
