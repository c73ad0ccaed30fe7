import { assert, describe, it } from "@effect/vitest"
import { inState, person, shootAll, useWindows } from "../support/browser.ts"
import { startPlayground } from "../support/playground.ts"
import { chatIn, line, say } from "./chatPage.ts"
import { slowWindow } from "./slowWindow.ts"

const windows = useWindows("chat")
const { shoot } = windows
const { enter, enterBoth, open } = chatIn(windows)

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
    const [alice, bob] = await enterBoth("restart", { server, clock: true })
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
    // More than the server asked for when it said goodbye.
    for (const page of [alice, bob]) await page.clock.fastForward("00:10")
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
    windows.forgiveLostServers()
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

  it("says where messages were lost, and how many, when its connection was slow", async () => {
    const room = "slow"
    const { lose, options, tell } = slowWindow(/\/chat\/room\//)
    const alice = await enter(room, "Alice", options)
    const bob = await enter(room, "Bob")
    await line(alice, "joined", "Bob").waitFor()
    await say(bob, "Good morning!")
    await line(alice, "message", "Bob", "Good morning!").waitFor()
    const lost = lose(3, ["message"])
    for (const text of ["one", "two", "three"]) await say(bob, text)
    await lost
    tell({ type: "gap", room, from: 5, to: 7, missed: 3 })
    tell({ type: "gap", room: "lobby/the-inbox-of-alice", from: 1, to: 1, missed: 1 })
    await say(bob, "And that was that.")
    await line(alice, "message", "Bob", "And that was that.").waitFor()
    assert.deepStrictEqual(await alice.getByTestId("log").locator(".text, .gap").allInnerTexts(), [
      "Good morning!",
      "3 messages were lost while the connection was slow",
      "1 direct message was lost while the connection was slow",
      "And that was that."
    ])
    await say(alice, "What did I miss?")
    await line(bob, "message", "Alice").waitFor()
    assert.strictEqual(await bob.getByTestId("log").locator(".gap").count(), 0)
    await shootAll(windows, alice, "gap", async ({ width }) => {
      for (const gap of await alice.getByTestId("log").locator(".gap span").all()) {
        const box = await gap.boundingBox()
        assert.isNotNull(box)
        assert.isTrue(box.x >= 0 && box.x + box.width <= width && box.height < 50, JSON.stringify(box))
      }
    })
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
      await shootAll(windows, page, who, async (size) => {
        const button = await page.getByTestId(page === welcome ? "join" : "send").boundingBox()
        assert.isNotNull(button)
        assert.isAtMost(button.x + button.width, size.width)
        assert.isAtMost(button.y + button.height, size.height)
      })
    }
    await alice.getByRole("button", { name: "Rooms and people" }).click()
    await person(alice, "Bob").waitFor()
    await shoot(alice, "drawer-phone-dark")
    await person(alice, "Bob").click()
    await person(alice, "Bob").waitFor({ state: "hidden" })
  })
})
