import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import type { Browser, Locator, Page } from "playwright-core"
import { launch, missing } from "../support/chromium.ts"
import { type Playground, startPlayground } from "../support/playground.ts"

const desktop = { width: 1100, height: 720 }
const phone = { width: 375, height: 720 }

let browser: Browser | undefined
let playground: Playground | undefined
/** Kept from test to test, since opening one takes longer than most tests. */
const windows: Array<Page> = []
let taken = 0
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
  for (const page of windows) await page.goto("about:blank")
  assert.deepStrictEqual(complaints.splice(0), [])
})
afterAll(async () => {
  await browser?.close()
  await playground?.[Symbol.asyncDispose]()
  assert.strictEqual(playground?.stderr() ?? "", "")
})

/** A window with cookies and storage of its own. */
const makeWindow = async (): Promise<Page> => {
  const context = await browser!.newContext()
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text())
  })
  page.on("pageerror", (error) => complaints.push(String(error)))
  windows.push(page)
  return page
}

/** Opens the page in a window that this test has not used, where its name and room come from the URL. */
const open = async (query: Record<string, string>, { origin } = playground!): Promise<Page> => {
  const page = windows[taken++] ?? (await makeWindow())
  await page.setViewportSize(desktop)
  await page.emulateMedia({ colorScheme: "light" })
  await page.goto(`${origin}/?${new URLSearchParams(query).toString()}`)
  return page
}

const inState = (page: Page, state: string): Promise<void> =>
  page.locator(`[data-testid="status"][data-state="${state}"]`).waitFor()

/** A window in a room, past its own arrival. */
const enter = async (room: string, name: string, server = playground): Promise<Page> => {
  const page = await open({ name, room }, server)
  await inState(page, "live")
  await line(page, "joined", name).waitFor()
  return page
}

/** Two windows in one room that have seen each other. */
const enterBoth = async (room: string, server = playground): Promise<readonly [alice: Page, bob: Page]> => {
  const alice = await enter(room, "Alice", server)
  const bob = await enter(room, "Bob", server)
  await line(alice, "joined", "Bob").waitFor()
  return [alice, bob]
}

const line = (page: Page, type: string, username: string, text = ""): Locator =>
  page.getByTestId("log").locator(`[data-type="${type}"][data-username="${username}"]`).filter({ hasText: text })

const say = async (page: Page, text: string): Promise<void> => {
  await page.getByTestId("input").fill(text)
  await page.getByTestId("send").click()
}

const person = (page: Page, name: string): Locator => page.getByTestId("people").locator(`[data-username="${name}"]`)

const shoot = async (page: Page, name: string): Promise<void> => {
  const folder = new URL("../.screenshots/", import.meta.url)
  await page.screenshot({ path: fileURLToPath(new URL(`chat-${name}.png`, folder)), animations: "disabled" })
}

describe("the chat page", () => {
  it("asks for a name and a room, and enters it", async () => {
    const page = await open({})
    await inState(page, "idle")
    await page.getByTestId("name").fill("Alice")
    await page.getByTestId("room").fill("team/blue")
    await page.getByTestId("join").click()
    await inState(page, "live")
    assert.strictEqual(await line(page, "joined", "Alice").innerText(), "You joined")
    await person(page, "Alice").filter({ hasText: "you" }).waitFor()
    assert.isTrue(await page.getByTestId("input").isEditable())
  })

  it("is in the same room again after a reload", async () => {
    const page = await enter("reloads", "Alice")
    await page.reload()
    await inState(page, "live")
    await line(page, "joined", "Alice").waitFor()
    assert.strictEqual(await page.getByTestId("room").inputValue(), "reloads")
  })

  it("shows messages in both windows, and a tick once they are delivered", async () => {
    const [alice, bob] = await enterBoth("both-ways")
    await say(alice, "hello Bob")
    await line(bob, "message", "Alice", "hello Bob").waitFor()
    await say(bob, "hello Alice")
    await line(alice, "message", "Bob", "hello Alice").waitFor()

    const own = line(alice, "message", "Alice", "hello Bob").and(alice.locator(`.mine[data-delivery="sent"]`))
    await own.getByRole("img", { name: "Delivered" }).waitFor()
    const others = line(bob, "message", "Alice")
    assert.strictEqual(await others.and(bob.locator(".mine, [data-delivery]")).count(), 0)
    assert.strictEqual(await others.getByRole("img", { name: "Delivered" }).count(), 0)
    for (const page of [alice, bob]) {
      assert.strictEqual(await page.getByTestId("log").locator(`[data-type="message"]`).count(), 2)
    }
  })

  it("sends on Enter and breaks the line on Shift+Enter", async () => {
    const alice = await enter("keys", "Alice")
    const input = alice.getByTestId("input")
    await input.pressSequentially("one")
    await input.press("Shift+Enter")
    await input.pressSequentially("two")
    await input.press("Enter")
    assert.strictEqual(await line(alice, "message", "Alice").locator(".text").innerText(), "one\ntwo")
    assert.strictEqual(await input.inputValue(), "")
  })

  it("shows that somebody types until the message is there", async () => {
    const [alice, bob] = await enterBoth("typists")
    await alice.getByTestId("input").pressSequentially("so")
    await bob.getByTestId("typing").filter({ hasText: "Alice is typing…" }).waitFor()
    await shoot(bob, "typing")
    await alice.getByTestId("send").click()
    await line(bob, "message", "Alice", "so").waitFor()
    assert.strictEqual(await bob.getByTestId("typing").textContent(), "")
    assert.strictEqual(await alice.getByTestId("typing").textContent(), "")
  })

  it("says who joined and who left", async () => {
    const [alice, bob] = await enterBoth("comings")
    assert.strictEqual(await line(alice, "joined", "Bob").innerText(), "Bob joined")
    await person(alice, "Bob").waitFor()
    await bob.goto("about:blank")
    await line(alice, "left", "Bob").waitFor()
    assert.strictEqual(await line(alice, "left", "Bob").innerText(), "Bob left")
    await person(alice, "Bob").filter({ hasText: "left" }).waitFor()
  })

  it("leaves the old room on the way to another", async () => {
    const [alice, bob] = await enterBoth("old-room")
    await bob.getByTestId("room").fill("new-room")
    await bob.getByTestId("join").click()
    await line(alice, "left", "Bob").waitFor()
    await line(bob, "joined", "Bob").waitFor()
    await say(bob, "anybody here?")
    await line(bob, "message", "Bob").and(bob.locator(`[data-delivery="sent"]`)).waitFor()
    await say(alice, "still here")
    await line(alice, "message", "Alice").and(alice.locator(`[data-delivery="sent"]`)).waitFor()
    assert.strictEqual(await line(alice, "message", "Bob").count(), 0)
    assert.strictEqual(await line(bob, "message", "Alice").count(), 0)
  })

  it("sends direct messages to one person, who can reply from another room", async () => {
    const [alice, bob] = await enterBoth("whispers")
    const carol = await enter("whispers", "Carol")
    await bob.getByTestId("room").fill("elsewhere")
    await bob.getByTestId("join").click()
    await line(bob, "joined", "Bob").waitFor()

    await person(alice, "Bob").click()
    await say(alice, "only for you")
    await line(alice, "direct", "Alice", "only for you").and(alice.locator(`.mine[data-delivery="sent"]`)).waitFor()
    const received = line(bob, "direct", "Alice", "only for you")
    await received.filter({ hasText: "Direct from Alice" }).waitFor()
    await received.getByRole("button", { name: "Reply" }).click()
    await say(bob, "thank you")
    await line(alice, "direct", "Bob", "thank you").waitFor()

    await alice.getByRole("button", { name: "Back to the room" }).click()
    await say(alice, "for everybody")
    await line(carol, "message", "Alice", "for everybody").waitFor()
    assert.strictEqual(await carol.getByTestId("log").locator(`[data-type="direct"]`).count(), 0)
  })

  it("shows HTML as text, in messages and in names", async () => {
    const markup = `<img src="x" onerror="document.title = 'owned'"><b>bold</b>`
    const eve = `<i>Eve</i>`
    const alice = await enter("markup", "Alice")
    const mallory = await enter("markup", eve)
    await say(mallory, markup)
    for (const page of [alice, mallory]) {
      const text = line(page, "message", eve).locator(".text")
      assert.strictEqual(await text.innerText(), markup)
      assert.strictEqual(await page.locator("img, b, i").count(), 0)
      assert.strictEqual(await page.title(), "effect-rooms chat")
    }
    await person(alice, eve).filter({ hasText: eve }).waitFor()
  })

  it("reconnects by itself after a restart of the server, says so, and keeps what was being written", async () => {
    const server = await startPlayground()
    const [alice, bob] = await enterBoth("restart", server)
    await say(alice, "before")
    await line(bob, "message", "Alice", "before").waitFor()
    await bob.getByTestId("input").fill("after")

    await server.stop()
    for (const page of [alice, bob]) {
      await inState(page, "reconnecting")
      await page.getByText("Your text is kept.").waitFor()
    }
    assert.match(await bob.getByTestId("status").innerText(), /^(Reconnecting in \d+ s|Connecting…)$/)
    await shoot(bob, "reconnecting")
    await using again = await startPlayground(server.port)
    await Promise.all([inState(alice, "live"), inState(bob, "live")])
    await line(alice, "joined", "Alice").nth(1).waitFor()
    await line(bob, "joined", "Bob").nth(1).waitFor()
    assert.strictEqual(again.origin, server.origin)

    assert.strictEqual(await bob.getByTestId("input").inputValue(), "after")
    await bob.getByTestId("send").click()
    await line(alice, "message", "Bob", "after").waitFor()
    await say(alice, "welcome back")
    await line(bob, "message", "Alice", "welcome back").waitFor()
    assert.strictEqual(await line(bob, "message", "Alice", "before").count(), 1)

    await Promise.all([alice.goto("about:blank"), bob.goto("about:blank")])
    // The browser's own words about attempts that met no server.
    const others = complaints.splice(0).filter((text) => !/^WebSocket connection to '[^']+' failed: /.test(text))
    complaints.push(...others)
  })

  it("says why it was closed for good, and connects again when asked to", async () => {
    const alice = await enter("closed", "Alice")
    await alice.evaluate(`for (let index = 0; index < 10; index++) socket.send("no JSON")`)
    await inState(alice, "closed")
    assert.match(await alice.getByTestId("status").innerText(), /^Closed: .+ \(4500\)$/)
    assert.isFalse(await alice.getByTestId("send").isEnabled())
    await shoot(alice, "closed")
    await alice.getByRole("button", { name: "Connect again" }).click()
    await inState(alice, "live")
    await say(alice, "sorry")
    await line(alice, "message", "Alice", "sorry").and(alice.locator(`[data-delivery="sent"]`)).waitFor()
  })

  it("fits a desktop and a phone, in light and in dark", async () => {
    const [alice, bob] = await enterBoth("design")
    await say(alice, "Morning! The new room page is up.")
    await line(bob, "message", "Alice").waitFor()
    await say(bob, "Looks good. Who else is looking at it today?")
    await say(
      bob,
      "I can take the phone layout, it is the one people will notice first when something is off by a pixel."
    )
    await line(alice, "message", "Bob").nth(1).waitFor()
    await say(
      alice,
      `No${"o".repeat(120)} spaces in this word, and a second line:\nhttps://example.org/${"path/".repeat(16)}`
    )
    await person(bob, "Alice").click()
    await say(bob, "Just between us: the tick is lovely.")
    await line(alice, "direct", "Bob").waitFor()
    await line(bob, "direct", "Bob").and(bob.locator(`[data-delivery="sent"]`)).waitFor()
    await person(alice, "Bob").click()
    await alice.getByTestId("input").fill("Thank you, I")
    const welcome = await open({})
    await inState(welcome, "idle")

    for (const [who, page] of Object.entries({ welcome, alice, bob })) {
      for (const [device, size] of Object.entries({ desktop, phone })) {
        await page.setViewportSize(size)
        for (const colorScheme of ["light", "dark"] as const) {
          await page.emulateMedia({ colorScheme })
          await shoot(page, `${who}-${device}-${colorScheme}`)
        }
        assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), size.width)
        const button = await page.getByTestId(page === welcome ? "join" : "send").boundingBox()
        assert.isNotNull(button)
        assert.isAtMost(button.x + button.width, size.width)
        assert.isAtMost(button.y + button.height, size.height)
      }
    }
    await alice.getByRole("button", { name: "Rooms and people" }).click()
    await person(alice, "Bob").waitFor()
    await shoot(alice, "drawer-phone-dark")
    await person(alice, "Bob").click()
    await person(alice, "Bob").waitFor({ state: "hidden" })
  })
})
