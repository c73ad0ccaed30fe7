/**
 * What the browser tests share: a Chromium and a playground for all tests of a file, windows, and pictures of them.
 */
import { afterAll, afterEach, assert, beforeAll, beforeEach } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import type { Browser, Locator, Page } from "playwright-core"
import { launch, missing } from "./chromium.ts"
import { type Playground, startPlayground } from "./playground.ts"

export const desktop = { width: 1280, height: 800 }
export const phone = { width: 390, height: 844 }

/** How a window differs from one of the pool. */
export interface OpenOptions {
  /** Instead of the playground of the file. */
  readonly server?: Playground | undefined
  /** A window for this test alone, which it may close; so are those of the options below. */
  readonly own?: boolean | undefined
  /** One whose clock the test can put forward. */
  readonly clock?: boolean | undefined
  /** A tab beside this one, with the same storage. */
  readonly beside?: Page | undefined
  /** Runs before the page is there. */
  readonly before?: ((page: Page) => Promise<unknown>) | undefined
}

/** The browser of one test file. */
export interface Windows {
  readonly playground: () => Playground
  /** Opens a path of the playground in a window that this test has not used. */
  readonly open: (path: string, query: Record<string, string>, options?: OpenOptions) => Promise<Page>
  /** Closes a window as its user would. */
  readonly close: (page: Page) => Promise<void>
  /** Forgets what the browser itself says about attempts that met no server. */
  readonly forgiveLostServers: () => void
  readonly shoot: (page: Page, name: string) => Promise<void>
}

/**
 * Prepares the tests of the file that calls it, all of which are skipped where there is no Chromium. A test fails when
 * one of its pages complains on its console. Pictures are named with the prefix.
 */
export const useWindows = (prefix: string): Windows => {
  let browser: Browser | undefined
  let playground: Playground | undefined
  /** Kept from test to test, since opening one takes longer than most tests. */
  const pool: Array<Page> = []
  let taken = 0
  /** Windows of one test. */
  const extra = new Set<Page>()
  /** What the pages of one test said on their consoles that no page should say. */
  const complaints: Array<string> = []

  beforeAll(async () => {
    if (missing === undefined) [browser, playground] = await Promise.all([launch(), startPlayground()])
  })
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing)
    taken = 0
  })
  afterEach(async () => {
    for (const page of pool) await page.goto("about:blank")
    for (const page of extra) await page.close()
    extra.clear()
    assert.deepStrictEqual(complaints.splice(0), [])
  })
  afterAll(async () => {
    await browser?.close()
    await playground?.[Symbol.asyncDispose]()
    assert.strictEqual(playground?.stderr() ?? "", "")
  })

  const make = async (beside?: Page): Promise<Page> => {
    const context = beside?.context() ?? (await browser!.newContext())
    const page = await context.newPage()
    page.setDefaultTimeout(15_000)
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text())
    })
    page.on("pageerror", (error) => complaints.push(String(error)))
    return page
  }

  const take = async ({ before, beside, clock, own }: OpenOptions): Promise<Page> => {
    if (own !== true && clock !== true && beside === undefined && before === undefined) {
      const page = (pool[taken] ??= await make())
      taken++
      return page
    }
    const page = await make(beside)
    extra.add(page)
    if (clock === true) await page.clock.install()
    await before?.(page)
    return page
  }

  return {
    playground: () => playground!,
    open: async (path, query, options = {}) => {
      const page = await take(options)
      await page.setViewportSize(desktop)
      await page.emulateMedia({ colorScheme: "light" })
      const { origin } = options.server ?? playground!
      await page.goto(`${origin}${path}?${new URLSearchParams(query).toString()}`)
      return page
    },
    close: async (page) => {
      assert.isTrue(extra.delete(page), "windows of the pool stay open")
      await page.close()
    },
    forgiveLostServers: () => {
      const others = complaints.splice(0).filter((text) => !/^WebSocket connection to '[^']+' failed: /.test(text))
      complaints.push(...others)
    },
    shoot: async (page, name) => {
      const folder = new URL("../.screenshots/", import.meta.url)
      await page.screenshot({ path: fileURLToPath(new URL(`${prefix}-${name}.png`, folder)), animations: "disabled" })
    }
  }
}

/** Waits until the page says that its connection is in a state. */
export const inState = (page: Page, state: string): Promise<void> =>
  page.locator(`[data-testid="status"][data-state="${state}"]`).waitFor()

/** The entry of a user in a page's list of people. */
export const person = (page: Page, name: string, status?: string): Locator =>
  page
    .getByTestId("people")
    .locator(`[data-username="${name}"]${status === undefined ? "" : `[data-status="${status}"]`}`)

/** Makes a page believe that its tab is hidden, or shown again. */
export const setHidden = async (page: Page, hidden: boolean): Promise<void> => {
  await page.evaluate(
    hidden ? `Object.defineProperty(document, "hidden", { value: true, configurable: true })` : `delete document.hidden`
  )
  await page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`)
}

/** Parts of the bar on top whose content does not fit into them. */
const overflowing = `[...document.querySelectorAll("header > *")]
  .filter((node) => node.scrollWidth > node.clientWidth && node.className !== "sr")
  .map((node) => node.className)`

/** Pictures of a page on a desktop and a phone, in light and in dark; nothing on it may be wider than its place. */
export const shootAll = async (
  { shoot }: Windows,
  page: Page,
  name: string,
  check: (size: { readonly width: number; readonly height: number }) => Promise<void>
): Promise<void> => {
  for (const [device, size] of Object.entries({ desktop, phone })) {
    await page.setViewportSize(size)
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme })
      await shoot(page, `${name}-${device}-${colorScheme}`)
    }
    assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), size.width)
    assert.deepStrictEqual(await page.evaluate(overflowing), [])
    await check(size)
  }
}
