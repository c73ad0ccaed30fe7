import { assert, describe, it } from "@effect/vitest"
import type { Locator, Page } from "playwright-core"
import { inState, type OpenOptions, person as personIn, setHidden, shootAll, useWindows } from "../support/browser.ts"
import { startPlayground } from "../support/playground.ts"
import { slowWindow } from "./slowWindow.ts"

type ListId = "list-todo" | "list-doing" | "list-done"

const windows = useWindows("board")
const { shoot } = windows

const open = (board: string, name = "", options?: OpenOptions): Promise<Page> =>
  windows.open("/board", { board, name }, options)

const viewers = (page: Page, text: string): Promise<void> =>
  page.getByTestId("viewers").getByText(text, { exact: true }).waitFor()

/** Two windows at one board that know of each other. */
const openBoth = async (board: string, options?: OpenOptions): Promise<readonly [alice: Page, bob: Page]> => {
  const alice = await open(board, "Alice", options)
  await inState(alice, "live")
  const bob = await open(board, "Bob", options)
  await inState(bob, "live")
  await viewers(alice, "2 viewers")
  return [alice, bob]
}

const card = (page: Page, list: ListId, title: string): Locator =>
  page.getByTestId(`list-${list}`).getByTestId("card").filter({ hasText: title })

/** Adds a task and waits until the server has it. */
const add = async (page: Page, list: ListId, title: string): Promise<void> => {
  await page.getByTestId(`add-${list}-input`).fill(title)
  await page.getByTestId(`add-${list}-input`).press("Enter")
  await card(page, list, title).waitFor()
}

const isGone = async (page: Page, title: string): Promise<void> => {
  await page.getByTestId("card").filter({ hasText: title }).waitFor({ state: "detached" })
}

const person = (page: Page, name: string, status = "online"): Locator => personIn(page, name, status)

describe("the board page", () => {
  it("shows a task that is created in one window in the other", async () => {
    const [alice, bob] = await openBoth("creation")
    await add(alice, "list-todo", "Write tests")
    await card(bob, "list-todo", "Write tests").waitFor()
    await bob.getByTestId("add-list-doing-input").fill("Read them")
    await bob.getByTestId("add-list-doing").getByRole("button", { name: "Add" }).click()
    await card(alice, "list-doing", "Read them").waitFor()
    for (const page of [alice, bob]) assert.strictEqual(await page.getByTestId("card").count(), 2)
    assert.strictEqual(await alice.getByTestId("add-list-todo-input").inputValue(), "")
  })

  it("shows a task that is created over HTTP", async () => {
    const [alice, bob] = await openBoth("http")
    const body = JSON.stringify({ title: "Live update!", listId: "list-todo", boardId: "http" })
    const headers = { "content-type": "application/json" }
    const response = await fetch(`${windows.playground().origin}/tasks`, { method: "POST", headers, body })
    assert.strictEqual(response.status, 201)
    await response.text()
    for (const page of [alice, bob]) await card(page, "list-todo", "Live update!").waitFor()
  })

  it("moves a task in both windows when it is dragged to another list", async () => {
    const [alice, bob] = await openBoth("dragging")
    await add(alice, "list-todo", "Drag me")
    await card(bob, "list-todo", "Drag me").waitFor()
    await card(alice, "list-todo", "Drag me").dragTo(alice.getByTestId("list-list-done"))
    for (const page of [alice, bob]) await card(page, "list-done", "Drag me").waitFor()
    await card(bob, "list-done", "Drag me").dragTo(bob.getByTestId("list-list-doing"))
    for (const page of [bob, alice]) await card(page, "list-doing", "Drag me").waitFor()
    for (const page of [alice, bob]) assert.strictEqual(await page.getByTestId("card").count(), 1)
  })

  it("moves and deletes the task that has the focus by keys", async () => {
    const [alice, bob] = await openBoth("keys")
    await add(alice, "list-todo", "Press me")
    await card(alice, "list-todo", "Press me").press("ArrowRight")
    await card(bob, "list-doing", "Press me").waitFor()
    const moved = card(alice, "list-doing", "Press me")
    assert.isTrue(await moved.evaluate((node) => node === node.ownerDocument.activeElement))
    await moved.press("ArrowLeft")
    await card(bob, "list-todo", "Press me").waitFor()
    await card(alice, "list-todo", "Press me").press("Delete")
    for (const page of [alice, bob]) await isGone(page, "Press me")
  })

  it("deletes a task in both windows, and brings it back when that is undone", async () => {
    const [alice, bob] = await openBoth("deletion")
    await add(alice, "list-doing", "Delete me")
    const seen = card(bob, "list-doing", "Delete me")
    await seen.hover()
    await seen.getByRole("button", { name: "Delete: Delete me" }).click()
    for (const page of [bob, alice]) await isGone(page, "Delete me")
    await bob.getByRole("button", { name: "Undo" }).click()
    for (const page of [bob, alice]) await card(page, "list-doing", "Delete me").waitFor()
  })

  it("shows the tasks of its board, and of no other, to who comes later", async () => {
    const alice = await open("early", "Alice")
    await inState(alice, "live")
    await add(alice, "list-todo", "first")
    await add(alice, "list-done", "second")
    const bob = await open("early", "Bob")
    await card(bob, "list-todo", "first").waitFor()
    await card(bob, "list-done", "second").waitFor()
    const carol = await open("elsewhere", "Carol")
    await inState(carol, "live")
    assert.strictEqual(await carol.getByTestId("card").count(), 0)
  })

  it("counts the viewers", async () => {
    const [alice, bob] = await openBoth("viewers")
    await viewers(bob, "2 viewers")
    const nobody = await open("viewers")
    for (const page of [alice, bob, nobody]) await viewers(page, "3 viewers")
    await bob.goto("about:blank")
    await nobody.goto("about:blank")
    await viewers(alice, "1 viewer")
  })

  it("lists who is there, with their status and the number of their windows", async () => {
    const [alice, bob] = await openBoth("people")
    for (const page of [alice, bob]) for (const name of ["Alice", "Bob"]) await person(page, name).waitFor()
    await person(alice, "Alice").filter({ hasText: "you" }).waitFor()
    await setHidden(bob, true)
    await person(alice, "Bob", "away").waitFor()
    await setHidden(bob, false)
    await person(alice, "Bob").waitFor()
    const second = await open("people", "Alice")
    for (const page of [alice, bob, second]) await person(page, "Alice").getByText("2", { exact: true }).waitFor()
    await bob.goto("about:blank")
    await person(alice, "Bob").waitFor({ state: "detached" })
  })

  it("takes a name, and another one, without a reload", async () => {
    const alice = await open("names", "Alice")
    const bob = await open("names")
    await bob.getByText("Give your name to see who is here").waitFor()
    assert.strictEqual(await bob.getByTestId("people").locator("li").count(), 0)
    for (const name of ["Bob", "Robert"]) {
      await bob.getByTestId("name").fill(name)
      await bob.getByTestId("name").press("Enter")
      for (const page of [alice, bob]) await person(page, name).waitFor()
    }
    await person(alice, "Bob").waitFor({ state: "detached" })
    await viewers(alice, "2 viewers")
  })

  it("shows HTML as text, in titles and in names", async () => {
    const markup = `<img src="x" onerror="document.title = 'owned'"><b>bold</b>`
    const alice = await open("markup", "Alice")
    const mallory = await open("markup", "<i>Eve</i>")
    await inState(mallory, "live")
    await add(mallory, "list-todo", markup)
    await person(alice, "<i>Eve</i>").filter({ hasText: "<i>Eve</i>" }).waitFor()
    for (const page of [alice, mallory]) {
      await card(page, "list-todo", markup).waitFor()
      assert.strictEqual(await page.locator("img, b, i").count(), 0)
      assert.strictEqual(await page.title(), "effect-rooms board")
    }
  })

  it("says why when the server refuses the board, and does not try for ever", async () => {
    const page = await open("../etc", "Alice")
    await inState(page, "closed")
    assert.match(await page.getByTestId("status").innerText(), /^Closed: /)
    await page.getByRole("button", { name: "Connect again" }).waitFor()
    await shoot(page, "closed")
  })

  it("reconnects by itself after a restart of the server, says so, and keeps what was being written", async () => {
    const server = await startPlayground()
    const [alice, bob] = await openBoth("restart", { server, clock: true })
    await add(alice, "list-todo", "before")
    await card(bob, "list-todo", "before").waitFor()
    await bob.getByTestId("add-list-todo-input").fill("after")
    await server.stop()
    for (const page of [alice, bob]) {
      await inState(page, "reconnecting")
      await page.getByText("Your text is kept.").waitFor()
    }
    await shoot(bob, "reconnecting")
    await using again = await startPlayground(server.port)
    // More than the server asked for when it said goodbye.
    for (const page of [alice, bob]) await page.clock.fastForward("00:10")
    await Promise.all([inState(alice, "live"), inState(bob, "live")])
    assert.strictEqual(again.origin, server.origin)
    for (const page of [alice, bob]) await viewers(page, "2 viewers")
    for (const page of [alice, bob]) await person(page, "Bob").waitFor()
    // The tasks were in the memory of the process that ended.
    for (const page of [alice, bob]) await isGone(page, "before")
    await bob.getByTestId("add-list-todo-input").press("Enter")
    for (const page of [alice, bob]) await card(page, "list-todo", "after").waitFor()

    await Promise.all([alice.goto("about:blank"), bob.goto("about:blank")])
    windows.forgiveLostServers()
  })

  it("says that messages were lost when its connection was slow, and shows the board as it is", async () => {
    const { lose, options, tell } = slowWindow(/\/boards$/)
    const alice = await open("slow", "Alice", options)
    const bob = await open("slow", "Bob")
    for (const page of [alice, bob]) await viewers(page, "2 viewers")
    await add(bob, "list-todo", "Plan the day")
    await card(alice, "list-todo", "Plan the day").waitFor()
    const lost = lose(3, ["user_joined", "task_created", "task_moved"])
    const carol = await open("slow")
    await viewers(carol, "3 viewers")
    await card(carol, "list-todo", "Plan the day").press("ArrowRight")
    await add(carol, "list-done", "Have breakfast")
    await lost
    await viewers(alice, "2 viewers")
    assert.strictEqual(await alice.getByTestId("card").count(), 1)

    tell({ type: "gap", boardId: "slow", from: 3, to: 5, missed: 3 })
    const notice = alice.getByText("3 messages were lost while the connection was slow. The board is loaded anew.")
    await notice.and(alice.getByTestId("lost")).waitFor()
    await card(alice, "list-doing", "Plan the day").waitFor()
    await card(alice, "list-done", "Have breakfast").waitFor()
    await viewers(alice, "3 viewers")
    for (const page of [alice, bob]) assert.strictEqual(await page.getByTestId("card").count(), 2)
    assert.isFalse(await bob.getByTestId("lost").isVisible())
    await shootAll(windows, alice, "gap", async ({ width }) => {
      const box = await alice.getByTestId("lost").boundingBox()
      assert.isNotNull(box)
      assert.isTrue(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box))
    })
    await alice.clock.fastForward("00:10")
    await alice.getByTestId("lost").waitFor({ state: "hidden" })
    tell({ type: "gap", boardId: "slow", from: 9, to: 9, missed: 1 })
    await alice.getByText("1 message was lost while the connection was slow.").first().waitFor()
  })

  it("shows the statuses of people in words, and long names cut off", async () => {
    const name = "Maximiliane-Theodora von Hohenfels-Berge"
    const users = [
      { username: "Alice", status: "online", windows: 2 },
      { username: "Bob", status: "busy", windows: 1 },
      { username: name, status: "away", windows: 12 },
      { username: "Dave", status: "online", windows: 0, unstable: true }
    ]
    const frames = [
      { type: "joined", boardId: "states", viewers: 15 },
      { type: "presence", boardId: "states", users }
    ]
    const page = await open("states", "Alice", {
      before: (opened) =>
        opened.routeWebSocket(/\/boards$/, (socket) => {
          socket.onMessage(() => {
            for (const frame of frames) socket.send(JSON.stringify(frame))
          })
        })
    })
    await inState(page, "live")
    await person(page, "Alice").filter({ hasText: "you" }).waitFor()
    for (const [who, status] of [
      ["Bob", "busy"],
      [name, "away"],
      ["Dave", "unstable"]
    ] as const) {
      await person(page, who, status).getByText(status, { exact: true }).waitFor()
    }
    await shootAll(windows, page, "states", async ({ width }) => {
      for (const pill of await page.getByTestId("people").locator("[data-username]").all()) {
        const box = await pill.boundingBox()
        assert.isNotNull(box)
        assert.isTrue(box.x + box.width <= width && box.height < 40, JSON.stringify(box))
        assert.isTrue(await pill.evaluate((node) => node.scrollWidth <= node.clientWidth))
      }
    })
  })

  it("fits a desktop and a phone, in light and in dark", async () => {
    const [alice, bob] = await openBoth("design")
    await add(alice, "list-todo", "Take pictures for the README")
    await add(
      alice,
      "list-todo",
      `No${"o".repeat(60)} spaces, and <b>markup</b>: https://example.org/${"path/".repeat(12)}`
    )
    await add(alice, "list-doing", "Try the page on a phone, where every pixel that is off will be noticed first")
    for (const title of ["Draw the lists", "Say who is here"]) await add(bob, "list-done", title)
    await card(alice, "list-done", "Say who is here").waitFor()
    await person(alice, "Bob").waitFor()
    const empty = await open("empty")
    await inState(empty, "live")
    for (const [who, page] of Object.entries({ alice, empty })) {
      await shootAll(windows, page, who, async ({ width }) => {
        for (const list of ["list-todo", "list-doing", "list-done"]) {
          const box = await page.getByTestId(`add-${list}-input`).boundingBox()
          assert.isNotNull(box)
          assert.isTrue(box.x >= 0 && box.x + box.width <= width, `${who} ${list}`)
        }
      })
    }
  })
})
