import { assert, describe, it } from "@effect/vitest"
import type { Page, WebSocketRoute } from "playwright-core"
import { inState, person, setHidden, shootAll, useWindows } from "../support/browser.ts"
import { Client, type Frame } from "../support/playground.ts"
import { chatIn, line } from "./chatPage.ts"

const windows = useWindows("chat-people")
const { enter, enterBoth } = chatIn(windows)

const choose = (page: Page, status: "Online" | "Away" | "Busy"): Promise<void> =>
  page.getByTestId("choice").getByLabel(status).check()

const count = (page: Page, text: string): Promise<void> => page.getByText(text, { exact: true }).waitFor()

/** How many entries a name has, with whatever status. */
const entries = (page: Page, name: string): Promise<number> => person(page, name).count()

/** Waits until what one page has said by now is shown on the other, which becomes busy after it. */
const saysNothingMore = async (page: Page, other: Page): Promise<void> => {
  await page.evaluate(`socket.send('{"type":"typing"}')`)
  await other.getByTestId("typing").filter({ hasText: "is typing" }).waitFor()
  await choose(other, "Busy")
  await person(other, "Alice", "busy").waitFor()
}

/** A page whose server is the test: it says who is in the room. */
const withServer = async (room: string): Promise<readonly [page: Page, tell: (message: Frame) => void]> => {
  const { promise, resolve } = Promise.withResolvers<WebSocketRoute>()
  const page = await windows.open(
    "/",
    { name: "Alice", room },
    {
      clock: true,
      before: (opened) =>
        opened.routeWebSocket(/\/chat\/room\//, (socket) => {
          socket.onMessage((message) => {
            if ((JSON.parse(String(message)) as Frame)["type"] === "members") resolve(socket)
          })
        })
    }
  )
  const socket = await promise
  return [page, (message) => socket.send(JSON.stringify(message))]
}

const ago = (minutes: number): Frame => ({ lastSeen: new Date(Date.now() - minutes * 60_000).toISOString() })

const member = (username: string, more: Frame = {}): Frame => ({
  username,
  status: "online",
  windows: 1,
  lastSeen: new Date().toISOString(),
  unstable: false,
  ...more
})

describe("J7: the people on the chat page", () => {
  it("are those who are in the room, in words and by their number", async () => {
    const [alice, bob] = await enterBoth("who")
    for (const page of [alice, bob]) {
      await count(page, "2 here")
      for (const name of ["Alice", "Bob"]) await person(page, name, "online").filter({ hasText: "online" }).waitFor()
    }
    await person(alice, "Alice").filter({ hasText: "you" }).waitFor()
    await bob.getByTestId("room").fill("elsewhere")
    await bob.getByTestId("join").click()
    await count(alice, "1 here")
    await person(alice, "Bob", "left").filter({ hasText: "left · last seen just now" }).waitFor()
    await person(bob, "Bob", "online").waitFor()
    await count(bob, "1 here")
    assert.strictEqual(await entries(bob, "Alice"), 0)
  })

  it("are busy or away in both windows when they say so, and after a reload", async () => {
    const [alice, bob] = await enterBoth("choices")
    await choose(bob, "Busy")
    for (const page of [alice, bob]) await person(page, "Bob", "busy").filter({ hasText: "busy" }).waitFor()
    await bob.reload()
    await line(alice, "joined", "Bob").nth(1).waitFor()
    for (const page of [alice, bob]) await person(page, "Bob", "busy").waitFor()
    assert.isTrue(await bob.getByTestId("choice").getByLabel("Busy").isChecked())
    await choose(bob, "Away")
    for (const page of [alice, bob]) await person(page, "Bob", "away").filter({ hasText: "away · last seen" }).waitFor()
    await choose(bob, "Online")
    for (const page of [alice, bob]) await person(page, "Bob", "online").waitFor()
    assert.strictEqual(await entries(alice, "Bob"), 1)
  })

  it("are away while their tab is hidden, unless they are busy", async () => {
    const [alice, bob] = await enterBoth("hidden")
    await setHidden(bob, true)
    await person(alice, "Bob", "away").waitFor()
    await setHidden(bob, false)
    await person(alice, "Bob", "online").waitFor()
    await choose(bob, "Busy")
    await person(alice, "Bob", "busy").waitFor()
    await setHidden(bob, true)
    await saysNothingMore(bob, alice)
    assert.strictEqual(await person(alice, "Bob", "busy").count(), 1)
  })

  it("are away after five minutes without a key or a pointer, until there is one", async () => {
    const alice = await enter("idle", "Alice")
    const bob = await enter("idle", "Bob", { clock: true })
    await person(alice, "Bob", "online").waitFor()
    await bob.clock.fastForward("04:00")
    await bob.mouse.move(200, 200)
    await bob.clock.fastForward("04:00")
    await saysNothingMore(bob, alice)
    assert.strictEqual(await person(alice, "Bob", "online").count(), 1)
    await bob.clock.fastForward("02:00")
    await person(alice, "Bob", "away").waitFor()
    await bob.mouse.move(300, 300)
    await person(alice, "Bob", "online").waitFor()
  })

  it("are one entry with two tabs, which stays when one is closed and leaves with the last", async () => {
    const bob = await enter("tabs", "Bob")
    const first = await enter("tabs", "Alice", { own: true })
    const second = await enter("tabs", "Alice", { beside: first })
    for (const page of [bob, first, second]) {
      await person(page, "Alice", "online").getByTitle("In 2 windows").waitFor()
      await count(page, "2 here")
      assert.strictEqual(await entries(page, "Alice"), 1)
    }
    await windows.close(second)
    await person(bob, "Alice", "online").getByTitle(/^In /).waitFor({ state: "hidden" })
    await person(bob, "Alice", "online").waitFor()
    await count(bob, "2 here")
    await windows.close(first)
    await person(bob, "Alice", "left").waitFor()
    await count(bob, "1 here")
  })

  it("who are in two tabs are busy in both when they choose so in one", async () => {
    const bob = await enter("two-tabs", "Bob")
    const first = await enter("two-tabs", "Alice", { own: true })
    const second = await enter("two-tabs", "Alice", { beside: first })
    await choose(first, "Busy")
    await person(bob, "Alice", "busy").waitFor()
    assert.isTrue(await second.getByTestId("choice").getByLabel("Busy").isChecked())
  })

  it("who left are listed with the time for a quarter of an hour, and can come back", async () => {
    const alice = await enter("leavers", "Alice", { clock: true })
    const bob = await enter("leavers", "Bob", { own: true })
    const carol = await enter("leavers", "Carol", { own: true })
    await person(alice, "Carol", "online").waitFor()
    for (const page of [bob, carol]) await windows.close(page)
    await person(alice, "Bob", "left").filter({ hasText: "last seen just now" }).waitFor()
    await person(alice, "Carol", "left").waitFor()
    await alice.clock.fastForward("02:00")
    await person(alice, "Bob").filter({ hasText: "left · last seen 2 min ago" }).waitFor()
    await enter("leavers", "Bob")
    await person(alice, "Bob", "online").waitFor()
    assert.strictEqual(await entries(alice, "Bob"), 1)
    await alice.clock.fastForward("14:00")
    await person(alice, "Carol").waitFor({ state: "detached" })
    await person(alice, "Bob", "online").waitFor()
  })

  it("whose connection was lost are shown as unstable, seen when it was lost", async () => {
    const [alice, tell] = await withServer("losses")
    const people = [member("Alice"), member("Bob", { ...ago(60) }), member("Carol", { ...ago(60), unstable: true })]
    tell({ type: "members", users: 3, members: people })
    await person(alice, "Bob", "online").filter({ hasNotText: "last seen" }).waitFor()
    await person(alice, "Carol", "unstable").filter({ hasText: "unstable · last seen 1 h ago" }).waitFor()
    const lost = member("Bob", { ...ago(60), unstable: true, windows: 0 })
    tell({ type: "members_changed", users: 3, members: [lost], left: [] })
    await person(alice, "Bob", "unstable").filter({ hasText: "unstable · last seen just now" }).waitFor()
    await alice.clock.fastForward("02:00")
    await person(alice, "Bob", "unstable").filter({ hasText: "unstable · last seen 2 min ago" }).waitFor()
    tell({ type: "members_changed", users: 2, members: [], left: [{ username: "Bob", reason: "dropped" }] })
    await person(alice, "Bob", "left").filter({ hasText: "left · last seen 2 min ago" }).waitFor()
  })

  it("whose connection was lost are the same when they are back", async () => {
    const alice = await enter("backs", "Alice")
    const url = `${windows.playground().origin.replace("http", "ws")}/chat/room/backs?username=Bob`
    using lost = await Client.connect(url)
    lost.send({ type: "status", status: "away" })
    await person(alice, "Bob", "away").waitFor()
    lost.reset()
    await person(alice, "Bob", "unstable").filter({ hasText: "last seen just now" }).waitFor()
    await count(alice, "2 here")
    using _back = await Client.connect(url)
    await person(alice, "Bob", "online").waitFor()
    assert.strictEqual(await entries(alice, "Bob"), 1)
    assert.isFalse(await person(alice, "Bob").getByTitle(/^In /).isVisible())
  })

  it("are only counted when they are too many to list", async () => {
    const [alice, tell] = await withServer("crowds")
    tell({ type: "members", users: 2, members: [member("Alice"), member("Bob")] })
    await person(alice, "Bob", "online").waitFor()
    tell({ type: "members", users: 201 })
    await alice.getByText("There are too many to list.").waitFor()
    await count(alice, "201 here")
    assert.strictEqual(await alice.getByTestId("people").locator("li").count(), 0)
    tell({ type: "members", users: 1, members: [member("Alice")] })
    await person(alice, "Alice", "online").waitFor()
    await alice.getByText("There are too many to list.").waitFor({ state: "hidden" })
  })

  it("of a connection that comes back are those of then, and who went meanwhile has left", async () => {
    const alice = await enter("returns", "Alice")
    const bob = await enter("returns", "Bob", { own: true })
    await person(alice, "Bob", "online").waitFor()
    await choose(alice, "Busy")
    await person(bob, "Alice", "busy").waitFor()
    await alice.evaluate(`disconnect(); setState("closed", "Closed", "", "Connect again")`)
    await alice.getByText("2 here").waitFor({ state: "hidden" })
    await person(bob, "Alice", "left").waitFor()
    await windows.close(bob)
    using carol = await Client.connect(
      `${windows.playground().origin.replace("http", "ws")}/chat/room/returns?username=Carol`
    )
    carol.send({ type: "status", status: "away" })
    await alice.getByRole("button", { name: "Connect again" }).click()
    await inState(alice, "live")
    await person(alice, "Carol", "away").waitFor()
    await person(alice, "Bob", "left").waitFor()
    await person(alice, "Alice", "busy").waitFor()
    await count(alice, "2 here")
  })

  it("SEC16: in a private room are who their tokens name, whatever the pages claim", async () => {
    const [alice, mallory] = await enterBoth("outside")
    const room = `${windows.playground().origin.replace("http", "ws")}/chat/private/browser`
    // Beside the page's own connection, since the page has no private rooms.
    const join = (page: Page, query: string): Promise<void> =>
      page.evaluate(
        `new Promise((resolve, reject) => {
          window.heard = []
          window.inside = new WebSocket(${JSON.stringify(`${room}?${query}`)})
          window.busy = new Promise((seen) => inside.addEventListener("message", ({ data }) => {
            const { members = [] } = JSON.parse(data)
            heard.push(...members)
            if (members.some(({ status }) => status === "busy")) seen()
          }))
          inside.onopen = () => { inside.send('{"type":"members"}'); resolve() }
          inside.onerror = reject
        })`
      )
    await join(alice, "token=alice-token")
    await join(mallory, "token=bob-token&username=Alice")
    await mallory.evaluate(`inside.send('{"type":"status","status":"busy","username":"Alice","user":"Alice"}')`)
    for (const page of [alice, mallory]) {
      await page.evaluate(`busy`)
      const heard = (await page.evaluate(`heard`)) as ReadonlyArray<Frame>
      const names = new Set(heard.map(({ username }) => username))
      assert.deepStrictEqual(names, new Set(["Alice", "Bob"]))
      for (const { status, username } of heard) assert.isTrue(username === "Bob" || status === "online")
    }
    await alice.evaluate(`inside.close()`)
    await mallory.evaluate(`inside.close()`)
  })

  it("fit a desktop and a phone, in light and in dark, whatever their names and states are", async () => {
    const [alice, tell] = await withServer("states")
    const members = [
      member("Alice", { windows: 2 }),
      member("Bob"),
      member("Carol", { status: "busy" }),
      member("Maximiliane-Theodora von Hohenfels-Berge", { status: "away", windows: 12, ...ago(59) }),
      member("Wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", { status: "away", ...ago(4) }),
      member("Dave", { unstable: true, windows: 0, ...ago(2) }),
      member("Erin")
    ]
    tell({ type: "members", users: 7, members })
    tell({ type: "members_changed", users: 6, members: [], left: [{ username: "Erin", reason: "left" }] })
    await person(alice, "Erin", "left").waitFor()
    tell({ type: "message", username: "Bob", content: "hello", timestamp: new Date().toISOString() })
    await line(alice, "message", "Bob").waitFor()
    await shootAll(windows, alice, "states", async ({ width }) => {
      const menu = alice.getByRole("button", { name: "Rooms and people" })
      if (await menu.isVisible()) await menu.click()
      for (const row of await alice.getByTestId("people").locator("[data-username]").all()) {
        await row.scrollIntoViewIfNeeded()
        const box = await row.boundingBox()
        assert.isNotNull(box)
        assert.isTrue(box.x >= 0 && box.x + box.width <= width && box.height <= 52, JSON.stringify(box))
      }
      await windows.shoot(alice, `states-list-${width}`)
    })
  })
})
