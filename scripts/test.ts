/**
 * Runs vitest once with the arguments given (`npm test -- Ref --project unit`) and ends with the line
 * `N passed, N failed, N skipped`. With CI=true a skipped test makes the run fail; skipped tests are listed by name.
 */
import { parseCLI, startVitest, type TestModule, type TestSuite } from "vitest/node"

const passed: Array<string> = []
const failed: Array<string> = []
const skipped: Array<string> = []

/** Adds a file's or suite's own failure: an import that threw, a hook that failed. */
const countErrors = (owner: TestModule | TestSuite, name: string): void => {
  if (owner.errors().length > 0) failed.push(name)
}

const count = (modules: ReadonlyArray<TestModule>): void => {
  for (const module of modules) {
    countErrors(module, module.moduleId)
    for (const suite of module.children.allSuites()) countErrors(suite, suite.fullName)
    for (const test of module.children.allTests()) {
      const name = `${module.relativeModuleId} > ${test.fullName}`
      const { state } = test.result()
      // "pending" is a test that never ended, because the run was cut short.
      const list = state === "passed" ? passed : state === "skipped" ? skipped : failed
      list.push(name)
    }
  }
}

try {
  const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)])
  const vitest = await startVitest("test", filter, { ...options, watch: false })
  count(vitest.state.getTestModules())
  const unhandled = vitest.state.getUnhandledErrors().length
  for (let index = 0; index < unhandled; index++) failed.push("unhandled error")
  await vitest.close()
  if (passed.length + failed.length + skipped.length === 0) process.exitCode = 1
} catch (error) {
  console.error(error)
  failed.push("vitest did not start")
}

for (const name of skipped) console.log(`skipped: ${name}`)
if (failed.length > 0) process.exitCode = 1
if (skipped.length > 0 && process.env.CI === "true") {
  console.log("a skipped test fails the run when CI=true")
  process.exitCode = 1
}
console.log(`${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`)
// A handle that a test left open must not keep the run from ending.
process.exit()
