import { assert, describe, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import { Inbox } from "../../../src/websocket/internal/inbox.ts"

const make = (maxMessages = 3, maxBytes = 100) => {
  const events: Array<string> = []
  const inbox = new Inbox<number>({
    maxMessages,
    maxBytes,
    pause: () => events.push("pause"),
    resume: () => events.push("resume"),
    onEndSeen: () => events.push("end seen")
  })
  return { inbox, events }
}

describe("Inbox", () => {
  it("stops reading at the bound of messages and goes on when they were taken", () => {
    const { events, inbox } = make()
    inbox.push(1, 1)
    inbox.push(2, 1)
    assert.deepStrictEqual(events, [])
    inbox.push(3, 1)
    assert.deepStrictEqual(events, ["pause"])
    assert.deepStrictEqual(inbox.poll(), [1, 2, 3])
    assert.deepStrictEqual(events, ["pause", "resume"])
  })

  it("stops reading at the bound of bytes", () => {
    const { events, inbox } = make(1000)
    inbox.push(1, 99)
    assert.deepStrictEqual(events, [])
    inbox.push(2, 1)
    assert.deepStrictEqual(events, ["pause"])
  })

  it("keeps what was already on its way when reading stopped, and stops once", () => {
    const { events, inbox } = make(1)
    for (let i = 0; i < 5; i++) inbox.push(i, 1)
    assert.deepStrictEqual(inbox.poll(), [0, 1, 2, 3, 4])
    assert.deepStrictEqual(events, ["pause", "resume"])
  })

  it("gives what came before the end, and tells of the end only when all of it was taken", () => {
    const { events, inbox } = make()
    inbox.push(1, 1)
    inbox.end(Exit.void)
    inbox.push(2, 1)
    assert.deepStrictEqual(inbox.poll(), [1])
    assert.deepStrictEqual(events, [])
    assert.deepStrictEqual(inbox.poll(), [])
    assert.deepStrictEqual(events, ["end seen"])
  })

  it("wakes a waiting reader once, for a message or for the end", () => {
    const { inbox } = make()
    let woken = 0
    inbox.waiter = () => woken++
    inbox.push(1, 1)
    inbox.push(2, 1)
    assert.strictEqual(woken, 1)
    inbox.waiter = () => woken++
    inbox.end(Exit.void)
    inbox.end(Exit.void)
    assert.strictEqual(woken, 2)
  })
})
