/**
 * What the browser tests do on the chat page.
 */
import type { Locator, Page } from "playwright-core"
import { inState, type OpenOptions, type Windows } from "../support/browser.ts"

export const line = (page: Page, type: string, username: string, text = ""): Locator =>
  page.getByTestId("log").locator(`[data-type="${type}"][data-username="${username}"]`).filter({ hasText: text })

export const say = async (page: Page, text: string): Promise<void> => {
  await page.getByTestId("input").fill(text)
  await page.getByTestId("send").click()
}

/** The ways into the chat from the windows of a test file. */
export const chatIn = (windows: Windows) => {
  /** Opens the page, where its name and room come from the URL. */
  const open = (query: Record<string, string>, options?: OpenOptions): Promise<Page> =>
    windows.open("/", query, options)

  /** A window in a room, past its own arrival. */
  const enter = async (room: string, name: string, options?: OpenOptions): Promise<Page> => {
    const page = await open({ name, room }, options)
    await inState(page, "live")
    await line(page, "joined", name).waitFor()
    return page
  }

  /** Two windows in one room that have seen each other. */
  const enterBoth = async (room: string, options?: OpenOptions): Promise<readonly [alice: Page, bob: Page]> => {
    const alice = await enter(room, "Alice", options)
    const bob = await enter(room, "Bob", options)
    await line(alice, "joined", "Bob").waitFor()
    return [alice, bob]
  }

  return { open, enter, enterBoth }
}
